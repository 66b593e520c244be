//! Whether this node may answer: what it has in memory is not older than it may be, nor older than what
//! the caller has seen.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::lifecycle::Core;
use crate::ports::storage::Revision;

/// How long a caller waits for what it has seen elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);

impl Core {
    /// [`Error::Stale`] where this node has lost touch with the store, [`Error::Behind`] where it has not
    /// heard of the commit that the caller has seen.
    pub(super) async fn fresh(&self, seen: Option<Revision>) -> Result<(), Error> {
        let Some(nodes) = self.storage().nodes() else {
            return Ok(());
        };
        // In this order: a lease that is asked for first can't end behind the moment it is compared with.
        let is_over = || nodes.lease() <= Instant::now();
        if is_over() {
            return Err(Error::Stale);
        }
        match seen {
            Some(seen) if !nodes.reached(seen, PATIENCE).await => Err(Error::Behind),
            Some(_) if is_over() => Err(Error::Stale),
            _ => Ok(()),
        }
    }

    /// Whether it may, for those who only look.
    pub fn is_fresh(&self) -> bool {
        let nodes = self.storage().nodes();
        nodes.is_none_or(|nodes| nodes.lease() > Instant::now())
    }

    /// The newest commit that this node knows of, for the next request of whoever is answered, to any
    /// node; `None` where there is one node.
    pub fn index(&self) -> Option<Revision> {
        self.storage().nodes().map(|nodes| nodes.at())
    }
}
