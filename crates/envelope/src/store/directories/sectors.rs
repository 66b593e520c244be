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
use crate::header::{HEADER_LEN, Header};
use crate::slot::SLOT_LEN;
use crate::store::change::sector_at;
use crate::store::{Added, Change, Written};

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
        self.write_all_at(bytes, sector_at(sector) as u64)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Locks an envelope against other writers, until the file is closed.
pub(crate) fn lock(file: &File) -> Result<(), Error> {
    // Another run holds the lock for two writes; a job tries what is busy again at its end.
    for _ in 0..30 {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(Error::Busy)
}

/// Step 1. The caller holds the lock, and makes what was written durable before step 2. Writes
/// nothing where the slots are not as they were planned on.
pub(super) fn add(envelope: &impl Sectors, change: &Change) -> Result<(Added, Written), Error> {
    let added = change.add(&Header::parse(&envelope.read()?)?)?;
    let mut written = Written::default();
    if let Added::Slot(sector, slot) = &added {
        envelope.write(*sector, &slot.encode()?)?;
        written.bytes = SLOT_LEN as u64;
        written.new_wrap = true;
    }
    Ok((added, written))
}

/// Step 2: how many bytes it wrote. The caller holds the lock. Writes nothing where the new wrap
/// does not read back.
pub(super) fn retire(
    envelope: &impl Sectors,
    change: &Change,
    added: &Added,
) -> Result<u64, Error> {
    let old = change.retire(&Header::parse(&envelope.read()?)?, added)?;
    for (sector, slot) in &old {
        envelope.write(*sector, &slot.encode()?)?;
    }
    Ok((old.len() as u64).saturating_mul(SLOT_LEN as u64))
}

/// Both steps, for disks of tests, which keep what they are given.
#[cfg(test)]
pub(crate) fn apply(envelope: &impl Sectors, change: &Change) -> Result<Written, Error> {
    let (added, written) = add(envelope, change)?;
    let retired = retire(envelope, change, &added)?;
    Ok(Written {
        bytes: written.bytes + retired,
        ..written
    })
}
