//! Collects shares. Sans-IO: what they open is tried by the caller.

use std::sync::{Mutex, PoisonError};

use keyfold_keys::{Share, UnsealKey};

use super::seals::Set;
use crate::error::Error;
use crate::id;

/// A sealed vault: the shares given so far.
#[derive(Default)]
pub struct Sealed {
    /// Somebody sealed it: no seal is to open it by itself.
    pub by_hand: bool,
    round: Mutex<Round>,
    /// What the shares gave, where it takes more than them.
    part: Mutex<Option<Share>>,
}

#[derive(Default)]
struct Round {
    nonce: String,
    shares: Vec<(Set, Share)>,
}

impl Round {
    /// Shares of one set.
    fn of(&self, set: Set) -> usize {
        self.shares.iter().filter(|(of, _)| *of == set).count()
    }
}

/// How far a round of shares is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Different shares given.
    pub given: usize,
    /// They are of the second of two sets.
    pub of_next: bool,
    /// Names the round, while one is under way.
    pub nonce: String,
}

/// What a share led to.
pub(super) enum Step {
    /// More are needed.
    More,
    /// Enough: what they combine to, which may be the wrong key.
    Enough(UnsealKey),
}

impl Sealed {
    /// One that stays sealed until a restart, or until people open it.
    pub(super) fn by_hand() -> Self {
        Self {
            by_hand: true,
            ..Self::default()
        }
    }

    /// Seals may open it: nobody sealed it, or people have given their part since.
    pub(super) fn is_to_open(&self) -> bool {
        !self.by_hand || self.part().is_some()
    }

    /// How far the round is.
    pub fn progress(&self) -> Progress {
        let round = self.round();
        let [today, next] = [Set::Today, Set::Next].map(|set| round.of(set));
        Progress {
            given: today.max(next),
            of_next: next > today,
            nonce: round.nonce.clone(),
        }
    }

    /// Takes a share; the same one twice counts once. With the last one of a set the round is over,
    /// whatever comes of it, and the shares are wiped.
    pub(super) fn give(&self, share: Share, set: Set, threshold: u8) -> Result<Step, Error> {
        let mut round = self.round();
        if round.shares.iter().any(|(_, known)| known.ct_eq(&share)) {
            return Ok(Step::More);
        }
        if round.shares.is_empty() {
            round.nonce = id::uuid();
        }
        round.shares.push((set, share));
        if round.of(set) < usize::from(threshold) {
            return Ok(Step::More);
        }
        let given = std::mem::take(&mut *round).shares;
        let of_set = given.into_iter().filter(|(of, _)| *of == set);
        let shares: Vec<_> = of_set.map(|(_, share)| share).collect();
        let key = UnsealKey::of(&shares, threshold).map_err(|error| {
            Error::bad(format!(
                "the given shares do not fit together: {error}. All of them have to be given again"
            ))
        })?;
        Ok(Step::Enough(key))
    }

    /// Forgets the shares given so far.
    pub(super) fn reset(&self) {
        *self.round() = Round::default();
        *self.kept() = None;
    }

    /// Keeps the share holders' part until the others have come.
    pub(super) fn keep(&self, part: Share) {
        *self.kept() = Some(part);
    }

    /// The share holders' part, once they gave their shares.
    pub(super) fn part(&self) -> Option<Share> {
        let kept = self.kept();
        kept.as_ref()
            .and_then(|part| Share::from_bytes(part.as_bytes()).ok())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Share>> {
        // It is there or not after every operation.
        self.part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn round(&self) -> std::sync::MutexGuard<'_, Round> {
        // A round is whole after every operation.
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
