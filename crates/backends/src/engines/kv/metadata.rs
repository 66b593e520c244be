//! `metadata/`: what is known of secrets, and their settings.

use std::collections::BTreeMap;

use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::{Reply, keys};
use serde::{Deserialize, Serialize};

use super::config::go_duration;
use super::record::{Secret, check_max_versions, metadata_key, version_key};
use super::{Kv, secret_path, written_path};

/// Bounds of custom metadata, as clients know them.
const CUSTOM_KEYS: usize = 64;
const CUSTOM_KEY: usize = 128;
const CUSTOM_VALUE: usize = 512;

#[derive(Deserialize)]
struct List {
    #[serde(default, deserialize_with = "weak::string")]
    after: Option<String>,
    #[serde(default, deserialize_with = "weak::int")]
    limit: Option<i64>,
}

#[derive(Deserialize)]
struct Write {
    #[serde(default, deserialize_with = "weak::uint")]
    max_versions: Option<u64>,
    #[serde(default, deserialize_with = "weak::boolean")]
    cas_required: Option<bool>,
    #[serde(default, deserialize_with = "weak::signed_duration")]
    delete_version_after: Option<Seconds>,
    #[serde(default, deserialize_with = "weak::map")]
    custom_metadata: Option<BTreeMap<String, String>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    cas_required: bool,
    created_time: String,
    current_metadata_version: u64,
    current_version: u64,
    custom_metadata: &'a Option<BTreeMap<String, String>>,
    delete_version_after: String,
    max_versions: u64,
    metadata_cas_required: bool,
    oldest_version: u64,
    updated_time: String,
    versions: BTreeMap<u64, ShownVersion>,
}

#[derive(Serialize)]
struct ShownVersion {
    created_time: String,
    deletion_time: String,
    destroyed: bool,
}

impl Kv {
    pub(super) async fn metadata_list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let given = call.param("path");
        let folder = given.strip_suffix('/').unwrap_or(given);
        if folder.split('/').any(str::is_empty) && !given.is_empty() {
            return Err(Error::NotFound);
        }
        let body = call.decode::<List>()?;
        let asked = usize::try_from(body.limit.unwrap_or(0)).unwrap_or(0);
        // A policy's bound holds for those who ask for no page, too.
        let limit = if asked > 0 {
            asked
        } else {
            call.caller.page_limit.unwrap_or(0)
        };
        let after = body.after.unwrap_or_default();
        let folder = match folder {
            "" => "metadata/".to_owned(),
            folder => format!("{}/", metadata_key(folder)),
        };
        let page = self.view.list(&folder, &after, limit).await?;
        keys(page.names)
    }

    pub(super) async fn metadata_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = secret_path(call)?;
        let (secret, _) = self.secret(path).await?.ok_or(Error::NotFound)?;
        let shown = secret.versions.iter().map(|(number, version)| {
            let shown = ShownVersion {
                created_time: version.created.rfc3339(),
                deletion_time: version.deletion.map(|at| at.rfc3339()).unwrap_or_default(),
                destroyed: version.destroyed,
            };
            (*number, shown)
        });
        Reply::data(&Shown {
            cas_required: secret.cas_required,
            created_time: secret.created.rfc3339(),
            current_metadata_version: secret.metadata_version,
            current_version: secret.current,
            custom_metadata: &secret.custom_metadata,
            delete_version_after: go_duration(secret.delete_version_after),
            max_versions: secret.max_versions,
            metadata_cas_required: false,
            oldest_version: secret.oldest,
            updated_time: secret.updated.rfc3339(),
            versions: shown.collect(),
        })
    }

    pub(super) async fn metadata_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = written_path(call)?;
        let asked = call.decode::<Write>()?;
        check_max_versions(asked.max_versions)?;
        if let Some(custom) = &asked.custom_metadata {
            check_custom(custom)?;
        }
        self.view
            .change(path, || async {
                let read = self.secret(path).await?;
                let revision = read.as_ref().map(|(_, revision)| *revision);
                let now = self.clock.now();
                let mut secret = read.map_or_else(|| Secret::new(now), |(secret, _)| secret);
                secret.max_versions = asked.max_versions.unwrap_or(secret.max_versions);
                secret.cas_required = asked.cas_required.unwrap_or(secret.cas_required);
                if let Some(Seconds(after)) = asked.delete_version_after {
                    secret.delete_version_after = after;
                }
                if let Some(custom) = &asked.custom_metadata {
                    secret.custom_metadata = (!custom.is_empty()).then(|| custom.clone());
                }
                secret.metadata_version += 1;
                secret.updated = now;
                self.view
                    .commit(self.store(path, &secret, revision, Batch::new())?)
                    .await?;
                Ok(())
            })
            .await?;
        Ok(Reply::none())
    }

    pub(super) async fn metadata_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = written_path(call)?;
        self.view
            .change(path, || async {
                let Some((secret, revision)) = self.secret(path).await? else {
                    return Ok(());
                };
                let key = metadata_key(path);
                let mut batch = Batch::new().unchanged(key.clone(), revision).delete(key);
                for number in secret.versions.keys() {
                    batch = batch.delete(version_key(path, *number));
                }
                self.view.commit(batch).await?;
                Ok(())
            })
            .await?;
        Ok(Reply::none())
    }
}

fn check_custom(custom: &BTreeMap<String, String>) -> Result<(), Error> {
    let refused = |what: String| Err(Error::field("custom_metadata", what));
    if custom.len() > CUSTOM_KEYS {
        return refused(format!("has more than {CUSTOM_KEYS} keys"));
    }
    for (key, value) in custom {
        if key.is_empty() || key.len() > CUSTOM_KEY {
            return refused(format!("a key has no or more than {CUSTOM_KEY} bytes"));
        }
        if value.is_empty() || value.len() > CUSTOM_VALUE {
            return refused(format!("a value has no or more than {CUSTOM_VALUE} bytes"));
        }
    }
    Ok(())
}
