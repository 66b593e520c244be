//! A store that ends with the process: tests and development.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use keyfold_core::ports::storage::{
    Batch, Change, Check, Entry, LockGuard, Page, Revision, Storage, StorageError,
};
use tokio::sync::broadcast;

use super::locks::Locks;
use super::{FEED, names, rules};

/// A map in memory.
pub struct Memory {
    state: Mutex<State>,
    changes: broadcast::Sender<Change>,
    locks: Locks,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<String, Entry>,
    revision: u64,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        let (changes, _) = broadcast::channel(FEED);
        Self {
            state: Mutex::default(),
            changes,
            locks: Locks::default(),
        }
    }

    fn state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
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
            s.check(&batch)?;
            s.revision += 1;
            let revision = Revision(s.revision);
            let keys = batch.touched().map(str::to_owned).collect();
            for (key, value) in batch.puts {
                s.entries.insert(key, Entry { value, revision });
            }
            for key in &batch.deletes {
                s.entries.remove(key);
            }
            // Under the lock, so that the feed has the order of the commits. No watcher is no error.
            let _ = self.changes.send(Change { revision, keys });
            Ok(revision)
        })
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

    fn kind(&self) -> &'static str {
        "inmem"
    }
}

impl State {
    fn check(&self, batch: &Batch) -> Result<(), StorageError> {
        for check in &batch.checks {
            let (key, holds) = match check {
                Check::Absent(key) => (key, !self.entries.contains_key(key)),
                Check::Unchanged(key, revision) => (
                    key,
                    self.entries
                        .get(key)
                        .is_some_and(|e| e.revision == *revision),
                ),
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
