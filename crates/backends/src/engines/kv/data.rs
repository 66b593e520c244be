//! `data/`: reading and writing a secret.

use std::collections::BTreeMap;

use keyfold_api::{body, weak};
use keyfold_core::barrier::retry;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::{Batch, StorageError};
use keyfold_core::reply::Reply;
use keyfold_secret::Secret as Protected;
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
    /// Decoded on its own, because a list would pass for an object here.
    #[serde(default)]
    options: Option<Box<RawValue>>,
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

/// A version and, where it can be read, its data.
struct Found {
    secret: Secret,
    number: u64,
    version: Version,
    data: Option<Protected<Vec<u8>>>,
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
        let asked = match body.version {
            Some(..0) => return Err(Error::field("version", "cannot be negative")),
            asked => asked.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        };
        let found = self.find(path, asked, call.now).await?;
        let metadata = show(&found.secret, found.number, found.version);
        match &found.data {
            None => Reply::data(&Data {
                data: None,
                metadata,
            })
            .map(|reply| reply.with_status(404)),
            Some(data) => {
                let damaged = || Error::corrupt(version_key(path, found.number));
                let data = serde_json::from_slice(data.expose()).map_err(|_| damaged())?;
                Reply::data(&Data {
                    data: Some(data),
                    metadata,
                })
            }
        }
    }

    /// A version (0: the newest) as it was at one moment, though metadata and data are two reads.
    async fn find(&self, path: &str, asked: u64, now: Time) -> Result<Found, Error> {
        retry(|| async {
            let (secret, revision) = self.secret(path).await?.ok_or(Error::NotFound)?;
            let number = if asked == 0 { secret.current } else { asked };
            let version = *secret.versions.get(&number).ok_or(Error::NotFound)?;
            let key = version_key(path, number);
            let data = match version.readable(now) {
                true => Some(self.view.get(&key).await?),
                false => None,
            };
            let data = match data {
                None => None,
                // Written with this metadata or before: they belong together.
                Some(Some(stored)) if stored.revision <= revision => Some(stored.value),
                Some(missing) => {
                    let again = self.secret(path).await?.map(|(_, again)| again);
                    if missing.is_none() && again == Some(revision) {
                        return Err(Error::corrupt(key));
                    }
                    // Pruned, destroyed or made anew between the reads.
                    return Err(StorageError::Conflict(key).into());
                }
            };
            Ok(Found {
                secret,
                number,
                version,
                data,
            })
        })
        .await
    }

    pub(super) async fn data_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = written_path(call)?;
        let body = call.decode::<Write>()?;
        let data = body.data.ok_or_else(|| Error::bad("no data provided"))?;
        if !data.get().starts_with('{') {
            return Err(Error::field("data", "must be a JSON object"));
        }
        let cas = match &body.options {
            Some(options) => {
                body::decode::<Options>(options.get().as_bytes())
                    .map_err(|error| Error::field("options", error))?
                    .value
                    .cas
            }
            None => None,
        };
        let config = self.config().await?;
        let (secret, version) = self
            .view
            .change(path, || async {
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
        Reply::data(&show(&secret, secret.current, version))
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
