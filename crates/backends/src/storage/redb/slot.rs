//! The open database, replaceable: the engine has to be opened anew after an I/O error.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use keyfold_core::ports::storage::StorageError;
use redb::{Database, ReadOnlyTable, ReadableDatabase};

use super::disk::Health;
use super::open::{self, DATA, OpenError, Options};

/// The records as one commit left them.
pub(super) type Data = ReadOnlyTable<&'static str, (u64, &'static [u8])>;

/// Pause while a reader still has the closing database.
const READER_PAUSE: Duration = Duration::from_millis(1);

/// Where the database is, if it is open.
pub(super) struct Slot {
    path: PathBuf,
    options: Options,
    health: Arc<Health>,
    database: ArcSwapOption<Database>,
    /// The records as the last commit left them. Beginning a transaction takes locks and costs more
    /// than the read itself, so one is begun for each group of commits, not for each read.
    latest: ArcSwapOption<Data>,
}

impl Slot {
    /// Opens a store; the last revision given.
    pub(super) fn open(
        path: PathBuf,
        options: Options,
        health: Arc<Health>,
    ) -> Result<(Self, u64), OpenError> {
        let (database, revision) = open::open_or_create(&path, options, &health)?;
        let slot = Self {
            path,
            options,
            health,
            database: ArcSwapOption::from_pointee(database),
            latest: ArcSwapOption::empty(),
        };
        slot.refresh();
        Ok((slot, revision))
    }

    /// The records as the last acknowledged commit left them; `None` while that is not at hand, and
    /// a transaction has to be begun.
    pub(super) fn latest(&self) -> Guard<Option<Arc<Data>>> {
        self.latest.load()
    }

    /// Makes what was committed the latest. Only the writer's thread calls this, before it answers.
    pub(super) fn refresh(&self) {
        let table = self.database().and_then(|database| {
            let table = super::sound(|| Ok(database.begin_read()?.open_table(DATA)?));
            // A read finds out by itself what is wrong with the store.
            table.ok().map(Arc::new)
        });
        self.latest.store(table);
    }

    /// The database, for one transaction.
    pub(super) fn database(&self) -> Option<Arc<Database>> {
        self.database.load_full()
    }

    /// Closes and opens again; the last revision on disk. Only the writer's thread calls this, with
    /// no database of its own in hand.
    pub(super) fn reopen(&self) -> Result<u64, StorageError> {
        self.close();
        if self.lost() {
            return Err(self.closed());
        }
        let opened = open::open(&self.path, self.options, &self.health);
        let (database, revision) =
            opened.map_err(|error| StorageError::Failed(error.to_string()))?;
        self.database.store(Some(Arc::new(database)));
        self.refresh();
        Ok(revision)
    }

    /// A sync has failed: the file must not be opened again by this process.
    pub(super) fn lost(&self) -> bool {
        self.health.unsynced()
    }

    /// What is said while the database is not open.
    pub(super) fn closed(&self) -> StorageError {
        StorageError::Failed(if self.lost() {
            "the disk failed to sync; check it, then restart the server".into()
        } else {
            "the store is closed after a failed write, and opens again when the disk allows".into()
        })
    }

    /// Readers hold what they read from only for the read, so this waits microseconds.
    fn close(&self) {
        drop_last(self.latest.swap(None));
        drop_last(self.database.swap(None));
    }
}

/// Waits until nobody else has it, then drops it.
fn drop_last<T>(shared: Option<Arc<T>>) {
    let Some(mut shared) = shared else { return };
    loop {
        match Arc::try_unwrap(shared) {
            Ok(last) => return drop(last),
            Err(other) => shared = other,
        }
        thread::sleep(READER_PAUSE);
    }
}
