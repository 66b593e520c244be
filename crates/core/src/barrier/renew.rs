//! Records under the newest version of their dek, one at a time.

use keyfold_keys::record;

use super::deks::Versions;
use super::{View, Walk};
use crate::error::Error;
use crate::ports::storage::{Batch, Revision, Storage};

/// What a look at a record showed.
pub(crate) enum Look {
    /// It is under the newest version, or not there any more.
    Fresh,
    /// It is under an older one: the same record under the newest, in the place of what was read.
    Stale(Renewed),
    /// It opens under no key: it was noise before.
    Damaged,
}

/// A record under another version than it is stored.
pub(crate) struct Renewed {
    /// The storage key, in full.
    key: String,
    bytes: Vec<u8>,
    read: Revision,
}

impl Renewed {
    /// Its length in the store.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds it to a batch of storage keys. Whoever was faster sealed it under the newest version,
    /// so a conflict is no loss.
    pub fn put(&self, batch: Batch) -> Batch {
        batch
            .unchanged(self.key.clone(), self.read)
            .put(self.key.clone(), self.bytes.clone())
    }
}

impl View {
    /// All its keys after one of them.
    pub(crate) fn walk(&self, after: &str) -> Walk {
        Walk::new(&self.prefix, after)
    }

    /// The store below.
    pub(crate) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// The version of the dek that seals.
    pub(crate) fn version(&self) -> Option<u32> {
        self.deks.newest()
    }

    /// Looks at a record, and seals it under the newest version where it is not.
    pub(crate) async fn renew(&self, key: &str) -> Result<Look, Error> {
        let full = self.full(key);
        let Some(entry) = self.storage.get(&full).await? else {
            return Ok(Look::Fresh);
        };
        let Ok(version) = record::version(&entry.value) else {
            return Ok(Look::Damaged);
        };
        if Some(version) == self.version() {
            return Ok(Look::Fresh);
        }
        let value = match self.deks.open(&full, &entry.value) {
            Ok(value) => value,
            Err(Error::Corrupt(_)) => return Ok(Look::Damaged),
            Err(error) => return Err(error),
        };
        let with: &Versions = &self.deks.sealing();
        Ok(Look::Stale(Renewed {
            bytes: self.deks.seal(with, &full, value.expose())?,
            key: full,
            read: entry.revision,
        }))
    }
}
