//! Rehearsal: whether each seal, and each share, would open the store today.

use keyfold_keys::Share;
use serde::Serialize;

use super::shares::{Checks, ShamirSeal};
use super::slot::{Finding, there_and_back};
use super::wrap::{Fresh, Given};
use super::{Quorum, Set, Wraps, prove};
use crate::error::Error;
use crate::lifecycle::Core;
use crate::ports::seal::{SealError, SealSetup};
use crate::ports::storage::Storage;

/// What the rehearsal of one seal showed.
#[derive(Debug, Clone, Serialize)]
pub struct Rehearsed {
    /// As configured.
    pub name: String,
    /// `static`, `transit`, …
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// It opens the store as it is now.
    pub opens: bool,
    /// The store has a wrap for it.
    #[serde(skip)]
    pub wrapped: bool,
    /// Why not; or what will be made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// What the rehearsal of all seals showed.
pub struct Rehearsal {
    /// Each of them.
    pub seals: Vec<Rehearsed>,
    /// Enough shares open the store, or do their part.
    pub people: bool,
    /// What they open together, where no way opens the store alone.
    pub together: Option<Assembled>,
}

/// What the parts of the seals open together.
#[derive(Debug, Clone, Serialize)]
pub struct Assembled {
    /// Parts that it takes.
    pub require: u8,
    /// Parts that seals gave.
    pub parts: usize,
    /// They open the store; `None` where they do with the share holders' part, which is not here.
    pub opens: Option<bool>,
}

impl Rehearsal {
    /// The store can be opened today: by a seal, by people, or by as many ways as it takes.
    pub fn opens(&self) -> bool {
        match &self.together {
            Some(together) => together.opens != Some(false),
            None => self.people || self.seals.iter().any(|seal| seal.opens),
        }
    }

    /// It can, and each seal opens it, or does its part.
    pub fn is_good(&self) -> bool {
        self.opens() && self.seals.iter().all(|seal| seal.opens)
    }
}

/// What a custodian's share is compared with.
#[derive(Debug, Clone, Serialize)]
pub struct ShareTerms {
    /// Those of today.
    #[serde(flatten)]
    pub today: SetTerms,
    /// Those of a rekey that may not have been told: they open the store too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<SetTerms>,
}

/// What the shares of one set are compared with.
#[derive(Debug, Clone, Serialize)]
pub struct SetTerms {
    /// Hex; goes into the check of a share.
    pub salt: String,
    /// Shares that there are.
    pub n: u8,
    /// Shares that open.
    pub t: u8,
}

/// A share that was told by its check.
#[derive(Debug, Clone, Serialize)]
pub struct KnownShare {
    /// From 1, in the order in which they were handed out.
    pub share: usize,
    /// Shares that there are.
    pub n: u8,
    /// Shares that open.
    pub t: u8,
    /// It is one of a rekey that may not have been told: both sets open the store.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub next: bool,
}

impl Core {
    /// Has every seal open its wrap, and tries what it gives on the keyring; parts are put together
    /// for that. Nothing is changed.
    pub async fn rehearse(&self) -> Result<Rehearsal, Error> {
        let storage = &*self.storage;
        let wraps = Wraps::load(storage).await?;
        let quorum = wraps.quorum.as_ref().map(|kept| &kept.record);
        let mut all = Vec::new();
        let mut parts = Vec::new();
        for slot in self.seals.in_use() {
            let wrap = wraps.seals.get(&slot.name).map(|kept| &kept.record);
            let finding = slot.examine(wrap).await;
            let (given, mut remark) = match finding {
                Finding::Good(given) => (Some(given), None),
                Finding::Old(given) => (
                    Some(given),
                    Some("its wrap is of an older key and will be made anew"),
                ),
                Finding::None if wrap.is_none() => (None, Some("it has no wrap yet")),
                Finding::None | Finding::Unknown => (None, None),
            };
            let opens = match &given {
                None => false,
                Some(Given::Root(root)) => prove(storage, root).await?.is_some(),
                Some(Given::Part(_)) => wrap.is_some_and(|wrap| wrap.is_of(quorum)),
            };
            if given.is_some() && !opens {
                remark = Some("its wrap is of an older root key");
            }
            if let Some(Given::Part(part)) = given
                && opens
            {
                parts.push((all.len(), part));
            }
            let failure = slot.condition().reason().filter(|_| !opens);
            all.push(Rehearsed {
                name: slot.name.clone(),
                kind: slot.kind,
                opens,
                wrapped: wrap.is_some(),
                remark: remark.map(str::to_owned).or(failure),
            });
        }
        let people = wraps.shares_open();
        let together = match quorum {
            Some(quorum) => Some(assemble(storage, quorum, (parts, people), &mut all).await?),
            None => None,
        };
        Ok(Rehearsal {
            seals: all,
            people,
            together,
        })
    }

