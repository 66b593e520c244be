//! The file below the engine: redb's own, watched for the one failure that must not be retried.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

#[cfg(test)]
use super::faults::Event;

/// What is known of the disk, across reopenings.
#[derive(Debug, Default)]
pub(super) struct Health {
    unsynced: AtomicBool,
    #[cfg(test)]
    pub(super) faults: super::faults::Faults,
}

impl Health {
    /// A sync has failed. The kernel may then have dropped written pages and marked them clean:
    /// what a read returns is no longer proof of what the disk holds, so reopening would build on
    /// sand.
    pub(super) fn unsynced(&self) -> bool {
        self.unsynced.load(Ordering::Acquire)
    }
}

/// An open store file.
#[derive(Debug)]
pub(super) struct Disk {
    file: FileBackend,
    health: Arc<Health>,
}

impl Disk {
    /// Takes over an open file; what happens to it is noted in `health`.
    pub(super) fn new(file: File, health: Arc<Health>) -> Result<Self, DatabaseError> {
        Ok(Self {
            file: FileBackend::new(file)?,
            health,
        })
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        #[cfg(test)]
        self.health.faults.meet(|| Event::Length(len))?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let result = self.file.sync_data();
        #[cfg(test)]
        let result = result.and_then(|()| self.health.faults.meet(|| Event::Sync));
        if result.is_err() {
            self.health.unsynced.store(true, Ordering::Release);
        }
        result
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        self.health
            .faults
            .meet(|| Event::Write(offset, data.to_vec()))?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
