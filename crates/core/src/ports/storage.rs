//! Where bytes are kept. A driver sees storage keys and ciphertext, nothing else.
//!
//! The contract, which `core::testing::storage_suite` checks for every driver:
//!
//! - A key is non-empty UTF-8 text of at most [`MAX_KEY`] bytes without control characters; `/`
//!   separates its segments and no segment is empty. A value may be empty and has at most
//!   [`MAX_VALUE`] bytes.
//! - [`Storage::commit`] is atomic and durable: when it has returned `Ok`, every later read (after
//!   a crash, too) sees all of the batch; when it has returned `Err`, no read ever sees any of it,
//!   except [`StorageError::Unknown`], where either is possible and the caller has to look.
//! - Checks hold at the moment of the commit: of two batches that both demand that a key is absent,
//!   exactly one succeeds and the other gets [`StorageError::Conflict`].
//! - Revisions grow with every commit and are never used twice, across restarts too. The revision
//!   of an entry is that of the commit that wrote it last.
//! - A read that starts after a commit returned sees that commit.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::nodes::Nodes;
pub use super::whole::{Staged, Whole};

/// Longest storage key, bytes.
pub const MAX_KEY: usize = 32 * 1024;
/// Largest stored value, bytes.
pub const MAX_VALUE: usize = 64 * 1024 * 1024;

/// A number that grows with each commit of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// A stored value and the commit that wrote it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was put.
    pub value: Vec<u8>,
    /// The commit that put it.
    pub revision: Revision,
}

/// One page of names directly below a prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Names in byte order: `a` for a value at `prefix/a`, `a/` for values deeper down.
    pub names: Vec<String>,
    /// There are names after the last of these.
    pub more: bool,
}

/// What must hold for a batch to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Nothing is stored at the key.
    Absent(String),
    /// Something is stored at the key, whatever it is.
    Present(String),
    /// The entry at the key was written by just this commit.
    Unchanged(String, Revision),
    /// The lock of that name is held under just this fencing token.
    Held(String, u64),
}

/// Changes that happen together or not at all. A key stands in at most one put or delete.
#[derive(Clone, Default)]
pub struct Batch {
    /// Demands, all of which must hold.
    pub checks: Vec<Check>,
    /// Keys to write.
    pub puts: Vec<(String, Vec<u8>)>,
    /// Keys to remove; removing what is absent is no error.
    pub deletes: Vec<String>,
    /// No node keeps in memory what stands at these keys, or it counts for nothing there any more: that it
    /// is stored is enough, and the other nodes need not have heard of it. A driver need not look at this.
    pub quiet: bool,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a write.
    pub fn put(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.puts.push((key.into(), value.into()));
        self
    }

    /// Adds a removal.
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.deletes.push(key.into());
        self
    }

    /// Demands that nothing is stored at the key.
    pub fn absent(mut self, key: impl Into<String>) -> Self {
        self.checks.push(Check::Absent(key.into()));
        self
    }

    /// Demands that something is stored at the key.
    pub fn present(mut self, key: impl Into<String>) -> Self {
        self.checks.push(Check::Present(key.into()));
        self
    }

    /// Demands that the entry at the key is the one that was read.
    pub fn unchanged(mut self, key: impl Into<String>, revision: Revision) -> Self {
        self.checks.push(Check::Unchanged(key.into(), revision));
        self
    }

    /// Demands that the lock of that name is still held under a fencing token.
    pub fn held(mut self, name: impl Into<String>, fence: u64) -> Self {
        self.checks.push(Check::Held(name.into(), fence));
        self
    }

    /// Says that the other nodes need not have heard of it: see [`Batch::quiet`].
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Both batches in one.
    pub fn and(mut self, other: Self) -> Self {
        self.quiet = self.quiet && (other.quiet || other.is_empty());
        self.checks.extend(other.checks);
        self.puts.extend(other.puts);
        self.deletes.extend(other.deletes);
        self
    }

    /// Every key that the batch writes or removes.
    pub fn touched(&self) -> impl Iterator<Item = &str> {
        self.puts
            .iter()
            .map(|(k, _)| k.as_str())
            .chain(self.deletes.iter().map(String::as_str))
    }

    /// What was read before it may be wrong after it, on another node too: it removes something, or
    /// replaces what may have been there.
    pub fn may_replace(&self) -> bool {
        let is_new = |key: &String| {
            let absent = |check: &Check| matches!(check, Check::Absent(absent) if absent == key);
            self.checks.iter().any(absent)
        };
        !self.deletes.is_empty() || !self.puts.iter().all(|(key, _)| is_new(key))
    }

    /// Nothing to check and nothing to change.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.puts.is_empty() && self.deletes.is_empty()
    }
}

/// The keys that one commit touched, for the caches above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The commit.
    pub revision: Revision,
    /// The keys it wrote or removed.
    pub keys: Vec<String>,
    /// It put something else in the place of all that was stored, which `keys` does not name.
    pub replaced: bool,
}

/// Why the store did not do it. Texts name storage keys and causes, never values.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// A check did not hold; nothing was changed. The caller may read again and retry.
    #[error("another writer changed {0}")]
    Conflict(String),
    /// The batch breaks the contract; nothing was changed.
    #[error("invalid batch: {0}")]
    Invalid(String),
    /// A key or a value is longer than [`MAX_KEY`] or [`MAX_VALUE`]; nothing was changed. Keys are
    /// made of names and values of what is to be kept, so it is the caller's doing.
    #[error("too long: {0}")]
    TooLong(String),
    /// The store failed before anything was changed.
    #[error("storage failed: {0}")]
    Failed(String),
    /// The store failed and cannot say whether the batch was applied.
    #[error("storage failed, outcome unknown: {0}")]
    Unknown(String),
}

/// A named lock, free again when this is dropped or its time to live has passed.
pub trait LockGuard: Send + Sync {
    /// Still ours: false once the time to live has passed. A lock is not renewed; whoever needs it
    /// for longer lets go and takes it again.
    fn held(&self) -> bool;

    /// The fencing token: larger than that of every earlier holder. What is written under the lock
    /// demands [`Check::Held`] with it, so that a holder that was paused while its time ran out
    /// writes nothing more.
    fn fence(&self) -> u64;
}

/// A store. See the module for the contract.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// The entry at a key.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StorageError>;

    /// Names directly below `prefix` (empty, or ending in `/`), in byte order, after the name
    /// `after` (empty: from the start; it need not exist), at most `limit` (0: no bound).
    async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, StorageError>;

    /// Applies a batch; the revision of the commit.
    async fn commit(&self, batch: Batch) -> Result<Revision, StorageError>;

    /// Every commit after the call, in order. A receiver that lags gets
    /// [`broadcast::error::RecvError::Lagged`] and has to drop all it has cached.
    fn watch(&self) -> broadcast::Receiver<Change>;

    /// Takes a named lock, or `None` while another holds it.
    async fn lock(
        &self,
        name: &str,
        ttl: Duration,
    ) -> Result<Option<Box<dyn LockGuard>>, StorageError>;

    /// All entries as the last commit left them; see [`super::whole`].
    async fn whole(&self) -> Result<Box<dyn Whole>, StorageError>;

    /// Begins what is to take the place of everything; see [`super::whole`].
    async fn stage(&self) -> Result<Box<dyn Staged>, StorageError>;

    /// The other nodes on this store; `None` where there can be none.
    fn nodes(&self) -> Option<&dyn Nodes> {
        None
    }

    /// `inmem`, `redb`, …: what `seal-status` reports as `storage_type`.
    fn kind(&self) -> &'static str;
}
