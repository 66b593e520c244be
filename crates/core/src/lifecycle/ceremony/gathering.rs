//! Shares, given one after another, until there are enough.
//!
//! A share is compared with the checks of today's shares when it comes, so a foreign one is told so
//! and takes nothing from those who came before.

use keyfold_keys::{Share, UnsealKey};

use crate::error::Error;
use crate::lifecycle::open::WRONG_KEY;
use crate::lifecycle::seals::{Set, ShamirSeal, Tried, Wraps};
use crate::ports::storage::Revision;

/// The shares given so far, all of one set.
#[derive(Default)]
pub(super) struct Gathering {
    set: Option<Set>,
    shares: Vec<Share>,
}

/// What a share led to.
pub(super) enum Given {
    /// More are needed.
    More,
    /// It had been given before, and counts once.
    Again,
    /// Enough: the gathering is empty again.
    All(Shown),
}

/// What enough shares of a set showed.
pub(super) struct Shown {
    /// Which they are.
    pub set: Set,
    /// The commit that stored them.
    pub revision: Revision,
    /// What they combine to.
    pub unseal: UnsealKey,
    /// What that opens: never [`Tried::Wrong`].
    pub tried: Tried,
}

impl Gathering {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.shares.len()
    }

    /// How many are needed.
    pub(super) fn required(&self, wraps: &Wraps) -> u8 {
        let set = self.set.unwrap_or(Set::Today);
        wraps.set(set).map_or(0, |kept| kept.record.threshold)
    }

    /// Takes a share.
    pub(super) fn give(&mut self, share: Share, wraps: &Wraps) -> Result<Given, Error> {
        shares_of(wraps)?;
        let set = wraps.set_of(&share).ok_or_else(|| wraps.stranger(&share))?;
        if self.set.is_some_and(|known| known != set) {
            return Err(Error::bad(
                "this share is of the other of the two sets that open the store: those that were \
                 given before it are not",
            ));
        }
        if self.shares.iter().any(|known| known.ct_eq(&share)) {
            return Ok(Given::Again);
        }
        let kept = wraps.set(set).ok_or(Error::Bug("a set of no shares"))?;
        self.set = Some(set);
        self.shares.push(share);
        if self.shares.len() < usize::from(kept.record.threshold) {
            return Ok(Given::More);
        }
        let shares = std::mem::take(self).shares;
        let unseal = UnsealKey::of(&shares, kept.record.threshold)
            .map_err(|_| Error::bad("the given shares do not fit together"))?;
        match kept.record.attempt(&unseal)? {
            Tried::Wrong => Err(Error::bad(format!(
                "the given shares do not open the store: {WRONG_KEY}"
            ))),
            tried => Ok(Given::All(Shown {
                set,
                revision: kept.revision,
                unseal,
                tried,
            })),
        }
    }
}

/// The shares of the store, where it has any.
pub(super) fn shares_of(wraps: &Wraps) -> Result<&ShamirSeal, Error> {
    let none = || Error::bad("this store has no shares: nobody can show that they hold some");
    let shares = wraps.shares.as_ref().ok_or_else(none)?;
    Ok(&shares.record)
}