    /// What a share is checked with, for whoever holds one. From memory, as anybody may ask.
    pub fn share_terms(&self) -> Result<ShareTerms, Error> {
        let wraps = self.seals.wraps();
        let terms = |set: Set| {
            let (record, checks) = checks(&wraps, set)?;
            Ok::<_, Error>(SetTerms {
                salt: checks.salt.clone(),
                n: record.shares,
                t: record.threshold,
            })
        };
        Ok(ShareTerms {
            today: terms(Set::Today)?,
            next: wraps.next.is_some().then(|| terms(Set::Next)).transpose()?,
        })
    }

    /// Which share has the check, or the check under the second set's salt; `None` when none of
    /// today's has. The share itself stays with its custodian.
    pub fn check_share(
        &self,
        today: &str,
        next: Option<&str>,
    ) -> Result<Option<KnownShare>, Error> {
        let wraps = self.seals.wraps();
        let next = next.filter(|_| wraps.next.is_some());
        for (set, check) in [(Set::Today, Some(today)), (Set::Next, next)] {
            let Some(check) = check else { continue };
            let (record, checks) = checks(&wraps, set)?;
            if let Some(at) = checks.find(check) {
                return Ok(Some(KnownShare {
                    share: at.saturating_add(1),
                    n: record.shares,
                    t: record.threshold,
                    next: set == Set::Next,
                }));
            }
        }
        Ok(None)
    }
}

/// Puts the parts of seals together, and notes which of them do not fit. A part says which seal it
/// is of.
async fn assemble(
    storage: &dyn Storage,
    quorum: &Quorum,
    (parts, people): (Vec<(usize, Share)>, bool),
    seals: &mut [Rehearsed],
) -> Result<Assembled, Error> {
    let (of, parts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let require = quorum.require;
    let told = |opens| Assembled {
        require,
        parts: parts.len(),
        opens,
    };
    if parts.len() < usize::from(require) {
        let with_people = parts.len() + usize::from(people) >= usize::from(require);
        return Ok(told((!with_people).then_some(false)));
    }
    let opened = quorum.open(&parts);
    let right = match &opened {
        Some((root, _)) => prove(storage, root).await?.is_some(),
        None => false,
    };
    for (at, part) in of.into_iter().zip(&parts) {
        let remark = match &opened {
            Some(_) if !right => "the parts are of an older root key",
            Some((_, run)) if quorum.fits(part, run) => continue,
            Some(_) => "its part does not fit those of the others",
            None => "the parts of the seals do not fit together",
        };
        if let Some(seal) = seals.get_mut(at) {
            (seal.opens, seal.remark) = (false, Some(remark.to_owned()));
        }
    }
    Ok(told(Some(right)))
}

/// Whether a seal works, as far as that shows without a store: it wraps a share that was made for
/// this, and has to give it back.
pub async fn probe(setup: &SealSetup) -> Result<(), SealError> {
    let fresh = Fresh::new().map_err(|error| SealError::Refused(error.to_string()))?;
    there_and_back(&*setup.seal, &fresh.share).await.map(|_| ())
}

fn checks(wraps: &Wraps, set: Set) -> Result<(&ShamirSeal, &Checks), Error> {
    let Some(shares) = wraps.set(set) else {
        return Err(Error::bad("this store has no shares"));
    };
    let checks = shares.record.checks().ok_or_else(|| {
        Error::bad(
            "the shares of this store are older than the checks of shares: a rekey makes both",
        )
    })?;
    Ok((&shares.record, checks))
}
