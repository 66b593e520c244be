//! The file below the engine: redb's own, watched for the one failure that must not be retried.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

/// What is known of the disk, across reopenings.
#[derive(Debug, Default)]
pub(super) struct Health {
    unsynced: AtomicBool,
    #[cfg(test)]
    pub(super) full: AtomicBool,
    #[cfg(test)]
    pub(super) unsyncable: AtomicBool,
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

    #[cfg(test)]
    fn fault(flag: &AtomicBool, kind: io::ErrorKind) -> io::Result<()> {
        if flag.load(Ordering::Acquire) {
            Err(kind.into())
        } else {
            Ok(())
        }
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
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        Self::fault(&self.health.unsyncable, io::ErrorKind::Other)
            .inspect_err(|_| self.health.unsynced.store(true, Ordering::Release))?;
        let result = self.file.sync_data();
        if result.is_err() {
            self.health.unsynced.store(true, Ordering::Release);
        }
        result
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        Self::fault(&self.health.full, io::ErrorKind::StorageFull)?;
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
