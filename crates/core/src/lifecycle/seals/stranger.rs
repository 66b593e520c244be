//! What is wrong with a share that opens nothing.

use std::cmp::Ordering;

use keyfold_keys::Share;

use super::wraps::{Set, Wraps};
use crate::error::Error;

/// What is said of a share that is none, where nothing more is known of it.
pub(crate) const FOREIGN: &str = "this is none of the shares of today: a mistyped one, one of \
                                  another store, or one from before a rekey";

impl Wraps {
    /// What whoever gave a share is told, which is of no set of today.
    pub(in crate::lifecycle) fn stranger(&self, share: &Share) -> Error {
        let sets = [Set::Today, Set::Next].map(|set| self.set(set).map(|kept| &kept.record));
        let mut known = sets.into_iter().flatten();
        if known.clone().any(|shares| shares.knew(share)) {
            return Error::bad(
                "this is a share of before: new ones have taken the place of its set, and it opens \
                 nothing any more",
            );
        }
        let has = share.as_bytes().len();
        let whole = known.next().map_or(has, |set| Share::length(set.threshold));
        match has.cmp(&whole) {
            Ordering::Less => Error::bad(format!(
                "a part of the share is missing: it has {has} bytes, and those of this store have \
                 {whole}"
            )),
            Ordering::Greater => Error::bad(format!(
                "the share is too long: it has {has} bytes, and that of this store has {whole}"
            )),
            Ordering::Equal => Error::bad(FOREIGN),
        }
    }
}
