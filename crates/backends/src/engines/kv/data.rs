//! `data/`: reading and writing a secret.

use std::collections::BTreeMap;

use keyfold_api::weak;
use keyfold_core::barrier::retry;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::{Call, unknown_parameters};
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::{Json, Reply};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::record::{Secret, Version, version_key};
use super::{Kv, secret_path, written_path};

#[derive(Deserialize)]
struct Read {
    #[serde(default, deserialize_with = "weak::int")]
    version: Option<i64>,
}

#[derive(Deserialize)]
struct Write {
    #[serde(default)]
    data: Option<Box<RawValue>>,
    #[serde(default)]
    options: Option<Options>,
}

#[derive(Deserialize)]
struct Options {
    #[serde(default, deserialize_with = "weak::int")]
    cas: Option<i64>,
}

#[derive(Serialize)]
struct Data<'a> {
    data: Option<&'a RawValue>,
    metadata: Shown<'a>,
}

/// What the wire shows of a version beside its data.
#[derive(Serialize)]
struct Shown<'a> {
    created_time: String,
    custom_metadata: &'a Option<BTreeMap<String, String>>,
    deletion_time: String,
    destroyed: bool,
    version: u64,
}

fn show(secret: &Secret, number: u64, version: Version) -> Shown<'_> {
    Shown {
        created_time: version.created.rfc3339(),
        custom_metadata: &secret.custom_metadata,
        deletion_time: version.deletion.map(|at| at.rfc3339()).unwrap_or_default(),
        destroyed: version.destroyed,
        version: number,
    }
}

impl Kv {
    pub(super) async fn exists(&self, call: &Call<'_>) -> Result<bool, Error> {
        match secret_path(call) {
            Ok(path) => Ok(self.secret(path).await?.is_some()),
            Err(_) => Ok(false),
        }
    }

    pub(super) async fn data_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        if call.path == "data" {
            return Ok(Reply::none()
                .with_status(404)
                .warn("Non-listing operations on the root of a K/V v2 mount are not supported."));
        }
        let path = secret_path(call)?;
        let body = call.decode::<Read>()?;
        let (secret, _) = self.secret(path).await?.ok_or(Error::NotFound)?;
        let number = match body.value.version.unwrap_or(0) {
            ..0 => return Err(Error::field("version", "cannot be negative")),
            0 => secret.current,
            n => u64::try_from(n).unwrap_or(0),
        };
        let version = *secret.versions.get(&number).ok_or(Error::NotFound)?;
        let metadata = show(&secret, number, version);
        let warnings: Vec<_> = unknown_parameters(&body.unknown).into_iter().collect();
        if !version.readable(call.now) {
            let gone = Reply::data(&Data {
                data: None,
                metadata,
            })?
            .with_status(404);
            return Ok(Reply { warnings, ..gone });
        }
        let key = version_key(path, number);
        // Read after the metadata, so a destroy in between is seen as what it is.
        let Some(stored) = self.view.get(&key).await? else {
            return Err(Error::Contended);
        };
        let damaged = || Error::corrupt(key.clone());
        let text = std::str::from_utf8(stored.value.expose()).map_err(|_| damaged())?;
        let data: &RawValue = serde_json::from_str(text).map_err(|_| damaged())?;
        let reply = Reply::raw(Json::of(&Data {
            data: Some(data),
            metadata,
        })?);
        Ok(Reply { warnings, ..reply })
    }

    pub(super) async fn data_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = written_path(call)?;
        let body = call.decode::<Write>()?;
        let data = body
            .value
            .data
            .ok_or_else(|| Error::bad("no data provided"))?;
        if !data.get().starts_with('{') {
            return Err(Error::field("data", "must be a JSON object"));
        }
        let cas = body.value.options.and_then(|o| o.cas);
        let config = self.config().await?;
        let (secret, version) = retry(|| async {
            let read = self.secret(path).await?;
            let revision = read.as_ref().map(|(_, revision)| *revision);
            let now = self.clock.now();
            let mut secret = read.map_or_else(|| Secret::new(now), |(secret, _)| secret);
            check(
                cas,
                config.cas_required || secret.cas_required,
                secret.current,
            )?;
            let pruned = secret.add(now, &config);
            let number = secret.current;
            let mut batch = Batch::new().put(version_key(path, number), data.get());
            for number in pruned {
                batch = batch.delete(version_key(path, number));
            }
            self.view
                .commit(self.store(path, &secret, revision, batch)?)
                .await?;
            let version = secret.versions.get(&number).copied();
            Ok((
                secret,
                version.ok_or(Error::Bug("a version that was not kept"))?,
            ))
        })
        .await?;
        let warnings = unknown_parameters(&body.unknown).into_iter().collect();
        let reply = Reply::data(&show(&secret, secret.current, version))?;
        Ok(Reply { warnings, ..reply })
    }

    pub(super) async fn data_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = written_path(call)?;
        self.change(path, |secret, now| {
            let current = secret.current;
            if let Some(version) = secret.versions.get_mut(&current)
                && version.readable(now)
            {
                version.deletion = Some(now);
            }
            Vec::new()
        })
        .await
    }
}

/// Check-and-set: `cas` names the version that the writer has seen; 0 stands for none.
fn check(cas: Option<i64>, required: bool, current: u64) -> Result<(), Error> {
    match cas {
        None if required => Err(Error::bad("check-and-set parameter required for this call")),
        Some(cas) if u64::try_from(cas).ok() != Some(current) => Err(Error::bad(
            "check-and-set parameter did not match the current version",
        )),
        _ => Ok(()),
    }
}
