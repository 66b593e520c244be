//! Shares, given one after another, until there are enough.
//!
//! A share is compared with the checks of today's shares when it comes, so a foreign one is told so
//! and takes nothing from those who came before.

use keyfold_keys::{Share, UnsealKey};

use crate::error::Error;
use crate::lifecycle::seals::{FOREIGN, ShamirSeal, Wraps};

/// The shares given so far.
#[derive(Default)]
pub(super) struct Gathering(Vec<Share>);

/// What a share led to.
pub(super) enum Given {
    /// More are needed.
    More,
    /// It had been given before, and counts once.
    Again,
    /// Enough: what they combine to. The gathering is empty again.
    All(UnsealKey),
}

impl Gathering {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Takes a share.
    pub(super) fn give(&mut self, share: Share, wraps: &Wraps) -> Result<Given, Error> {
        let seal = shares_of(wraps)?;
        // The shares of an old store have no checks: what they give is tried together.
        if seal.knows(&share) == Some(false) {
            return Err(Error::bad(FOREIGN));
        }
        if self.0.iter().any(|known| known.ct_eq(&share)) {
            return Ok(Given::Again);
        }
        self.0.push(share);
        if self.0.len() < usize::from(seal.threshold) {
            return Ok(Given::More);
        }
        let shares = std::mem::take(&mut self.0);
        UnsealKey::of(&shares, seal.threshold)
            .map(Given::All)
            .map_err(|_| Error::bad("the given shares do not fit together"))
    }
}

/// The shares of the store, where it has any.
pub(super) fn shares_of(wraps: &Wraps) -> Result<&ShamirSeal, Error> {
    let none = || Error::bad("this store has no shares: nobody can show that they hold some");
    let shares = wraps.shares.as_ref().ok_or_else(none)?;
    Ok(&shares.record)
}
