//! KV version 1: a secret is the object that was written last.
//!
//! ```text
//!   secrets/<path>   the members as they were written, JSON
//! ```

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use keyfold_api::duration::{self, Seconds};
use keyfold_api::weak::Scalar;
use keyfold_core::barrier::{View, json};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::{Call, Engine, Retune, Route};
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::{Json, Reply, keys};
use keyfold_core::request::Op;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Format, path, scan, takeover};

/// A mounted engine.
pub(super) struct Kv {
    view: View,
}

/// Where a secret is stored; a folder's key for a folder.
pub(super) fn key(path: &str) -> String {
    format!("secrets/{path}")
}

impl Engine for Kv {
    fn routes() -> &'static [Route<Self>] {
        type Row = Route<Kv>;
        static ROUTES: &[Row] = &[
            Row::new(Op::Read, "{path...}", "Reads a secret.", |k, c| {
                Box::pin(k.read(c))
            }),
            Row::new(Op::Write, "{path...}", "Writes a secret.", |k, c| {
                Box::pin(k.write(c))
            })
            .exists(|k, c| Box::pin(k.exists(c))),
            Row::new(Op::List, "{path...}", "Lists secrets.", |k, c| {
                Box::pin(k.list(c))
            }),
            Row::new(
                Op::Scan,
                "{path...}",
                "Lists secrets, however deep.",
                |k, c| Box::pin(k.scan(c)),
            ),
            Row::new(Op::Delete, "{path...}", "Removes a secret.", |k, c| {
                Box::pin(k.delete(c))
            }),
        ];
        ROUTES
    }

    fn retune(&self, options: &BTreeMap<String, String>) -> Result<Retune, Error> {
        Ok(match Format::of(options)? {
            Format::One => Retune::default(),
            Format::Two => Retune {
                batch: takeover::begin()?,
                warnings: vec![
                    "Upgrading mount from version 1 to version 2. This mount will be unavailable \
                     for a brief period and will resume service shortly."
                        .to_owned(),
                ],
            },
        })
    }
}

impl Kv {
    pub fn new(view: View) -> Self {
        Self { view }
    }

    async fn exists(&self, call: &Call<'_>) -> Result<bool, Error> {
        match path::secret(call) {
            Ok(path) => Ok(self.view.get(&key(path)).await?.is_some()),
            Err(_) => Ok(false),
        }
    }

    async fn read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = path::secret(call)?;
        let Some(stored) = self.view.get(&key(path)).await? else {
            self.still_here().await?;
            return Err(Error::NotFound);
        };
        let data = stored.value.expose();
        let lifetime = lifetime(data);
        Ok(Reply {
            lease_duration: lifetime.unwrap_or(0),
            default_lease: lifetime.is_none(),
            ..Reply::raw(Json::raw(data.clone()))
        })
    }

    async fn write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = path::written(call)?;
        let members = call.decode::<BTreeMap<String, Box<RawValue>>>()?;
        if members.is_empty() {
            return Err(Error::bad("missing data fields"));
        }
        self.commit(Batch::new().put(key(path), json(&members)?))
            .await
    }

    async fn delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = path::written(call)?;
        self.commit(Batch::new().delete(key(path))).await
    }

    async fn list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let folder = key(&path::folder(call)?);
        // This version has no pages, so that what is behind a policy's bound on one could never be
        // listed: the bound is told to have no effect, as a caller's own is.
        if call.caller.page_limit.is_some() {
            call.note_unknown(vec!["limit".to_owned()]);
        }
        let page = self.view.list(&folder, "", 0).await?;
        self.still_here().await?;
        keys(page.names)
    }

    async fn scan(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let folder = key(&path::folder(call)?);
        let limit = call.caller.page_limit.unwrap_or(0);
        let paths = scan::below(&self.view, &folder, limit).await?;
        self.still_here().await?;
        keys(paths)
    }

    /// Writes come in any order, but none after the takeover has begun.
    async fn commit(&self, batch: Batch) -> Result<Reply, Error> {
        match self.view.commit(batch.absent(takeover::KEY)).await {
            Ok(_) => Ok(Reply::none()),
            Err(error) if error.is_conflict() => Err(takeover::busy()),
            Err(error) => Err(error),
        }
    }

    /// What was not found may have been taken over since the request came in.
    async fn still_here(&self) -> Result<(), Error> {
        match self.view.get(takeover::KEY).await? {
            Some(_) => Err(takeover::busy()),
            None => Ok(()),
        }
    }
}

/// Seconds that a secret says it may be kept, in its member `ttl` or `lease`.
fn lifetime(data: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Lifetime<'a> {
        #[serde(borrow, default)]
        ttl: Option<&'a RawValue>,
        #[serde(borrow, default)]
        lease: Option<&'a RawValue>,
    }
    let said = serde_json::from_slice::<Lifetime<'_>>(data).ok()?;
    let Seconds(seconds) = match serde_json::from_str(said.ttl.or(said.lease)?.get()).ok()? {
        Scalar::Text(text) => duration::parse(&text).ok()?,
        Scalar::Int(seconds) => Seconds(seconds),
        Scalar::BigInt(_) | Scalar::Float(_) | Scalar::Bool(_) => return None,
    };
    u64::try_from(seconds).ok()
}
