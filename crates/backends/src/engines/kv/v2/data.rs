//! `data/`: reading and writing a secret.

use std::collections::BTreeMap;

use keyfold_api::{body, weak};
use keyfold_core::barrier::retry;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::{Batch, Revision, StorageError};
use keyfold_core::reply::Reply;
use keyfold_secret::Secret as Protected;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::record::{Config, Secret, Version, version_key};
use super::tree::Tree;
use super::{Kv, path};

#[derive(Deserialize)]
struct Read {
    #[serde(default, deserialize_with = "weak::int")]
    version: Option<i64>,
}

#[derive(Deserialize)]
struct Write {
    /// Outer: the member is there; inner: it is not null.
    #[serde(default, deserialize_with = "given_raw")]
    data: Option<Option<Box<RawValue>>>,
    /// Decoded on its own, because a list would pass for an object here.
    #[serde(default)]
    options: Option<Box<RawValue>>,
}

fn given_raw<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<Box<RawValue>>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[derive(Deserialize)]
struct Options {
    #[serde(default, deserialize_with = "weak::int")]
    cas: Option<i64>,
}

/// What a write or a patch gives.
pub(super) struct Given {
    /// An object, or null.
    pub data: Option<Box<RawValue>>,
    pub cas: Option<i64>,
}

#[derive(Serialize)]
struct Data<'a> {
    data: Option<&'a RawValue>,
    metadata: Shown<'a>,
}

/// A version and, where it can be read, its data.
pub(super) struct Found {
    pub secret: Secret,
    number: u64,
    version: Version,
    data: Option<Protected<Vec<u8>>>,
}

/// What the wire shows of a version beside its data.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
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

impl Found {
    pub fn shown(&self) -> Shown<'_> {
        show(&self.secret, self.number, self.version)
    }

    /// The data as they were written; none where they cannot be read any more.
    pub fn json(&self, path: &str) -> Result<Option<&RawValue>, Error> {
        let Some(data) = &self.data else {
            return Ok(None);
        };
        let json = serde_json::from_slice(data.expose());
        json.map(Some).map_err(|_| self.damaged(path))
    }

    /// The data taken apart.
    pub fn tree<'a>(&self, path: &str, json: &'a RawValue) -> Result<Tree<'a>, Error> {
        Tree::parse(json.get()).ok_or_else(|| self.damaged(path))
    }

    fn damaged(&self, path: &str) -> Error {
        Error::corrupt(version_key(path, self.number))
    }
}

impl Kv {
    pub(super) async fn exists(&self, call: &Call<'_>) -> Result<bool, Error> {
        match path::secret(call) {
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
        let path = path::secret(call)?;
        let asked = number(call.decode::<Read>()?.version)?;
        let found = self.version(path, asked, call.now).await?;
        let data = found.json(path)?;
        let metadata = found.shown();
        let reply = Reply::data(&Data { data, metadata })?;
        Ok(match data {
            Some(_) => reply,
            None => reply.with_status(404),
        })
    }

    /// A version (0: the newest) as it was at one moment, though metadata and data are two reads.
    pub(super) async fn version(&self, path: &str, asked: u64, now: Time) -> Result<Found, Error> {
        let (found, _) = retry(|| self.at(path, asked, now)).await?;
        Ok(found)
    }

    /// The same with the metadata's revision, and a conflict where the two are of two moments.
    pub(super) async fn at(
        &self,
        path: &str,
        asked: u64,
        now: Time,
    ) -> Result<(Found, Revision), Error> {
        let (secret, revision) = self.secret(path).await?.ok_or(Error::NotFound)?;
        let number = if asked == 0 { secret.current } else { asked };
        let version = *secret.versions.get(&number).ok_or(Error::NotFound)?;
        let key = version_key(path, number);
        let data = match version.readable(now) {
            true => Some(self.view().await?.get(&key).await?),
            false => None,
        };
        let data = match data {
            None => None,
            // Written with this metadata or before: they belong together.
            Some(Some(stored)) if stored.revision <= revision => Some(stored.value),
            Some(other) => {
                let again = self.secret(path).await?.map(|(_, again)| again);
                match other {
                    // Pruned, destroyed or made anew between the reads.
                    _ if again != Some(revision) => {
                        return Err(StorageError::Conflict(key).into());
                    }
                    None => return Err(Error::corrupt(key)),
                    // Whoever changes the data changes the metadata too. It is the same under
                    // another dek.
                    Some(stored) => Some(stored.value),
                }
            }
        };
        let found = Found {
            secret,
            number,
            version,
            data,
        };
        Ok((found, revision))
    }

    pub(super) async fn data_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = path::written(call)?;
        let Given { data, cas } = given(call)?;
        // A map that was never made is null in some clients: a secret without members.
        let data = data.as_ref().map_or("{}", |data| data.get());
        let config = self.config().await?;
        let view = self.view().await?;
        view.change(path, || async {
            let read = self.secret(path).await?;
            match &read {
                Some((secret, _)) => check(cas, &config, secret)?,
                None => check(cas, &config, &Secret::new(Time(0)))?,
            }
            self.add(path, read, &config, data.as_bytes().to_vec())
                .await
        })
        .await
    }

