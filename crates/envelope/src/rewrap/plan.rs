//! What there is to do about one envelope, decided from its header alone.

use crate::error::Error;
use crate::header::Header;
use crate::key_service::{RewrapItem, ServiceError, WrappedDek};
use crate::locator::Locator;
use crate::slot::{Slot, SlotState, kek_id};

/// The wraps of one envelope under one KEK.
pub(super) struct Job {
    pub(super) locator: Locator,
    /// Number and content of the newest wrap.
    pub(super) index: usize,
    pub(super) slot: Slot,
    /// Older active wraps under the same KEK: left over from a run that was interrupted.
    pub(super) superseded: Vec<(usize, Slot)>,
    /// What to send to the key service, and what binds it.
    pub(super) item: RewrapItem,
}

impl Job {
    /// True where the envelope has an active wrap of the newest version, if that is known.
    pub(super) fn is_newest(&self, newest: Option<u32>) -> bool {
        let is_active = self.slot.state == SlotState::Active;
        is_active && newest.is_some_and(|newest| self.slot.version >= newest)
    }

    /// The error of an envelope whose wrap the service refused.
    pub(super) fn refused(&self, error: ServiceError) -> Error {
        match error {
            ServiceError::BelowMinimum => Error::VersionBelowMinimum {
                locator: self.locator.clone(),
                version: self.slot.version,
            },
            other => Error::Service(other),
        }
    }
}

/// The jobs of an envelope: one for each KEK with an active wrap.
///
/// Where a wrap of this cluster is among them, those of other clusters are left alone (an envelope
/// that moves between servers has both for a while). Where no wrap is active because the newest
/// slot was damaged, the next best is the source, so that the run heals the envelope.
pub(super) fn jobs(header: &Header, cluster_id: &str) -> Vec<Job> {
    let mut candidates = header.slots.candidates();
    candidates.retain(|(_, slot)| slot.transit().is_some());
    let is_ours = |slot: &Slot| {
        slot.transit()
            .is_some_and(|locator| kek_id(cluster_id, locator) == slot.kek_id)
    };
    let active = || {
        candidates
            .iter()
            .filter(|(_, slot)| slot.state == SlotState::Active)
    };
    let any_ours = active().any(|(_, slot)| is_ours(slot));
    let mut sources: Vec<_> = active()
        .filter(|(_, slot)| !any_ours || is_ours(slot))
        .collect();
    if sources.is_empty() {
        sources.extend(candidates.first());
    }

    let mut jobs: Vec<Job> = Vec::new();
    // Newest first, so the first wrap of each KEK is the one to keep.
    for (index, slot) in sources {
        let Some(locator) = slot.transit() else {
            continue;
        };
        let same = |job: &&mut Job| job.locator == *locator && job.slot.kek_id == slot.kek_id;
        if let Some(job) = jobs.iter_mut().find(same) {
            job.superseded.push((*index, (*slot).clone()));
            continue;
        }
        jobs.push(Job {
            locator: locator.clone(),
            index: *index,
            slot: (*slot).clone(),
            superseded: Vec::new(),
            item: RewrapItem {
                wrapped: WrappedDek {
                    version: slot.version,
                    blob: slot.blob.clone(),
                },
                aad: slot.is_aad_bound().then(|| header.prelude.aad()),
            },
        });
    }
    jobs
}
