//! A store whose operations are counted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::Counter;
use super::family::{Family, Kind, Value};
use crate::ports::nodes::Nodes;
use crate::ports::storage::{
    Batch, Change, Entry, LockGuard, Page, Revision, Staged, Storage, StorageError, Whole,
};

/// What a store was asked for.
#[derive(Default)]
pub(crate) struct StorageTally {
    gets: Counter,
    lists: Counter,
    commits: Counter,
    conflicts: Counter,
    failures: Counter,
}

/// Passes everything on, and counts it.
pub(crate) struct Metered {
    inner: Arc<dyn Storage>,
    tally: Arc<StorageTally>,
}

impl StorageTally {
    pub(super) fn families(&self) -> [Family; 2] {
        let mut operations = Family::new(
            "vault_storage_operations_total",
            "What the store was asked for.",
            Kind::Counter,
        );
        let mut errors = Family::new(
            "vault_storage_errors_total",
            "What it did not do.",
            Kind::Counter,
        );
        for (name, counter) in [
            ("get", &self.gets),
            ("list", &self.lists),
            ("commit", &self.commits),
        ] {
            let labels = vec![("operation", name.to_owned())];
            operations.push(labels, Value::Count(counter.read()));
        }
        for (name, counter) in [("conflict", &self.conflicts), ("failure", &self.failures)] {
            let labels = vec![("kind", name.to_owned())];
            errors.push(labels, Value::Count(counter.read()));
        }
        [operations, errors]
    }

    fn noted<T>(&self, done: Result<T, StorageError>) -> Result<T, StorageError> {
        match &done {
            Ok(_) => {}
            Err(StorageError::Conflict(_)) => self.conflicts.add_one(),
            Err(_) => self.failures.add_one(),
        }
        done
    }
}

impl Metered {
    pub fn new(inner: Arc<dyn Storage>, tally: Arc<StorageTally>) -> Self {
        Self { inner, tally }
    }
}

#[async_trait]
impl Storage for Metered {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StorageError> {
        self.tally.gets.add_one();
        self.tally.noted(self.inner.get(key).await)
    }

    async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, StorageError> {
        self.tally.lists.add_one();
        self.tally
            .noted(self.inner.list(prefix, after, limit).await)
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, StorageError> {
        self.tally.commits.add_one();
        self.tally.noted(self.inner.commit(batch).await)
    }

    fn watch(&self) -> broadcast::Receiver<Change> {
        self.inner.watch()
    }

    async fn lock(
        &self,
        name: &str,
        ttl: Duration,
    ) -> Result<Option<Box<dyn LockGuard>>, StorageError> {
        self.tally.noted(self.inner.lock(name, ttl).await)
    }

    async fn whole(&self) -> Result<Box<dyn Whole>, StorageError> {
        self.tally.noted(self.inner.whole().await)
    }

    async fn stage(&self) -> Result<Box<dyn Staged>, StorageError> {
        self.tally.noted(self.inner.stage().await)
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        self.inner.nodes()
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }
}