    /// Adds a version to the secret that was read, or to a new one.
    pub(super) async fn add(
        &self,
        path: &str,
        read: Option<(Secret, Revision)>,
        config: &Config,
        data: Vec<u8>,
    ) -> Result<Reply, Error> {
        let revision = read.as_ref().map(|(_, revision)| *revision);
        let now = self.clock.now();
        let mut secret = read.map_or_else(|| Secret::new(now), |(secret, _)| secret);
        let pruned = secret.add(now, config);
        let number = secret.current;
        let mut batch = Batch::new().put(version_key(path, number), data);
        for number in pruned {
            batch = batch.delete(version_key(path, number));
        }
        let batch = self.store(path, &secret, revision, batch)?;
        self.view().await?.commit(batch).await?;
        let version = secret.versions.get(&number).copied();
        let version = version.ok_or(Error::Bug("a version that was not kept"))?;
        Reply::data(&show(&secret, number, version))
    }

    pub(super) async fn data_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = path::written(call)?;
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

/// The version that is asked for; zero is the newest.
pub(super) fn number(asked: Option<i64>) -> Result<u64, Error> {
    u64::try_from(asked.unwrap_or(0)).map_err(|_| Error::field("version", "cannot be negative"))
}

/// Reads the body of a write or a patch.
pub(super) fn given(call: &Call<'_>) -> Result<Given, Error> {
    let body = call.decode::<Write>()?;
    let data = body.data.ok_or_else(|| Error::bad("no data provided"))?;
    if data
        .as_ref()
        .is_some_and(|data| !data.get().starts_with('{'))
    {
        return Err(Error::field("data", "must be a JSON object"));
    }
    let cas = match &body.options {
        None => None,
        Some(options) if options.get().starts_with('{') => {
            body::decode::<Options>(options.get().as_bytes())
                .map_err(|_| Error::bad("error parsing check-and-set parameter"))?
                .value
                .cas
        }
        Some(_) => return Err(Error::field("options", "must be a JSON object")),
    };
    Ok(Given { data, cas })
}

/// Check-and-set: `cas` names the version that the writer has seen; 0 stands for none.
pub(super) fn check(cas: Option<i64>, config: &Config, secret: &Secret) -> Result<(), Error> {
    match cas {
        None if config.cas_required || secret.cas_required => {
            Err(Error::bad("check-and-set parameter required for this call"))
        }
        Some(cas) if u64::try_from(cas).ok() != Some(secret.current) => Err(Error::bad(
            "check-and-set parameter did not match the current version",
        )),
        _ => Ok(()),
    }
}
