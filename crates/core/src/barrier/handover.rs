//! A keyring that one node changed reaches the others, which have no root key.
//!
//! ```text
//!   node A   one commit: core/keyring            under the root key
//!                        core/handover/<term>    the same keyring under the term before
//!   node B   hears of it, opens the second with the term that it holds, says so
//!   node A   every node has it: core/handover/<term> is removed
//! ```
//!
//! A node that was away longer than its lease may find it gone: then it takes the root key from its
//! seals, or is sealed.

use std::sync::Arc;

use keyfold_keys::{Keyring, Wrapped, Wraps};

use super::{Barrier, Held, KEYRING, heard};
use crate::error::Error;
use crate::ports::storage::{Batch, StorageError};

/// Below this, keyrings under the term that they follow.
pub(crate) const HANDOVER: &str = "core/handover/";
/// Rotations that a node may have missed.
const STEPS: usize = 64;

impl Barrier {
    /// Adds the hand-over to the batch that stores a new keyring, where there may be other nodes.
    pub(super) fn hand_over(
        &self,
        old: &Keyring,
        new: &Keyring,
        batch: Batch,
    ) -> Result<Batch, Error> {
        if self.storage.nodes().is_none() {
            return Ok(batch);
        }
        let active = old.active();
        let key = key(active.term);
        let wrapped: Wrapped<Keyring> = active.kek.wrap(new, key.as_bytes())?;
        Ok(batch.put(key, wrapped.into_bytes()))
    }

    /// The same behind a change of the keyring, which stands whatever comes of it.
    pub(super) async fn handed_over(&self) {
        if let Err(error) = self.end_hand_overs().await {
            tracing::warn!(%error, "the term before still opens the keyring, until the next sweep");
        }
    }

    /// Removes what was handed over, now that every node has heard of it. What a crash left is removed
    /// by whoever sweeps.
    pub(crate) async fn end_hand_overs(&self) -> Result<(), Error> {
        if self.storage.nodes().is_none() {
            return Ok(());
        }
        for name in self.storage.list(HANDOVER, "", 0).await?.names {
            let key = format!("{HANDOVER}{name}");
            let Some(entry) = self.storage.get(&key).await? else {
                continue;
            };
            heard::wait(&*self.storage, entry.revision).await?;
            let batch = Batch::new()
                .unchanged(key.clone(), entry.revision)
                .delete(key);
            match self.storage.commit(batch).await {
                // A later one is for its maker.
                Ok(_) | Err(StorageError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes over the keyring that is stored; false where what this node holds does not open it.
    pub(crate) async fn follow_keyring(&self) -> Result<bool, Error> {
        for _ in 0..STEPS {
            let held = self.keyring.load_full();
            let stored = self.storage.get(KEYRING).await?;
            if stored.is_some_and(|stored| stored.revision == held.revision) {
                return Ok(true);
            }
            let active = held.keyring.active();
            let key = key(active.term);
            let Some(handed) = self.storage.get(&key).await? else {
                return Ok(false);
            };
            let wrapped = Wrapped::<Keyring>::from_bytes(handed.value);
            let Ok(keyring) = active.kek.unwrap(&wrapped, key.as_bytes()) else {
                return Err(Error::corrupt(key));
            };
            if handed.revision <= held.revision {
                return Ok(false);
            }
            let next = Held {
                keyring: Arc::new(keyring),
                revision: handed.revision,
            };
            // Not where this node has changed it meanwhile.
            self.keyring.compare_and_swap(&held, Arc::new(next));
        }
        Ok(false)
    }
}

fn key(term: u32) -> String {
    format!("{HANDOVER}{term}")
}
