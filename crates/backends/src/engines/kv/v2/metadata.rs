//! `metadata/`: what is known of a secret, and its settings.

use std::collections::BTreeMap;

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use serde::Serialize;

use super::config::go_duration;
use super::record::{Secret, metadata_key, version_key};
use super::settings::{Change, Patch, Write};
use super::{Kv, path};

/// What the wire shows of a secret.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
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

/// Who may be missing: a write makes the secret, a patch does not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    IsMade,
    IsNotFound,
}

impl Kv {
    pub(super) async fn metadata_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = path::secret(call)?;
        let (secret, _) = self.secret(path).await?.ok_or(Error::NotFound)?;
        Reply::data(&show(&secret))
    }

    pub(super) async fn metadata_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Write>()?;
        let cas = asked.metadata_cas;
        self.set(call, asked.into(), cas, Missing::IsMade).await
    }

    pub(super) async fn metadata_patch(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Patch>()?;
        let cas = asked.metadata_cas;
        self.set(call, asked.into(), cas, Missing::IsNotFound).await
    }

    async fn set(
        &self,
        call: &Call<'_>,
        change: Change,
        cas: Option<i64>,
        missing: Missing,
    ) -> Result<Reply, Error> {
        let path = path::written(call)?;
        let view = self.view().await?;
        let config = self.config().await?;
        let required = config.metadata_cas_required;
        let remarks = change.overruled(&config);
        view.change(path, || async {
            let read = self.secret(path).await?;
            if read.is_none() && missing == Missing::IsNotFound {
                return Ok(Reply::none().with_status(404));
            }
            let revision = read.as_ref().map(|(_, revision)| *revision);
            let now = self.clock.now();
            let mut secret = read.map_or_else(|| Secret::new(now), |(secret, _)| secret);
            check(
                cas,
                required || secret.metadata_cas_required,
                secret.metadata_version,
            )?;
            if change.is_empty() {
                return Ok(Reply::none());
            }
            change.apply(&mut secret)?;
            secret.metadata_version += 1;
            secret.updated = now;
            view.commit(self.store(path, &secret, revision, Batch::new())?)
                .await?;
            Ok(Reply {
                warnings: remarks.clone(),
                ..Reply::none()
            })
        })
        .await
    }

    pub(super) async fn metadata_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = path::written(call)?;
        let view = self.view().await?;
        view.change(path, || async {
            let Some((secret, revision)) = self.secret(path).await? else {
                return Ok(());
            };
            let key = metadata_key(path);
            let mut batch = Batch::new().unchanged(key.clone(), revision).delete(key);
            for number in secret.versions.keys() {
                batch = batch.delete(version_key(path, *number));
            }
            view.commit(batch).await?;
            Ok(())
        })
        .await?;
        Ok(Reply::none())
    }
}

pub(super) fn show(secret: &Secret) -> Shown<'_> {
    let versions = secret.versions.iter().map(|(number, version)| {
        let shown = ShownVersion {
            created_time: version.created.rfc3339(),
            deletion_time: version.deletion.map(|at| at.rfc3339()).unwrap_or_default(),
            destroyed: version.destroyed,
        };
        (*number, shown)
    });
    Shown {
        cas_required: secret.cas_required,
        created_time: secret.created.rfc3339(),
        current_metadata_version: secret.metadata_version,
        current_version: secret.current,
        custom_metadata: &secret.custom_metadata,
        delete_version_after: go_duration(secret.delete_version_after),
        max_versions: secret.max_versions,
        metadata_cas_required: secret.metadata_cas_required,
        oldest_version: secret.oldest,
        updated_time: secret.updated.rfc3339(),
        versions: versions.collect(),
    }
}

/// Check-and-set of the settings: `cas` names those that the writer has seen.
fn check(cas: Option<i64>, required: bool, current: u64) -> Result<(), Error> {
    match cas {
        None if required => Err(Error::bad(
            "metadata check-and-set parameter required for this call",
        )),
        Some(cas) if u64::try_from(cas).ok() != Some(current) => Err(Error::bad(
            "metadata check-and-set parameter does not match the current version",
        )),
        _ => Ok(()),
    }
}
