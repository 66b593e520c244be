//! What there is to do about one item, decided from its wraps alone.

use super::goal::{Ask, Destination};
use crate::error::Error;
use crate::header::Header;
use crate::key_service::{RewrapItem, ServiceError, WrappedDek};
use crate::locator::Locator;
use crate::slot::{FLAG_AAD_BOUND, Slot, SlotState, TYPE_TRANSIT, kek_id};
use crate::store::Content;

/// The wraps of one item under one KEK.
pub(super) struct Job {
    pub(super) locator: Locator,
    /// Number and content of the newest wrap.
    pub(super) index: usize,
    pub(super) slot: Slot,
    /// Older active wraps under the same KEK: left over from a run that was interrupted.
    pub(super) superseded: Vec<(usize, Slot)>,
    /// What to ask the key service for.
    pub(super) ask: Ask,
    /// The old wrap stays in use beside the new one.
    pub(super) keeps_source: bool,
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

/// The jobs of an item: one for each KEK with an active wrap.
///
/// Where a wrap of this cluster is among them, those of other clusters are left alone (an envelope
/// that moves between servers has both for a while). Where no wrap is active because the newest
/// slot was damaged, the next best is the source, so that the run heals the envelope. An envelope that
/// no key of a server opens has no jobs.
pub(super) fn newest(content: &Content, cluster_id: &str) -> Result<Vec<Job>, Error> {
    let jobs = match content {
        Content::Header(header) if opens_elsewhere(header) => return Ok(Vec::new()),
        Content::Header(header) => newest_of_header(header, cluster_id),
        Content::Wrap {
            locator,
            wrapped,
            aad,
        } => {
            let item = RewrapItem {
                wrapped: wrapped.clone(),
                aad: *aad,
            };
            vec![job_of_wrap(locator, item, cluster_id)]
        }
    };
    match jobs.is_empty() {
        true => Err(unusable(content)),
        false => Ok(jobs),
    }
}

/// The job that gives an item a wrap at `to`, made from its newest one; none where it has one, or no
/// wrap that is moved away from. A wrap that stands alone has no place for a second one: it is replaced,
/// and bound to what it was bound to.
pub(super) fn moving(
    content: &Content,
    cluster_id: &str,
    to: &Destination<'_>,
) -> Result<Option<Job>, Error> {
    let header = match content {
        Content::Header(header) => header,
        Content::Wrap {
            locator,
            wrapped,
            aad,
        } => {
            let item = RewrapItem {
                wrapped: wrapped.clone(),
                aad: *aad,
            };
            let job = job_of_wrap(locator, item, cluster_id);
            return Ok(Some(job).filter(|job| to.leaves(&job.slot)));
        }
    };
    let active = active(content, header)?;
    if active.iter().any(|(_, slot)| to.has(slot)) {
        return Ok(None);
    }
    let leaving = leaving(&active, cluster_id, to);
    let Some((index, slot)) = leaving.first() else {
        return Ok(None);
    };
    let Some(mut job) = job_of_slot(header, *index, slot) else {
        return Ok(None);
    };
    job.ask.aad = to.aad(job.ask.item.aad, Some(header.prelude.aad()));
    job.keeps_source = true;
    Ok(Some(job))
}

/// The job that retires what was moved away from; none where nothing is left, as behind a wrap that stood
/// alone.
pub(super) fn retiring(
    content: &Content,
    cluster_id: &str,
    to: &Destination<'_>,
) -> Result<Option<Job>, Error> {
    let Content::Header(header) = content else {
        return Ok(None);
    };
    let active = active(content, header)?;
    let superseded = leaving(&active, cluster_id, to);
    if superseded.is_empty() {
        return Ok(None);
    }
    let kept = active.iter().find(|(_, slot)| to.has(slot));
    let (index, slot) = kept.ok_or_else(|| Error::NotMoved(to.target.locator.clone()))?;
    let job = job_of_slot(header, *index, slot);
    Ok(job.map(|job| Job { superseded, ..job }))
}

/// The active transit wraps of an envelope, newest first; none of one that no key of a server opens.
fn active<'a>(content: &Content, header: &'a Header) -> Result<Slots<'a>, Error> {
    let mut slots = header.slots.candidates();
    slots.retain(|(_, slot)| slot.state == SlotState::Active && slot.transit().is_some());
    match slots.is_empty() && !opens_elsewhere(header) {
        true => Err(unusable(content)),
        false => Ok(slots),
    }
}

