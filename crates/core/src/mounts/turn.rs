//! Whose turn it is to change the table of mounts, or the keys above it.

use std::time::Duration;

use super::Mounts;
use crate::barrier::heard;
use crate::error::Error;
use crate::ports::storage::{Batch, LockGuard, Revision, Storage};

/// Of several nodes one changes mounts and keys. Who waits for the others to hear of a change holds no
/// lock that one of them needs for that, since nobody else is at a change of his own.
const LOCK: (&str, Duration) = ("mounts", Duration::from_secs(30));
/// How often a turn that another node has is asked for.
const AGAIN: Duration = Duration::from_millis(20);
/// How long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Excludes changes of the table and of the keys, on this node and on others.
pub(crate) struct Turn<'m> {
    among_nodes: Option<Box<dyn LockGuard>>,
    here: tokio::sync::MutexGuard<'m, ()>,
}

impl Turn<'_> {
    /// The batch, if the turn has not passed to another node by then.
    pub fn demanded(&self, batch: Batch) -> Batch {
        match &self.among_nodes {
            None => batch,
            Some(lock) => batch.held(LOCK.0, lock.fence()),
        }
    }

    /// Ends it once every node has heard of a commit. What this node's own feed needs to hear of it is
    /// let go before.
    pub async fn heard(self, storage: &dyn Storage, revision: Revision) -> Result<(), Error> {
        drop(self.here);
        let heard = heard::wait(storage, revision).await;
        drop(self.among_nodes);
        Ok(heard?)
    }
}

impl Mounts {
    /// Waits for a turn. [`Error::Contended`] where another node does not end its own.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>, Error> {
        let among_nodes = self.among_nodes().await?;
        Ok(Turn {
            among_nodes,
            here: self.changing.lock().await,
        })
    }

    async fn among_nodes(&self) -> Result<Option<Box<dyn LockGuard>>, Error> {
        let storage = self.barrier.storage();
        if storage.nodes().is_none() {
            return Ok(None);
        }
        let asked = async {
            loop {
                if let Some(lock) = storage.lock(LOCK.0, LOCK.1).await? {
                    return Ok(Some(lock));
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        let asked = tokio::time::timeout(PATIENCE, asked).await;
        asked.unwrap_or(Err(Error::Contended))
    }
}
