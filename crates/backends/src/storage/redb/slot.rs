//! The open database, replaceable: the engine has to be opened anew after an I/O error.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use keyfold_core::ports::storage::StorageError;
use redb::Database;

use super::disk::Health;
use super::open::{self, OpenError, Options};

/// Pause while a reader still has the closing database.
const READER_PAUSE: Duration = Duration::from_millis(1);

/// Where the database is, if it is open.
pub(super) struct Slot {
    path: PathBuf,
    options: Options,
    health: Arc<Health>,
    database: ArcSwapOption<Database>,
}

impl Slot {
    /// Opens a store; the last revision given.
    pub(super) fn open(
        path: PathBuf,
        options: Options,
        health: Arc<Health>,
    ) -> Result<(Self, u64), OpenError> {
        let (database, revision) = open::open_or_create(&path, options, &health)?;
        let database = ArcSwapOption::from_pointee(database);
        Ok((
            Self {
                path,
                options,
                health,
                database,
            },
            revision,
        ))
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

    /// Readers hold the database only while they begin a transaction, so this waits microseconds.
    fn close(&self) {
        let Some(mut database) = self.database.swap(None) else {
            return;
        };
        loop {
            match Arc::try_unwrap(database) {
                Ok(database) => return drop(database),
                Err(shared) => database = shared,
            }
            thread::sleep(READER_PAUSE);
        }
    }
}
