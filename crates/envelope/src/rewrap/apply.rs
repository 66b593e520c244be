//! The two-sector protocol: the only writes to an envelope that exists.
//!
//! 1. the new wrap goes into a sector that holds nothing in use: write 512 bytes, make them durable;
//! 2. the old wrap's sector is marked retired: write 512 bytes, make them durable.
//!
//! At every moment, also inside a write, one sector with a valid wrap is not being written. Cut in
//! step 1, the new slot is damaged and the old one opens the file; cut in step 2, the old slot is
//! damaged and the new one does.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::header::{HEADER_LEN, Header, Prelude, SLOTS_AT};
use crate::slot::{SLOT_LEN, Sector, Slot, SlotState};

/// An envelope's header as a disk has it.
pub(crate) trait Sectors {
    /// The first 4 KiB.
    fn read(&self) -> io::Result<[u8; HEADER_LEN]>;
    /// Writes one slot.
    fn write(&self, sector: usize, bytes: &[u8]) -> io::Result<()>;
    /// Makes the writes so far durable.
    fn sync(&self) -> io::Result<()>;
}

impl Sectors for File {
    fn read(&self) -> io::Result<[u8; HEADER_LEN]> {
        let mut bytes = [0u8; HEADER_LEN];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn write(&self, sector: usize, bytes: &[u8]) -> io::Result<()> {
        let at = sector.saturating_mul(SLOT_LEN).saturating_add(SLOTS_AT);
        self.write_all_at(bytes, at as u64)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// One change of an envelope's slots, and the state it was planned on.
pub(super) struct Change<'a> {
    pub(super) prelude: &'a Prelude,
    /// The wrap that the new one was made from.
    pub(super) source: (usize, &'a Slot),
    /// Older wraps to retire as well.
    pub(super) superseded: &'a [(usize, Slot)],
    /// The new wrap; without one only `superseded` is retired. Its generation is set here.
    pub(super) new: Option<Slot>,
    /// Read the new slot back before anything is retired.
    pub(super) read_back: bool,
}

/// What was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) new_slot: bool,
}

/// Locks an envelope against other writers, until the file is closed.
pub(crate) fn lock(file: &File) -> Result<(), Error> {
    // Another run holds the lock for two writes; a second is plenty.
    for _ in 0..100 {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(Error::Busy)
}

/// Carries out one change. The caller holds the lock. Writes nothing where the slots are not as
/// they were planned on.
pub(super) fn apply(envelope: &impl Sectors, change: Change<'_>) -> Result<Written, Error> {
    let header = Header::parse(&envelope.read()?)?;
    let (source_index, source) = change.source;
    let mut written = Written::default();
    if header.prelude != *change.prelude || !holds(&header, source_index, source) {
        return match change.new {
            Some(new) if has_newer(&header, &change, &new) => Ok(written),
            _ => Err(Error::SlotsChanged),
        };
    }

    let replaces_source = change.new.is_some() && source.state != SlotState::Retired;
    if let Some(mut new) = change.new {
        let sector = header
            .slots
            .free_sector(source_index)
            .ok_or(Error::NoFreeSlot)?;
        new.generation = header.slots.next_generation();
        let bytes = new.encode()?;
        envelope.write(sector, &bytes)?;
        envelope.sync()?;
        written.add_sector();
        written.new_slot = true;
        if change.read_back && !holds(&Header::parse(&envelope.read()?)?, sector, &new) {
            return Err(Error::WriteLost);
        }
    }

    let old = replaces_source.then_some((source_index, source));
    let superseded = change.superseded.iter().map(|(index, slot)| (*index, slot));
    for (index, slot) in old.into_iter().chain(superseded) {
        // Another run may have retired a left-over meanwhile.
        if !holds(&header, index, slot) {
            continue;
        }
        let retired = Slot {
            state: SlotState::Retired,
            ..slot.clone()
        };
        envelope.write(index, &retired.encode()?)?;
        envelope.sync()?;
        written.add_sector();
    }
    Ok(written)
}

impl Written {
    fn add_sector(&mut self) {
        self.bytes = self.bytes.saturating_add(SLOT_LEN as u64);
    }
}

/// True where the sector holds exactly this slot.
fn holds(header: &Header, index: usize, slot: &Slot) -> bool {
    matches!(header.slots.sectors().get(index), Some(Sector::Slot(found)) if **found == *slot)
}

/// True where another run was faster: the same envelope has an active wrap at least as new.
fn has_newer(header: &Header, change: &Change<'_>, new: &Slot) -> bool {
    let mut slots = header.slots.slots();
    header.prelude == *change.prelude
        && slots.any(|(_, slot)| {
            slot.state == SlotState::Active
                && slot.locator == new.locator
                && slot.kek_id == new.kek_id
                && slot.version >= new.version
        })
}
