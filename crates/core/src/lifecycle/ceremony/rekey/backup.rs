//! New shares, as they were encrypted for their recipients, kept for those who lose theirs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NewShares;
use crate::barrier::json;
use crate::error::Error;
use crate::lifecycle::unsealed::Unsealed;
use crate::ports::storage::Batch;

/// The record in core's own view.
const RECORD: &str = "shares-backup";

/// Encrypted shares by the fingerprints of their recipients' keys.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Backup {
    /// Of the rekey that made them.
    pub nonce: String,
    /// Hex of the messages.
    pub keys: BTreeMap<String, Vec<String>>,
}

impl Backup {
    pub(super) fn of(made: &NewShares) -> Self {
        let mut keys = BTreeMap::<_, Vec<_>>::new();
        let names = made.fingerprints.iter().flatten();
        for (name, message) in names.zip(&made.shares) {
            let kept = keys.entry(name.clone()).or_default();
            kept.push(hex::encode(message.expose()));
        }
        let nonce = made.nonce.clone();
        Self { nonce, keys }
    }

    /// Adds it to the commit that makes the shares count.
    pub(super) fn keep(&self, vault: &Unsealed, batch: Batch) -> Result<Batch, Error> {
        let kept = Batch::new().put(RECORD, json(self)?);
        Ok(batch.and(vault.system.sealed(kept)?))
    }
}

impl Unsealed {
    /// What is kept of the last rekey that asked for it.
    pub(crate) async fn shares_backup(&self) -> Result<Backup, Error> {
        let kept = self.system.read::<Backup>(RECORD).await?;
        let none = || Error::bad("no backed-up keys found");
        kept.map(|(backup, _)| backup).ok_or_else(none)
    }

    /// Keeps it no more; none is no error.
    pub(crate) async fn drop_shares_backup(&self) -> Result<(), Error> {
        let attempt = || async { self.system.commit(Batch::new().delete(RECORD)).await };
        self.system.change(RECORD, attempt).await?;
        Ok(())
    }
}
