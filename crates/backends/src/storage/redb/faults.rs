//! A disk that fails, or remembers all it was asked for: tests only.

use std::io::{self, ErrorKind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// One thing that is done to the file.
#[derive(Debug)]
pub(super) enum Event {
    Length(u64),
    Write(u64, Vec<u8>),
    Sync,
}

/// What is wrong with the disk now.
#[derive(Debug, Default)]
pub(super) struct Faults {
    full: AtomicBool,
    unsyncable: AtomicBool,
    /// `None`: not recording.
    events: Mutex<Option<Vec<Event>>>,
}

impl Faults {
    /// From now on writes fail, or work again.
    pub(super) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Release);
    }

    /// From now on syncs fail, or work again.
    pub(super) fn set_unsyncable(&self, unsyncable: bool) {
        self.unsyncable.store(unsyncable, Ordering::Release);
    }

    /// Records from now on.
    pub(super) fn record(&self) {
        *self.events.lock().unwrap() = Some(Vec::new());
    }

    /// Events recorded so far.
    pub(super) fn recorded(&self) -> usize {
        self.events.lock().unwrap().as_ref().map_or(0, Vec::len)
    }

    /// The record, which ends here.
    pub(super) fn take_record(&self) -> Vec<Event> {
        self.events.lock().unwrap().take().unwrap_or_default()
    }

    /// The disk is asked for something.
    pub(super) fn meet(&self, event: impl FnOnce() -> Event) -> io::Result<()> {
        if let Some(events) = &mut *self.events.lock().unwrap() {
            events.push(event());
            return Ok(());
        }
        match event() {
            Event::Write(..) if self.full.load(Ordering::Acquire) => {
                Err(ErrorKind::StorageFull.into())
            }
            Event::Sync if self.unsyncable.load(Ordering::Acquire) => Err(ErrorKind::Other.into()),
            _ => Ok(()),
        }
    }
}
