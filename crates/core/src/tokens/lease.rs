//! A token with an end is a lease, and stands in an order by the path that made it:
//!
//! ```text
//!   sys/lease/<path>/h<h>          nothing; on the wire the id of the lease is <path>/h<h>
//! ```
//!
//! The entry is written and removed with the token. Nothing of the order is held in memory.

use std::sync::Arc;

use super::record::{Hash, Kind, Token};
use super::store::{PAGE, Tokens};
use crate::error::Error;

pub(super) const LEASE: &str = "lease/";
/// Hex digits of a token's name.
const NAME: usize = 64;

impl Token {
    /// Its id as a lease; none where it has no end, or no record.
    pub fn lease_id(&self) -> Option<String> {
        let is_lease = self.expires.is_some() && self.kind == Kind::Service;
        is_lease.then(|| format!("{}/h{}", folder(&self.path), self.hash.0))
    }

    /// The key of its place in the order of leases.
    pub(super) fn lease_key(&self) -> Option<String> {
        self.lease_id().map(|id| format!("{LEASE}{id}"))
    }
}

impl Tokens {
    /// The living token of a lease.
    pub async fn leased(&self, id: &str) -> Result<Option<Arc<Token>>, Error> {
        let token = self.of_lease(id).await?;
        self.living(token, self.clock.now()).await
    }

    /// Revokes the token of a lease; one that is not there is no error.
    pub async fn revoke_lease(&self, id: &str) -> Result<(), Error> {
        match self.of_lease(id).await? {
            Some(token) => self.revoke(&token.hash).await,
            None => Ok(()),
        }
    }

    async fn of_lease(&self, id: &str) -> Result<Option<Arc<Token>>, Error> {
        let Some(hash) = id.rsplit('/').next().and_then(named) else {
            return Ok(None);
        };
        let token = self.by_hash(&hash).await?;
        Ok(token.filter(|token| token.lease_id().as_deref() == Some(id)))
    }

    /// Names directly below a path: of leases, and of paths that go on.
    pub async fn leases(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let below = below(prefix);
        let mut names: Vec<String> = Vec::new();
        loop {
            let after = names.last().cloned().unwrap_or_default();
            let page = self.view.list(&below, &after, PAGE).await?;
            names.extend(page.names);
            if !page.more {
                return Ok(names);
            }
        }
    }
}

/// The storage folder of a path.
pub(super) fn below(prefix: &str) -> String {
    match folder(prefix).as_str() {
        "" => LEASE.to_owned(),
        path => format!("{LEASE}{path}/"),
    }
}

/// The token of a last segment.
pub(super) fn named(segment: &str) -> Option<Hash> {
    let hash = segment.strip_prefix('h')?;
    let is_hash = hash.len() == NAME && hash.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then(|| Hash::of(hash))
}

/// A path as a storage key can hold it: no segment is empty.
fn folder(path: &str) -> String {
    let segments: Vec<_> = path.split('/').filter(|s| !s.is_empty()).collect();
    segments.join("/")
}
