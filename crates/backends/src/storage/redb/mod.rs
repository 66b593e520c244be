//! The embedded store: one file, one process, no service beside it.
//!
//! Reads run inline on the caller's thread: a page is in the engine's cache or the kernel's, and a
//! hop to another thread costs ten times the read. A page that is in neither costs the caller's
//! thread one read from the disk.

mod disk;
#[cfg(test)]
mod faults;
mod open;
mod slot;
#[cfg(test)]
mod torn;
mod whole;
mod writer;

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keyfold_core::ports::storage::{
    Batch, Change, Entry, LockGuard, Page, Revision, Staged, Storage, StorageError, Whole,
};
use redb::{AccessGuard, ReadTransaction, ReadableDatabase};
use tokio::sync::broadcast;

pub use self::open::{OpenError, Options};

use self::disk::Health;
use self::open::DATA;
use self::slot::Slot;
use self::whole::{RedbStaged, RedbWhole};
use self::writer::Writer;
use super::locks::Locks;
use super::{FEED, names, rules};

/// Names read before other tasks of the thread get their turn.
const LIST_CHUNK: usize = 512;

/// A store in one file.
///
/// Dropping it finishes the commits that are queued and waits for them: a moment's blocking.
pub struct Redb {
    slot: Arc<Slot>,
    writer: Writer,
    changes: broadcast::Sender<Change>,
    locks: Locks,
}

impl Redb {
    /// Opens the store at a path, with [`Options::default`]: a file, or a directory that holds (or
    /// is to hold) `keyfold.redb`. What is missing is made, for the owner only. Blocks.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, Options::default())
    }

    /// Opens the store at a path. Blocks.
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        Self::open_on(path.as_ref(), options, Arc::default())
    }

    /// Whether there is a store already, or what is taken for one, where a path leads.
    pub fn is_at(path: &Path) -> bool {
        open::file_of(path).exists()
    }

    fn open_on(path: &Path, options: Options, health: Arc<Health>) -> Result<Self, OpenError> {
        let path = open::file_of(path);
        let (slot, revision) = Slot::open(path.clone(), options, health)?;
        let slot = Arc::new(slot);
        let (changes, _) = broadcast::channel(FEED);
        let locks = Locks::default();
        let writer = Writer::start(Arc::clone(&slot), revision, changes.clone(), locks.clone())
            .map_err(|cause| OpenError::Io { path, cause })?;
        Ok(Self {
            slot,
            writer,
            changes,
            locks,
        })
    }

    /// Runs a read. A failed one has stopped the engine: the writer is made to see to it.
    fn read<T>(&self, read: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StorageError> {
        sound(read).map_err(|error| {
            self.writer.probe();
            StorageError::Failed(error.to_string())
        })
    }

    /// The state of now, for as long as the transaction lives.
    fn snapshot(&self) -> Result<ReadTransaction, StorageError> {
        let database = self.slot.database().ok_or_else(|| self.slot.closed())?;
        self.read(|| Ok(database.begin_read()?))
    }
}

