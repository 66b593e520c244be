//! New shares, by those who hold today's.
//!
//! ```text
//!   begin ── share … share ──┬─ new shares are told; both sets open; the answer was written out:
//!                            │  the old ones are gone
//!                            └─ with verification: new shares are told; the old ones open;
//!                               new share … new share: the new ones are in their place
//! ```
//!
//! What is stored changes in one commit ([`renew`]), or not at all.

mod backup;
mod renew;
mod terms;
mod verify;

use keyfold_keys::{Share, UnsealKey};
use keyfold_secret::Secret;

pub(crate) use self::backup::Backup;
use self::renew::{Held, Renewal};
pub(crate) use self::terms::{Family, Terms};
use self::verify::Verifying;
pub(crate) use self::verify::{Verification, Verified};
use super::Insider;
use super::gathering::{Gathering, Given, Shown};
use crate::error::Error;
use crate::id;
use crate::lifecycle::seals::{Holds, ShamirSeal};
use crate::lifecycle::unsealed::Unsealed;
use crate::openpgp::told;
use crate::ports::storage::Revision;
use crate::reply::After;

/// A rekey that is under way.
pub(in crate::lifecycle) struct Attempt {
    nonce: String,
    terms: Terms,
    given: Gathering,
    /// The new shares are told, and wait to be shown.
    verifying: Option<Verifying>,
}

/// How far it is.
#[derive(Clone, Default)]
pub(crate) struct RekeyStatus {
    /// Names it; empty while there is none.
    pub nonce: String,
    /// Shares that there will be, and that will be needed.
    pub split: (u8, u8),
    /// Shares given.
    pub progress: usize,
    /// Shares that are needed.
    pub required: u8,
    /// The new shares have to be shown before they count.
    pub verify: bool,
    /// Names the showing, once it has begun.
    pub verification_nonce: Option<String>,
    /// Whose keys the new shares are encrypted for.
    pub fingerprints: Option<Vec<String>>,
    /// They are kept too.
    pub backup: bool,
}

/// What a share led to.
pub(crate) enum Rekeyed {
    /// More are needed.
    More(RekeyStatus),
    /// These are the new ones.
    Done(NewShares),
}

/// New shares, told once.
pub(crate) struct NewShares {
    /// Of the rekey.
    pub nonce: String,
    /// In the order in which they are to be handed out.
    pub shares: Vec<Secret<Vec<u8>>>,
    /// Names the showing, where they have to be shown.
    pub verification_nonce: Option<String>,
    /// Whose keys they are encrypted for.
    pub fingerprints: Option<Vec<String>>,
    /// They are kept too.
    pub backup: bool,
    /// The old ones open too until it is known that this was told.
    pub unsettled: Option<Revision>,
    /// Seals that were away, and have no wrap of the new root key yet.
    pub away: Vec<String>,
}

/// A new unseal key, its shares, and a record by which they show themselves.
struct Fresh {
    unseal: UnsealKey,
    shares: Vec<Share>,
    record: ShamirSeal,
}

impl Attempt {
    fn status(&self, required: u8) -> RekeyStatus {
        RekeyStatus {
            nonce: self.nonce.clone(),
            split: (self.terms.split.shares, self.terms.split.threshold),
            progress: self.given.count(),
            required,
            verify: self.terms.verify,
            verification_nonce: self.verifying.as_ref().map(|v| v.nonce().to_owned()),
            fingerprints: self.terms.fingerprints(),
            backup: self.terms.backup,
        }
    }

    /// It takes an insider to end it from the first share on, or where one began it.
    fn may_end(&self, insider: Insider<'_>) -> bool {
        let given = self.given.count() > 0 || self.verifying.is_some();
        insider.may_end(&self.nonce, given || self.terms.family.has_token())
    }
}

impl Fresh {
    fn new(terms: &Terms) -> Result<Self, Error> {
        let split = terms.split;
        let unseal = UnsealKey::generate();
        let shares = unseal.split(split.shares, split.threshold)?;
        let record = ShamirSeal::new((&unseal, &shares), split.threshold, Holds::Nothing)?;
        Ok(Self {
            unseal,
            shares,
            record,
        })
    }
}

impl Unsealed {
    /// How far the rekey is, if there is one.
    pub(crate) async fn rekey_status(&self, family: Family) -> RekeyStatus {
        let wraps = self.seals.wraps();
        match &*self.ceremonies.rekey(family).lock().await {
            Some(attempt) => attempt.status(attempt.given.required(&wraps)),
            None => RekeyStatus {
                required: wraps.split().1,
                ..RekeyStatus::default()
            },
        }
    }

