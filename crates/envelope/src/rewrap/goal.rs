//! [`Goal`]: what a run is for.

use crate::key_service::{Aad, KeyService, RewrapItem, RewrapOutcome, ServiceError, wrap_opened};
use crate::locator::Locator;
use crate::slot::{FLAG_AAD_BOUND, Slot, kek_id};

/// What a run is for.
pub(super) enum Goal<'a> {
    /// The newest version of the KEK that an item has.
    Newest,
    /// A wrap under another KEK beside the one that an item has: both open it.
    Move(Destination<'a>),
    /// The end of a move: the wraps that were moved away from are retired.
    Retire(Destination<'a>),
}

/// Where wraps move to.
pub struct Target<'a> {
    /// The KEK.
    pub locator: Locator,
    /// The server that has it; `None` for the server that the run asks.
    pub service: Option<&'a dyn KeyService>,
    /// Move away from this KEK only; from every one of the run's server where it is `None`.
    pub from: Option<Locator>,
}

/// A target that was looked at.
pub(crate) struct Destination<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) kek_id: [u8; 16],
    /// Whether that server's wraps are bound to their file; `None` where they stay as they are.
    binds_aad: Option<bool>,
}

/// A wrap to be made anew, and what the new one is bound to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Ask {
    pub(crate) item: RewrapItem,
    pub(crate) aad: Option<Aad>,
}

impl<'a> Destination<'a> {
    /// Asks the server who it is, and whether it has the key.
    pub(crate) fn new(target: Target<'a>, own: &dyn KeyService) -> Result<Self, ServiceError> {
        let service = target.service.unwrap_or(own);
        service.versions(&target.locator)?;
        Ok(Self {
            kek_id: kek_id(&service.cluster_id()?, &target.locator),
            binds_aad: target.service.map(KeyService::binds_aad),
            target,
        })
    }

    /// True for a wrap that is where it should be.
    pub(super) fn has(&self, slot: &Slot) -> bool {
        slot.locator.as_ref() == Some(&self.target.locator) && slot.kek_id == self.kek_id
    }

    /// True for a wrap under a key that is moved away from.
    pub(super) fn leaves(&self, slot: &Slot) -> bool {
        let locator = slot.locator.as_ref();
        locator.is_some_and(|locator| self.takes(locator, slot.kek_id))
    }

    /// The same of a wrap by the key that it says.
    pub(crate) fn takes(&self, locator: &Locator, kek_id: [u8; 16]) -> bool {
        let is_there = *locator == self.target.locator && kek_id == self.kek_id;
        !is_there && self.target.from.as_ref().is_none_or(|from| locator == from)
    }

    /// What a new wrap is bound to.
    pub(crate) fn aad(&self, old: Option<Aad>, of_file: Option<Aad>) -> Option<Aad> {
        match self.binds_aad {
            None => old,
            Some(binds) => of_file.filter(|_| binds),
        }
    }

    /// The slot of a new wrap, whatever its wrap and version.
    pub(super) fn slot(&self, aad: Option<Aad>, slot: Slot) -> Slot {
        Slot {
            kek_id: self.kek_id,
            locator: Some(self.target.locator.clone()),
            flags: if aad.is_some() { FLAG_AAD_BOUND } else { 0 },
            ..slot
        }
    }

    /// Whether it opens wraps that no other key opened: another server's call, or the same server's, by
    /// which no DEK comes here.
    pub(super) fn opens(
        &self,
        own: &dyn KeyService,
        items: &[RewrapItem],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        let service = self.target.service.unwrap_or(own);
        service.rewrap(&self.target.locator, items)
    }

    /// New wraps. Between keys of one server no DEK comes here where the server can do so.
    pub(crate) fn rewrap(
        &self,
        own: &dyn KeyService,
        from: &Locator,
        asks: &[Ask],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        let items: Vec<_> = asks.iter().map(|ask| ask.item.clone()).collect();
        match self.target.service {
            None => own.rewrap_to(from, &self.target.locator, &items),
            Some(other) => {
                let deks = own.unwrap_many(from, &items)?;
                let aads = asks.iter().map(|ask| ask.aad);
                let wrap = |deks: &[_]| other.wrap_many(&self.target.locator, deks);
                wrap_opened(wrap, deks, aads)
            }
        }
    }
}

impl Goal<'_> {
    pub(super) fn destination(&self) -> Option<&Destination<'_>> {
        match self {
            Self::Newest => None,
            Self::Move(destination) | Self::Retire(destination) => Some(destination),
        }
    }

    /// Who opens the wraps that the run makes or keeps.
    pub(super) fn service<'s>(&'s self, own: &'s dyn KeyService) -> &'s dyn KeyService {
        let other = self.destination().and_then(|to| to.target.service);
        other.unwrap_or(own)
    }
}
