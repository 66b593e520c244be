//! The whole of a store at once: read as one commit left it, or replaced in one step.
//!
//! The contract, which `core::testing::storage_suite` checks for every driver:
//!
//! - A [`Whole`] shows every entry as one commit left it, however many commits follow. It keeps room
//!   in the store from being used again, so it is not held for longer than it is read.
//! - What is [`Staged`] is seen by no read and named by no watcher until [`Staged::adopt`]; dropped
//!   without it, or after a crash, it is as if it had never been.
//! - [`Staged::adopt`] is a commit: atomic and durable. After it the store holds what was added and
//!   nothing else, at revisions that no entry had before. Watchers get a change with
//!   [`Change::replaced`].
//! - There is one stage at a time. One that begins ends the one before, whose `add` and `adopt` get
//!   [`StorageError::Conflict`] from then on.
//!
//! [`Change::replaced`]: super::storage::Change::replaced

use async_trait::async_trait;

use super::storage::{Revision, StorageError};

/// Bytes of keys and values that are handed on at a time; an entry that alone is larger comes alone.
pub const PORTION: usize = 64 * 1024;

/// Keys and values.
pub type Portion = Vec<(String, Vec<u8>)>;

/// All entries as one commit left them.
#[async_trait]
pub trait Whole: Send {
    /// The last commit that it shows.
    fn revision(&self) -> Revision;

    /// The next entries, in byte order of their keys, of about [`PORTION`] bytes; none at the end.
    async fn next(&mut self) -> Result<Portion, StorageError>;
}

/// What is to take the place of everything that is stored.
#[async_trait]
pub trait Staged: Send {
    /// Adds entries, in any order; of two at one key the later counts.
    async fn add(&mut self, portion: Portion) -> Result<(), StorageError>;

    /// Puts what was added in the place of everything.
    async fn adopt(self: Box<Self>) -> Result<Revision, StorageError>;
}