/// The active wraps that are moved away from, newest first: those of the cluster that is asked, or
/// of any where none is of it.
fn leaving(
    active: &[(usize, &Slot)],
    cluster_id: &str,
    to: &Destination<'_>,
) -> Vec<(usize, Slot)> {
    let leaves = || active.iter().filter(|(_, slot)| to.leaves(slot));
    let any_ours = leaves().any(|(_, slot)| is_of(cluster_id, slot));
    let leaving = leaves().filter(|(_, slot)| !any_ours || is_of(cluster_id, slot));
    leaving
        .map(|(index, slot)| (*index, (*slot).clone()))
        .collect()
}

/// Slots and their sectors.
type Slots<'a> = Vec<(usize, &'a Slot)>;

/// True for a wrap of the cluster.
fn is_of(cluster_id: &str, slot: &Slot) -> bool {
    let locator = slot.transit();
    locator.is_some_and(|locator| kek_id(cluster_id, locator) == slot.kek_id)
}

/// True for a whole envelope that is opened by other means than a key of a server: a keyring, an offline
/// key, a passphrase. A wrap that is retired there stays so: its slot may have been removed on purpose.
fn opens_elsewhere(header: &Header) -> bool {
    let any = |is: fn(&Slot) -> bool| header.slots.slots().any(|(_, slot)| is(slot));
    let has_other = any(|slot| slot.kind != TYPE_TRANSIT && slot.state == SlotState::Active);
    let has_transit = any(|slot| slot.kind == TYPE_TRANSIT && slot.state != SlotState::Retired);
    header.slots.damaged() == 0 && has_other && !has_transit
}

/// Why an item without any job can't be helped.
fn unusable(content: &Content) -> Error {
    match content {
        Content::Header(header) if header.slots.damaged() > 0 => Error::TornSlot,
        _ => Error::NoUsableSlot,
    }
}

/// A wrap that stands alone is taken as the only slot of an envelope.
fn job_of_wrap(locator: &Locator, item: RewrapItem, cluster_id: &str) -> Job {
    let slot = Slot {
        state: SlotState::Active,
        kind: TYPE_TRANSIT,
        span: 1,
        flags: if item.aad.is_some() {
            FLAG_AAD_BOUND
        } else {
            0
        },
        version: item.wrapped.version,
        wrapped_at: 0,
        kek_id: kek_id(cluster_id, locator),
        locator: Some(locator.clone()),
        blob: item.wrapped.blob.clone(),
        generation: 1,
    };
    Job {
        locator: locator.clone(),
        index: 0,
        slot,
        superseded: Vec::new(),
        ask: Ask {
            aad: item.aad,
            item,
        },
        keeps_source: false,
    }
}

fn job_of_slot(header: &Header, index: usize, slot: &Slot) -> Option<Job> {
    let aad = slot.is_aad_bound().then(|| header.prelude.aad());
    let wrapped = WrappedDek {
        version: slot.version,
        blob: slot.blob.clone(),
    };
    let item = RewrapItem { wrapped, aad };
    Some(Job {
        locator: slot.transit()?.clone(),
        index,
        slot: slot.clone(),
        superseded: Vec::new(),
        ask: Ask { item, aad },
        keeps_source: false,
    })
}

fn newest_of_header(header: &Header, cluster_id: &str) -> Vec<Job> {
    let mut candidates = header.slots.candidates();
    candidates.retain(|(_, slot)| slot.transit().is_some());
    let active = || {
        candidates
            .iter()
            .filter(|(_, slot)| slot.state == SlotState::Active)
    };
    let any_ours = active().any(|(_, slot)| is_of(cluster_id, slot));
    let mut sources: Vec<_> = active()
        .filter(|(_, slot)| !any_ours || is_of(cluster_id, slot))
        .collect();
    if sources.is_empty() {
        sources.extend(candidates.first());
    }

    let mut jobs: Vec<Job> = Vec::new();
    // Newest first, so the first wrap of each KEK is the one to keep.
    for (index, slot) in sources {
        let Some(job) = job_of_slot(header, *index, slot) else {
            continue;
        };
        let same =
            |known: &&mut Job| known.locator == job.locator && known.slot.kek_id == job.slot.kek_id;
        match jobs.iter_mut().find(same) {
            Some(known) => known.superseded.push((job.index, job.slot)),
            None => jobs.push(job),
        }
    }
    jobs
}
