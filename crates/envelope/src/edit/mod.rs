//! Who may open an envelope that exists: slots are added and removed, the payload stays.
//!
//! A slot that is added takes sectors that nothing in use stands in, so a write that is cut leaves a
//! damaged slot and the others as they were. One that is removed is overwritten with zeros: retiring
//! it would leave a wrap that its holder could still open.

use std::fs::OpenOptions;
use std::ops::Range;
use std::path::Path;

use crate::context::Context;
use crate::error::Error;
use crate::header::Header;
use crate::inspect::SlotInfo;
use crate::locator::Locator;
use crate::recipient::{Identity, Recipient};
use crate::slot::{SLOT_COUNT, SLOT_LEN, Sector, Slot, SlotState, SlotTable};
use crate::store::{Sectors, lock};
use crate::unlock::unlock_dek;

/// Adds a slot for one more recipient. The DEK is opened once, by one of the identities.
pub fn add_slot(
    path: &Path,
    identities: &[&dyn Identity],
    context: &Context,
    recipient: &dyn Recipient,
) -> Result<SlotInfo, Error> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let header = read(&file)?;
    let dek = unlock_dek(identities, &header, context)?;
    let slot = recipient.wrap(&header.prelude, &dek)?;
    // Only now: others wait a second for the lock, and what is above may take longer.
    lock(&file)?;
    add(&file, &header, slot)
}

/// Which slots to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that starts at this sector, readable or damaged.
    Number(usize),
    /// All wraps by a transit key, retired ones too.
    Key(Locator),
}

/// Removes slots. The last one in use stays, unless forced: without it nobody opens the envelope.
/// Returns what was removed, without slots that were damaged.
pub fn remove_slots(path: &Path, which: &Which, force: bool) -> Result<Vec<SlotInfo>, Error> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    lock(&file)?;
    remove(&file, which, force)
}

fn read(envelope: &impl Sectors) -> Result<Header, Error> {
    Header::parse(&envelope.read()?)
}

/// Puts a slot into free sectors. The caller holds the lock.
fn add(envelope: &impl Sectors, opened: &Header, mut slot: Slot) -> Result<SlotInfo, Error> {
    let header = read(envelope)?;
    // The slots may be others by now; what the DEK was checked against must not be.
    if header.prelude != opened.prelude
        || header.salt != opened.salt
        || header.commitment != opened.commitment
    {
        return Err(Error::SlotsChanged);
    }
    if header.slots.slots().any(|(_, found)| is_twin(found, &slot)) {
        return Err(Error::SlotExists);
    }
    slot.generation = header.slots.next_generation();
    let sector = header.slots.free_run(&slot).ok_or(Error::NoFreeSlot)?;
    envelope.write(sector, &slot.encode()?)?;
    envelope.sync()?;
    let written = read(envelope)?;
    match written.slots.sectors().get(sector) {
        Some(Sector::Slot(found)) if **found == slot => Ok(SlotInfo::of(sector, &slot)),
        _ => Err(Error::WriteLost),
    }
}

fn remove(envelope: &impl Sectors, which: &Which, force: bool) -> Result<Vec<SlotInfo>, Error> {
    let table = read(envelope)?.slots;
    let runs = runs_of(&table, which);
    if runs.is_empty() {
        return Err(Error::NoSuchSlot);
    }
    let is_removed = |index| runs.iter().any(|run| run.contains(&index));
    let mut left = table.slots().filter(|(index, _)| !is_removed(*index));
    let opens = left.any(|(_, slot)| slot.state != SlotState::Retired);
    if !opens && !force {
        return Err(Error::LastSlot);
    }
    for run in &runs {
        let zeros = vec![0; run.len().saturating_mul(SLOT_LEN)];
        envelope.write(run.start, &zeros)?;
    }
    envelope.sync()?;
    let mut removed = SlotInfo::of_table(&table);
    removed.retain(|slot| is_removed(slot.index));
    Ok(removed)
}

/// True where both are wraps for the same key. Passphrases have no name to tell them by.
fn is_twin(found: &Slot, new: &Slot) -> bool {
    let is_named = new.kek_id != [0; 16];
    let is_active = found.state == SlotState::Active;
    is_named && is_active && found.kind == new.kind && found.kek_id == new.kek_id
}

/// The sectors of the slots that are meant.
fn runs_of(table: &SlotTable, which: &Which) -> Vec<Range<usize>> {
    let sectors = table.sectors().iter().enumerate();
    let runs = sectors.filter_map(|(index, sector)| {
        let (span, is_meant) = match (sector, which) {
            (Sector::Slot(slot), Which::Number(number)) => (slot.span.into(), *number == index),
            (Sector::Slot(slot), Which::Key(key)) => {
                (slot.span.into(), slot.transit() == Some(key))
            }
            (Sector::Damaged, Which::Number(number)) => (1, *number == index),
            _ => return None,
        };
        let end = index.saturating_add(span).min(SLOT_COUNT);
        is_meant.then_some(index..end)
    });
    runs.collect()
}

#[cfg(test)]
mod tests;