    /// Begins a rekey. There is one at a time. A store without shares gets its first ones, once they
    /// were shown: where nobody was told them, nobody could ask for others.
    pub(crate) async fn rekey_begin(&self, terms: Terms) -> Result<Rekeyed, Error> {
        self.seals.settle_told(&**self.barrier.storage()).await?;
        let wraps = self.seals.wraps();
        terms.check(&wraps)?;
        let family = terms.family;
        if family.is_root() {
            self.seals.ready_for_anew(&wraps)?;
        }
        let (_, required) = wraps.split();
        if required == 0 && !terms.verify {
            return Err(Error::bad(
                "these are the first shares of this store: set require_verification, so that they \
                 count once they were shown to have arrived",
            ));
        }
        let mut place = self.ceremonies.rekey(family).lock().await;
        if place.is_some() {
            return Err(Error::bad(family.says("already in progress")));
        }
        let attempt = place.insert(Attempt {
            nonce: id::uuid(),
            terms,
            given: Gathering::default(),
            verifying: None,
        });
        tracing::info!(nonce = attempt.nonce, "new shares are asked for");
        if required > 0 {
            return Ok(Rekeyed::More(attempt.status(required)));
        }
        let made = self.new_shares(attempt, None).await;
        if !attempt_goes_on(&made) {
            *place = None;
        }
        made.map(Rekeyed::Done)
    }

    /// Takes a share; with the last one the new shares are made.
    pub(crate) async fn rekey_give(
        &self,
        family: Family,
        share: Share,
        nonce: &str,
    ) -> Result<Rekeyed, Error> {
        let mut place = self.ceremonies.rekey(family).lock().await;
        let attempt = place
            .as_mut()
            .ok_or_else(|| Error::bad(family.says_none()))?;
        if attempt.nonce != nonce {
            return Err(Error::bad(family.wrong_nonce()));
        }
        if attempt.verifying.is_some() {
            return Err(Error::bad(
                "the new shares are told already, and wait for their verification",
            ));
        }
        self.seals.settle_told(&**self.barrier.storage()).await?;
        let wraps = self.seals.wraps();
        match attempt.given.give(share, &wraps)? {
            Given::More => {
                let required = attempt.given.required(&wraps);
                Ok(Rekeyed::More(attempt.status(required)))
            }
            Given::Again => Err(Error::bad(family.again())),
            Given::All(shown) => {
                let done = self.new_shares(attempt, Some(shown)).await?;
                if done.verification_nonce.is_none() {
                    *place = None;
                }
                Ok(Rekeyed::Done(done))
            }
        }
    }

    /// What is done once the answer with new shares was written out: they are the shares then.
    pub(crate) fn once_told(&self, stored: Revision) -> After {
        let (seals, storage) = (self.seals.clone(), self.barrier.storage().clone());
        After::new(move || {
            seals.note_told(stored);
            async move {
                if let Err(error) = seals.settle_told(&*storage).await {
                    tracing::warn!(%error, "two sets of shares open the store still");
                }
            }
        })
    }

    /// Ends it; none is no error.
    pub(crate) async fn rekey_cancel(
        &self,
        family: Family,
        insider: Insider<'_>,
    ) -> Result<(), Error> {
        let mut place = self.ceremonies.rekey(family).lock().await;
        if place.as_ref().is_some_and(|a| !a.may_end(insider)) {
            return Err(Error::bad(super::NOT_YOURS));
        }
        *place = None;
        Ok(())
    }

    /// Makes new shares, and what is stored of them; `None` where there were none before.
    async fn new_shares(
        &self,
        attempt: &mut Attempt,
        shown: Option<Shown>,
    ) -> Result<NewShares, Error> {
        let fresh = Fresh::new(&attempt.terms)?;
        let opens = self.seals.new_shares_open(&self.seals.wraps());
        let (held, root, old) = match shown {
            Some(shown) => {
                let (held, root) = Held::of(shown.tried);
                let held = match held {
                    Held::Nothing if opens => Held::Root,
                    held => held,
                };
                (held, root, Some((shown.set, shown.revision, shown.unseal)))
            }
            None if opens => (Held::Root, None, None),
            None => (Held::Nothing, None, None),
        };
        let replaces = old.as_ref().map(|(_, revision, _)| *revision);
        let mut done = NewShares {
            nonce: attempt.nonce.clone(),
            shares: told(&fresh.shares, &attempt.terms.recipients)?,
            verification_nonce: None,
            fingerprints: attempt.terms.fingerprints(),
            backup: attempt.terms.backup,
            unsettled: None,
            away: Vec::new(),
        };
        let backup = attempt.terms.backup.then(|| Backup::of(&done));
        if attempt.terms.verify {
            let verifying = Verifying::new(held, replaces, fresh.record, backup);
            done.verification_nonce = Some(verifying.nonce().to_owned());
            attempt.verifying = Some(verifying);
            return Ok(done);
        }
        let renewal = Renewal {
            held: &held,
            root,
            replaces,
            beside: old.as_ref().map(|(set, _, unseal)| (*set, unseal)),
            new: (&fresh.unseal, &fresh.record),
            new_root: attempt.terms.family.is_root(),
            backup: backup.as_ref(),
        };
        let renewed = self.renew(renewal).await?;
        (done.unsettled, done.away) = (renewed.unsettled, renewed.away);
        Ok(done)
    }
}

/// It is to be shown that the new shares arrived.
fn attempt_goes_on(made: &Result<NewShares, Error>) -> bool {
    made.as_ref()
        .is_ok_and(|made| made.verification_nonce.is_some())
}