#[async_trait]
impl Storage for Redb {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StorageError> {
        let found = |entry: AccessGuard<'_, (u64, &'static [u8])>| {
            let (revision, value) = entry.value();
            Entry {
                value: value.to_vec(),
                revision: Revision(revision),
            }
        };
        if let Some(latest) = self.slot.latest().as_deref() {
            return self.read(|| Ok(latest.get(key)?.map(found)));
        }
        let snapshot = self.snapshot()?;
        self.read(|| Ok(snapshot.open_table(DATA)?.get(key)?.map(found)))
    }

    async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, StorageError> {
        rules::check_prefix(prefix)?;
        let snapshot = self.snapshot()?;
        let mut page = Page::default();
        loop {
            let left = match limit {
                0 => LIST_CHUNK,
                _ => LIST_CHUNK.min(limit - page.names.len()),
            };
            let after = page.names.last().map_or(after, String::as_str);
            let chunk = self.read(|| chunk(&snapshot, prefix, after, left))?;
            page.names.extend(chunk.names);
            page.more = chunk.more;
            if !page.more || page.names.len() == limit {
                return Ok(page);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, StorageError> {
        rules::check(&batch)?;
        self.writer.commit(batch).await
    }

    fn watch(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    async fn lock(
        &self,
        name: &str,
        ttl: Duration,
    ) -> Result<Option<Box<dyn LockGuard>>, StorageError> {
        Ok(self.locks.take(name, ttl))
    }

    async fn whole(&self) -> Result<Box<dyn Whole>, StorageError> {
        let snapshot = self.snapshot()?;
        Ok(Box::new(self.read(|| RedbWhole::new(&snapshot))?))
    }

    async fn stage(&self) -> Result<Box<dyn Staged>, StorageError> {
        Ok(Box::new(RedbStaged::begin(self.writer.jobs()?).await?))
    }

    fn kind(&self) -> &'static str {
        "redb"
    }
}

fn chunk(
    snapshot: &ReadTransaction,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<Page, redb::Error> {
    let data = snapshot.open_table(DATA)?;
    names::page(prefix, after, limit, |from, visit| {
        for entry in data.range::<&str>((from, Bound::Unbounded))? {
            if visit(entry?.0.value()).is_break() {
                break;
            }
        }
        Ok(())
    })
}

/// Runs the engine. A damaged page can make it panic where it should report: that is an error of
/// the store, not the end of the thread that read it.
fn sound<T>(run: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err(redb::Error::Corrupted(
            "the storage engine met what cannot be".into(),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyfold_core::testing::{Stores, storage_suite};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::Mutex;
    use tempfile::TempDir;

    struct Files {
        directory: TempDir,
        last: Mutex<PathBuf>,
    }

    #[async_trait]
    impl Stores for Files {
        async fn fresh(&self) -> Arc<dyn Storage> {
            let mut last = self.last.lock().unwrap();
            *last = self.directory.path().join(format!("{}", fastrand()));
            Arc::new(Redb::open(&*last).unwrap())
        }

        async fn reopen(&self, store: Arc<dyn Storage>) -> Option<Arc<dyn Storage>> {
            drop(store);
            Some(Arc::new(Redb::open(&*self.last.lock().unwrap()).unwrap()))
        }
    }

    fn fastrand() -> u64 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn keeps_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        storage_suite(&Files {
            directory,
            last: Mutex::default(),
        })
        .await;
    }

    #[test]
    fn a_directory_holds_one_file_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let parent = directory.path().join("new/deep");
        drop(Redb::open(parent.join("x.redb")).unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&parent), 0o700);
        assert_eq!(mode(&parent.join("x.redb")), 0o600);
        drop(Redb::open(&parent).unwrap());
        assert!(parent.join("keyfold.redb").is_file());
        drop(Redb::open(parent.join("dir/")).unwrap());
        assert!(parent.join("dir/keyfold.redb").is_file());
    }

    #[test]
    fn a_second_server_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let first = Redb::open(directory.path()).unwrap();
        let Err(error) = Redb::open(directory.path()) else {
            panic!("two on one store")
        };
        assert!(matches!(error, OpenError::Locked(_)));
        assert!(error.to_string().contains("in use by another process"));
        drop(first);
        Redb::open(directory.path()).unwrap();
    }

    #[test]
    fn a_newer_or_foreign_store_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        drop(Redb::open(&path).unwrap());
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction
            .open_table(open::META)
            .unwrap()
            .insert("format", 2)
            .unwrap();
        transaction.commit().unwrap();
        drop(database);
        let Err(error) = Redb::open(&path) else {
            panic!("opened a newer format")
        };
        assert!(matches!(
            error,
            OpenError::NewerFormat { found: 2, known: 1 }
        ));

        let path = directory.path().join("foreign");
        let database = redb::Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let other: redb::TableDefinition<'_, u64, u64> = redb::TableDefinition::new("other");
        transaction.open_table(other).unwrap().insert(1, 1).unwrap();
        transaction.commit().unwrap();
        drop(database);
        assert!(matches!(Redb::open(&path), Err(OpenError::Corrupt { .. })));

        let path = directory.path().join("text");
        fs::write(&path, "no database at all ".repeat(1000)).unwrap();
        assert!(matches!(Redb::open(&path), Err(OpenError::Corrupt { .. })));
        assert!(fs::read(&path).unwrap().starts_with(b"no database"));
        assert!(matches!(
            Redb::open("/dev/null/x"),
            Err(OpenError::Io { .. })
        ));
    }

    /// Wherever a byte is damaged, the store opens with right values or is refused: no panic, no
    /// wrong value.
    #[tokio::test]
    async fn damage_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let store = Redb::open(&path).unwrap();
        for n in 0..200 {
            store
                .commit(Batch::new().put(format!("k{n}"), [n; 300]))
                .await
                .unwrap();
        }
        drop(store);
        let intact = fs::read(&path).unwrap();
        let mut refused = 0;
        for step in 0..150 {
            let mut bytes = intact.clone();
            let at = bytes.len() * step / 150 + 17;
            let Some(byte) = bytes.get_mut(at) else {
                continue;
            };
            *byte ^= 0x55;
            fs::write(&path, bytes).unwrap();
            let Ok(store) = Redb::open(&path) else {
                refused += 1;
                continue;
            };
            for n in 0..200 {
                let entry = store.get(&format!("k{n}")).await;
                assert!(entry.is_err() || entry.unwrap().unwrap().value == [n; 300]);
            }
        }
        assert!(refused > 0);
    }

    async fn until_open(store: &Redb) {
        while store.get("a").await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_full_disk_heals_without_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let health = Arc::new(Health::default());
        let store =
            Redb::open_on(directory.path(), Options::default(), Arc::clone(&health)).unwrap();
        let before = store.commit(Batch::new().put("a", "1")).await.unwrap();
        health.faults.set_full(true);
        let full = store.commit(Batch::new().put("a", "2")).await;
        assert!(matches!(
            full,
            Err(StorageError::Failed(_) | StorageError::Unknown(_))
        ));
        let still = store.commit(Batch::new().put("b", "2")).await;
        assert!(matches!(
            still,
            Err(StorageError::Failed(_) | StorageError::Unknown(_))
        ));
        health.faults.set_full(false);
        until_open(&store).await;
        let kept = store.get("a").await.unwrap().unwrap();
        assert!(kept.value == b"1" && kept.revision == before);
        assert!(store.get("b").await.unwrap().is_none());
        let after = store.commit(Batch::new().put("a", "3")).await.unwrap();
        assert!(after > before);
    }

    #[test]
    fn where_there_is_no_room_no_piece_of_a_store_stays() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store");
        let health = Arc::new(Health::default());
        let open = || Redb::open_on(&file, Options::default(), Arc::clone(&health));
        health.faults.set_full(true);
        assert!(matches!(open(), Err(OpenError::Io { .. })));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        health.faults.set_full(false);
        open().unwrap();
    }

    #[tokio::test]
    async fn a_store_that_has_gone_is_not_replaced_by_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store");
        let away = directory.path().join("away");
        let health = Arc::new(Health::default());
        let store = Redb::open_on(&file, Options::default(), Arc::clone(&health)).unwrap();
        store.commit(Batch::new().put("a", "1")).await.unwrap();
        fs::rename(&file, &away).unwrap();
        health.faults.set_full(true);
        assert!(store.commit(Batch::new().put("a", "2")).await.is_err());
        health.faults.set_full(false);
        for _ in 0..3 {
            assert!(store.commit(Batch::new().put("a", "3")).await.is_err());
            assert!(store.get("a").await.is_err());
        }
        assert!(!file.exists());
        fs::rename(&away, &file).unwrap();
        until_open(&store).await;
        assert!(store.get("a").await.unwrap().unwrap().value == b"1");
    }

    #[tokio::test]
    async fn a_failed_sync_closes_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let health = Arc::new(Health::default());
        let store =
            Redb::open_on(directory.path(), Options::default(), Arc::clone(&health)).unwrap();
        store.commit(Batch::new().put("a", "1")).await.unwrap();
        health.faults.set_unsyncable(true);
        let lost = store.commit(Batch::new().put("a", "2")).await;
        assert!(matches!(lost, Err(StorageError::Unknown(_))));
        health.faults.set_unsyncable(false);
        for _ in 0..3 {
            let error = store.commit(Batch::new().put("a", "3")).await.unwrap_err();
            assert!(matches!(&error, StorageError::Failed(cause) if cause.contains("sync")));
            assert!(store.get("a").await.is_err());
        }
        drop(store);
        let store = Redb::open(directory.path()).unwrap();
        assert!(store.get("a").await.unwrap().unwrap().value != b"3");
    }

    #[tokio::test]
    async fn a_caller_that_stops_waiting_loses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Redb::open(directory.path()).unwrap());
        for n in 0..20 {
            let store = Arc::clone(&store);
            let task =
                tokio::spawn(
                    async move { store.commit(Batch::new().put(format!("k{n}"), "")).await },
                );
            tokio::task::yield_now().await;
            task.abort();
            let _ = task.await;
        }
        drop(store);
        let store = Redb::open(directory.path()).unwrap();
        assert_eq!(store.list("", "", 0).await.unwrap().names.len(), 20);
    }
}
