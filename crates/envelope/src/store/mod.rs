//! The port to a place that holds envelopes, for jobs over many of them: rewrap and census.
//!
//! A job lists a place, takes a batch of what was listed, reads what wraps each item, and changes
//! that under a guard; several batches at once. Nothing of a run is kept: what an item holds is the
//! truth, and a second run goes by that.

mod change;
mod directories;
mod pages;

use std::path::PathBuf;

use crate::cobblestone::PayloadKey;
use crate::error::Error;
use crate::header::{HEADER_LEN, Header};
use crate::key_service::{Aad, WrappedDek};
use crate::locator::Locator;

pub use change::{Added, Change};
#[cfg(test)]
pub(crate) use directories::apply;
pub use directories::{Directories, Durability, Spot};
pub(crate) use directories::{Sectors, lock};
pub(crate) use pages::{Pages, in_parallel};

/// A place that holds envelopes, or single wraps. Called from several threads at once.
pub trait Store: Sync {
    /// One item: where it is, and what a guarded change of it has to know.
    type Entry: Send;

    /// Names everything there is, in an order that stays while nothing is added or removed. It is
    /// read as it goes, so a long list is never held. What can't be listed is told in its place.
    fn list(&self) -> Box<dyn Iterator<Item = Result<Self::Entry, Unreadable>> + Send + '_>;

    /// How many items [`Store::list`] names; `None` where counting costs as much as the job.
    fn count(&self) -> Option<u64>;

    /// How many items are best read and changed together.
    fn batch(&self) -> usize;

    /// What reports call the item: its path, its address, its table and key.
    fn name(&self, entry: &Self::Entry) -> PathBuf;

    /// Reads what wraps each entry; one answer an entry, in order. `None` is something else that
    /// lies among the envelopes.
    fn read(&self, entries: &mut [Self::Entry]) -> Vec<Result<Option<Found>, Error>>;

    /// Carries out changes; one answer each, in order. A change is made only to an item that holds
    /// what the change was planned on ([`Change`]), whoever else writes; else the answer is
    /// [`Error::SlotsChanged`]. Interrupted at any moment, each item can be opened as before or as
    /// after. An item may be changed again in the same run, by another entry of the slice or later.
    fn change(&self, changes: &[(&Self::Entry, &Change)]) -> Vec<Result<Written, Error>>;

    /// Authenticates the whole payload, which is not touched.
    fn check_payload(&self, entry: &Self::Entry, key: &PayloadKey) -> Result<(), Error>;

    /// Returns when every change so far would survive a loss of power: called once, at the end.
    fn settle(&self) -> Result<(), Error>;
}

/// What an item holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// The header of an envelope.
    Header(Box<Header>),
    /// One wrap and nothing around it: a column of a row. There is no commitment to check a key by.
    Wrap {
        /// The KEK, which the place says once for all its wraps.
        locator: Locator,
        /// The wrap.
        wrapped: WrappedDek,
        /// What it is bound to, where it is.
        aad: Option<Aad>,
    },
}

/// An item that was read.
pub struct Found {
    /// What wraps its DEK.
    pub content: Content,
    /// Bytes of the item, header and payload, as far as the place tells.
    pub len: u64,
}

impl Found {
    /// Bytes behind the header.
    #[must_use]
    pub fn payload_len(&self) -> u64 {
        match self.content {
            Content::Header(_) => self.len.saturating_sub(HEADER_LEN as u64),
            Content::Wrap { .. } => self.len,
        }
    }
}

/// What was written to one item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes.
    pub bytes: u64,
    /// True where the item got a new wrap.
    pub new_wrap: bool,
}

/// An item that could not be read, or was left as it was.
#[derive(Debug)]
pub struct Unreadable {
    /// What [`Store::name`] calls it.
    pub path: PathBuf,
    /// Why not.
    pub error: Error,
}
