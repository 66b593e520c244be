//! The new shares are shown before the old ones go.

use keyfold_keys::{Share, UnsealKey};

use super::renew::{Held, Renewal, was_replaced};
use super::{Backup, Family, Insider};
use crate::error::Error;
use crate::id;
use crate::lifecycle::seals::{ShamirSeal, Tried, Wraps};
use crate::lifecycle::unsealed::Unsealed;
use crate::ports::storage::Revision;

/// New shares that were told, and of which not enough were shown yet. Nothing of them is stored, and
/// no key is held for them.
pub(super) struct Verifying {
    nonce: String,
    held: Held,
    replaces: Option<Revision>,
    record: ShamirSeal,
    given: Vec<Share>,
    backup: Option<Backup>,
}

/// How far the showing is.
#[derive(Clone)]
pub(crate) struct Verification {
    /// Names this round of it.
    pub nonce: String,
    /// The new shares, and how many are needed.
    pub split: (u8, u8),
    /// Shares shown.
    pub progress: usize,
}

/// What a share led to.
pub(crate) enum Verified {
    /// More are to be shown.
    More(Verification),
    /// The new ones are in the place of the old ones.
    Done {
        /// Of this round.
        nonce: String,
        /// Seals that were away, and have no wrap of the new root key yet.
        away: Vec<String>,
    },
}

impl Verifying {
    pub(super) fn new(
        held: Held,
        replaces: Option<Revision>,
        record: ShamirSeal,
        backup: Option<Backup>,
    ) -> Self {
        Self {
            nonce: id::uuid(),
            held,
            replaces,
            record,
            given: Vec::new(),
            backup,
        }
    }

    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    fn status(&self) -> Verification {
        Verification {
            nonce: self.nonce.clone(),
            split: (self.record.shares, self.record.threshold),
            progress: self.given.len(),
        }
    }

    /// All have to be shown again, under another name.
    fn restart(&mut self) {
        self.given.clear();
        self.nonce = id::uuid();
    }

    /// Takes a share; the unseal key, once there are enough.
    fn give(&mut self, share: Share, family: Family) -> Result<Option<UnsealKey>, Error> {
        let wrong = || {
            let failed = "verification failed; incorrect key shares supplied";
            Err(Error::bad(family.says(failed)))
        };
        if self.record.knows(&share) != Some(true) {
            self.restart();
            return wrong();
        }
        if self.given.iter().any(|known| known.ct_eq(&share)) {
            let again = "given key has already been provided during this verification";
            return Err(Error::bad(again));
        }
        self.given.push(share);
        if self.given.len() < usize::from(self.record.threshold) {
            return Ok(None);
        }
        let shares = std::mem::take(&mut self.given);
        let unseal = UnsealKey::of(&shares, self.record.threshold)?;
        match self.record.attempt(&unseal)? {
            Tried::Proves => Ok(Some(unseal)),
            _ => wrong(),
        }
    }
}

impl Unsealed {
    /// How far the showing is.
    pub(crate) async fn verify_status(&self, family: Family) -> Result<Verification, Error> {
        let place = self.ceremonies.rekey(family).lock().await;
        let none = || Error::bad(format!("no {} configuration found", family.word()));
        let attempt = place.as_ref().ok_or_else(none)?;
        let verifying = attempt.verifying.as_ref();
        Ok(verifying.ok_or_else(|| not_yet(family))?.status())
    }

    /// Takes one of the new shares; with the last one they count.
    pub(crate) async fn verify_give(
        &self,
        family: Family,
        share: Share,
        nonce: &str,
    ) -> Result<Verified, Error> {
        let mut place = self.ceremonies.rekey(family).lock().await;
        let attempt = place
            .as_mut()
            .ok_or_else(|| Error::bad(family.says_none()))?;
        let new_root = attempt.terms.family.is_root();
        let verifying = attempt.verifying.as_mut();
        let verifying = verifying.ok_or_else(|| not_yet(family))?;
        if verifying.nonce != nonce {
            return Err(Error::bad(
                "incorrect nonce supplied: it is not that of this verification",
            ));
        }
        let Some(unseal) = verifying.give(share, family)? else {
            return Ok(Verified::More(verifying.status()));
        };
        let wraps = Wraps::load(&**self.barrier.storage()).await?;
        if was_replaced(&wraps, verifying.replaces) {
            *place = None;
            return Err(Error::bad(
                "the shares that these were to replace were replaced or changed meanwhile: the new \
                 ones count for nothing, and others have to be asked for",
            ));
        }
        let renewal = Renewal {
            held: &verifying.held,
            root: None,
            replaces: verifying.replaces,
            beside: None,
            new: (&unseal, &verifying.record),
            new_root,
            backup: verifying.backup.as_ref(),
        };
        let away = self.renew(renewal).await?.away;
        let nonce = verifying.nonce.clone();
        *place = None;
        Ok(Verified::Done { nonce, away })
    }

    /// Begins the showing anew, under another nonce: for an insider, as shares were given to get
    /// here, and those who are about to show the new ones know the nonce of today.
    pub(crate) async fn verify_restart(
        &self,
        family: Family,
        insider: Insider<'_>,
    ) -> Result<Verification, Error> {
        let mut place = self.ceremonies.rekey(family).lock().await;
        let none = || Error::bad(format!("no {} configuration found", family.word()));
        let attempt = place.as_mut().ok_or_else(none)?;
        let verifying = attempt.verifying.as_mut();
        let verifying = verifying.ok_or_else(|| not_yet(family))?;
        if !insider.may_end(&verifying.nonce, true) {
            return Err(Error::bad(super::super::NOT_YOURS));
        }
        verifying.restart();
        Ok(verifying.status())
    }
}

fn not_yet(family: Family) -> Error {
    Error::bad(format!("no {} verification in progress", family.word()))
}
