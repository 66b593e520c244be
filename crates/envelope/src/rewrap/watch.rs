//! [`Watch`]: whoever looks at a run while it goes on.

use std::path::Path;

use crate::error::Error;
use crate::key_service::WrappedDek;
use crate::locator::Locator;
use crate::progress::{NoProgress, Progress};

/// Told what a run does, as it does it. Called from several threads.
pub trait Watch: Progress {
    /// One item was changed, or left as it was because of an error. Those that had nothing to do
    /// are not told.
    fn done(&self, _done: &Done<'_>) {}

    /// True once the run is to end. What is being written then is finished.
    fn stops(&self) -> bool {
        false
    }
}

/// What became of one item.
#[derive(Debug)]
pub struct Done<'a> {
    /// What the store calls it.
    pub place: &'a Path,
    /// The KEK, once it was known.
    pub key: Option<&'a Locator>,
    /// What became of it.
    pub outcome: Outcome<'a>,
}

/// What became of one item under one KEK.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// It has a new wrap.
    Rewrapped {
        /// The wrap it had.
        old: &'a WrappedDek,
        /// The version of its new one.
        version: u32,
    },
    /// A left-over of an earlier run was retired.
    Retired,
    /// A new envelope is whole, and is about to take the old one's place.
    Replacing {
        /// The name of the new one.
        object_id: &'a [u8; 16],
    },
    /// It was left as it was.
    Failed(&'a Error),
}

impl Watch for NoProgress {}
