//! A store that ends with the process: tests and development.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use keyfold_core::ports::storage::{
    Batch, Change, Check, Entry, LockGuard, Page, Revision, Staged, Storage, StorageError, Whole,
};
use keyfold_core::ports::whole::Portion;
use tokio::sync::broadcast;

use super::locks::Locks;
use super::{FEED, names, portion, rules};

/// A map in memory.
pub struct Memory {
    map: Arc<Map>,
    locks: Locks,
}

/// What stages share with their store.
struct Map {
    state: Mutex<State>,
    changes: broadcast::Sender<Change>,
}

type Entries = BTreeMap<String, Entry>;

#[derive(Default)]
struct State {
    /// Copied by a commit only while somebody reads the whole.
    entries: Arc<Entries>,
    revision: u64,
    /// The number of the last stage that began.
    stage: u64,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        let (changes, _) = broadcast::channel(FEED);
        Self {
            map: Arc::new(Map {
                state: Mutex::default(),
                changes,
            }),
            locks: Locks::default(),
        }
    }

    fn state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        self.map.state(f)
    }
}

impl Map {
    fn state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the watchers; under the lock, so that the feed has the order of the commits.
    fn tell(&self, revision: Revision, keys: Vec<String>, replaced: bool) {
        // No watcher is no error.
        let _ = self.changes.send(Change {
            revision,
            keys,
            replaced,
        });
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Storage for Memory {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StorageError> {
        Ok(self.state(|s| s.entries.get(key).cloned()))
    }

    async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, StorageError> {
        rules::check_prefix(prefix)?;
        let Ok(page) = self.state(|s| {
            names::page::<Infallible>(prefix, after, limit, |from, visit| {
                let mut keys = s.entries.range::<str, _>((from, Bound::Unbounded));
                keys.try_for_each(|(key, _)| visit(key)).is_break();
                Ok(())
            })
        });
        Ok(page)
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, StorageError> {
        rules::check(&batch)?;
        self.state(|s| {
            s.check(&batch, &self.locks)?;
            s.revision += 1;
            let revision = Revision(s.revision);
            let keys = batch.touched().map(str::to_owned).collect();
            let entries = Arc::make_mut(&mut s.entries);
            for (key, value) in batch.puts {
                entries.insert(key, Entry { value, revision });
            }
            for key in &batch.deletes {
                entries.remove(key);
            }
            self.map.tell(revision, keys, false);
            Ok(revision)
        })
    }

    fn watch(&self) -> broadcast::Receiver<Change> {
        self.map.changes.subscribe()
    }

    async fn lock(
        &self,
        name: &str,
        ttl: Duration,
    ) -> Result<Option<Box<dyn LockGuard>>, StorageError> {
        Ok(self.locks.take(name, ttl))
    }

    async fn whole(&self) -> Result<Box<dyn Whole>, StorageError> {
        Ok(self.state(|s| {
            Box::new(MemoryWhole {
                entries: s.entries.clone(),
                revision: Revision(s.revision),
                last: String::new(),
            })
        }))
    }

    async fn stage(&self) -> Result<Box<dyn Staged>, StorageError> {
        let number = self.state(|s| {
            s.stage += 1;
            s.stage
        });
        Ok(Box::new(MemoryStaged {
            map: self.map.clone(),
            number,
            added: BTreeMap::new(),
        }))
    }

    fn kind(&self) -> &'static str {
        "inmem"
    }
}

struct MemoryWhole {
    entries: Arc<Entries>,
    revision: Revision,
    /// The last key that was handed on.
    last: String,
}

#[async_trait]
impl Whole for MemoryWhole {
    fn revision(&self) -> Revision {
        self.revision
    }

    async fn next(&mut self) -> Result<Portion, StorageError> {
        let after = (Bound::Excluded(self.last.as_str()), Bound::Unbounded);
        let mut filled = portion::Filled::default();
        for (key, entry) in self.entries.range::<str, _>(after) {
            if !filled.take(key, &entry.value) {
                break;
            }
        }
        let portion = filled.into_inner();
        if let Some((key, _)) = portion.last() {
            self.last.clone_from(key);
        }
        Ok(portion)
    }
}

struct MemoryStaged {
    map: Arc<Map>,
    number: u64,
    added: BTreeMap<String, Vec<u8>>,
}

#[async_trait]
impl Staged for MemoryStaged {
    async fn add(&mut self, portion: Portion) -> Result<(), StorageError> {
        rules::check_portion(&portion)?;
        self.map.state(|s| s.check_stage(self.number))?;
        self.added.extend(portion);
        Ok(())
    }

    async fn adopt(self: Box<Self>) -> Result<Revision, StorageError> {
        let Self { map, number, added } = *self;
        map.state(|s| {
            s.check_stage(number)?;
            s.stage += 1;
            s.revision += 1;
            let revision = Revision(s.revision);
            let entries = added.into_iter();
            let entries = entries.map(|(key, value)| (key, Entry { value, revision }));
            s.entries = Arc::new(entries.collect());
            map.tell(revision, Vec::new(), true);
            Ok(revision)
        })
    }
}

impl State {
    /// Another stage has begun since, or this one has been adopted.
    fn check_stage(&self, number: u64) -> Result<(), StorageError> {
        match self.stage == number {
            true => Ok(()),
            false => Err(portion::overtaken()),
        }
    }

    fn check(&self, batch: &Batch, locks: &Locks) -> Result<(), StorageError> {
        for check in &batch.checks {
            let (key, holds) = match check {
                Check::Absent(key) => (key, !self.entries.contains_key(key)),
                Check::Present(key) => (key, self.entries.contains_key(key)),
                Check::Unchanged(key, revision) => (
                    key,
                    self.entries
                        .get(key)
                        .is_some_and(|e| e.revision == *revision),
                ),
                Check::Held(name, fence) => (name, locks.holds(name, *fence)),
            };
            if !holds {
                return Err(StorageError::Conflict(key.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyfold_core::testing::{FaultyStorage, Moment, Stores, storage_suite};
    use std::sync::Arc;

    struct Memories;

    #[async_trait]
    impl Stores for Memories {
        async fn fresh(&self) -> Arc<dyn Storage> {
            Arc::new(Memory::new())
        }

        async fn reopen(&self, _: Arc<dyn Storage>) -> Option<Arc<dyn Storage>> {
            None
        }
    }

    /// The suite also runs through a wrapper that breaks nothing.
    struct Wrapped;

    #[async_trait]
    impl Stores for Wrapped {
        async fn fresh(&self) -> Arc<dyn Storage> {
            Arc::new(FaultyStorage::new(Arc::new(Memory::new())))
        }

        async fn reopen(&self, _: Arc<dyn Storage>) -> Option<Arc<dyn Storage>> {
            None
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn keeps_the_contract() {
        storage_suite(&Memories).await;
        storage_suite(&Wrapped).await;
    }

    #[tokio::test]
    async fn a_fault_hits_one_operation() {
        let store = FaultyStorage::new(Arc::new(Memory::new()));
        store.fail_at(1);
        store.commit(Batch::new().put("a", "")).await.unwrap();
        let failed = store.commit(Batch::new().put("b", "")).await;
        assert!(matches!(failed, Err(StorageError::Failed(_))));
        assert!(store.get("b").await.unwrap().is_none());
        assert_eq!(store.operations(), 3);
    }

    #[tokio::test]
    async fn a_crash_ends_everything_on_the_chosen_side() {
        for (moment, applied) in [(Moment::Before, false), (Moment::After, true)] {
            let store = FaultyStorage::new(Arc::new(Memory::new()));
            store.crash_at(1, moment);
            store.commit(Batch::new().put("a", "")).await.unwrap();
            let dying = store.commit(Batch::new().put("b", "")).await;
            assert!(matches!(dying, Err(StorageError::Unknown(_))));
            assert!(store.get("a").await.is_err());
            assert!(store.list("", "", 0).await.is_err());
            assert!(store.commit(Batch::new().put("c", "")).await.is_err());
            assert!(store.lock("l", Duration::MAX).await.is_err());
            let left = store.inner().list("", "", 0).await.unwrap().names;
            assert_eq!(left, if applied { vec!["a", "b"] } else { vec!["a"] });
        }
    }
}
