//! What is called done, every node has heard of.

use std::time::Duration;

use crate::ports::storage::{Batch, Revision, Storage, StorageError};

/// How long is waited for the other nodes; their leases are far shorter.
const PATIENCE: Duration = Duration::from_secs(15);

/// Applies a batch, and waits until no node answers with what was there before it.
pub(crate) async fn commit(storage: &dyn Storage, batch: Batch) -> Result<Revision, StorageError> {
    let matters = matters(storage, &batch);
    let revision = storage.commit(batch).await?;
    if matters {
        wait(storage, revision).await?;
    }
    Ok(revision)
}

/// Other nodes may remember what a batch replaces.
pub(super) fn matters(storage: &dyn Storage, batch: &Batch) -> bool {
    storage.nodes().is_some() && !batch.quiet && batch.may_replace()
}

/// Waits until every other node has heard of a commit, or has nothing to say any more. Nothing is held
/// meanwhile that the node needs to hear of the commits of others: they may wait for this one.
pub(crate) async fn wait(storage: &dyn Storage, revision: Revision) -> Result<(), StorageError> {
    let Some(nodes) = storage.nodes() else {
        return Ok(());
    };
    nodes.settled(revision, PATIENCE).await.map_err(|error| {
        StorageError::Unknown(format!(
            "it is stored, and not known whether every node has heard of it: {error}"
        ))
    })
}
