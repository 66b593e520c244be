//! Portions of a whole store.

use keyfold_core::ports::storage::StorageError;
use keyfold_core::ports::whole::{PORTION, Portion};

/// A portion that is being filled.
#[derive(Default)]
pub(super) struct Filled {
    entries: Portion,
    bytes: usize,
}

impl Filled {
    /// Takes an entry, or is full. The first one is always taken.
    pub fn take(&mut self, key: &str, value: &[u8]) -> bool {
        let bytes = self.bytes + key.len() + value.len();
        if !self.entries.is_empty() && bytes > PORTION {
            return false;
        }
        self.bytes = bytes;
        self.entries.push((key.to_owned(), value.to_vec()));
        true
    }

    /// What it has.
    pub fn into_inner(self) -> Portion {
        self.entries
    }
}

/// What a stage is told after another has begun.
pub(super) fn overtaken() -> StorageError {
    StorageError::Conflict("what was staged: another restore has begun since".into())
}
