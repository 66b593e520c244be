//! What every commit of an open vault goes through: it keeps the vault from a store that is not its own
//! any more, and the holder of a lock from writing after its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{RwLock, broadcast};

use crate::error::Error;
use crate::ports::nodes::Nodes;
use crate::ports::storage::{
    Batch, Change, Entry, LockGuard, Page, Revision, Staged, Storage, StorageError, Whole,
};
use crate::ports::whole::Portion;

tokio::task_local! {
    /// The lock that the work of this task is done under: its name and its fencing token.
    static UNDER: (&'static str, u64);
}

/// Does work that one node at a time may do: nothing of it is stored once the lock is not held any
/// more.
pub(crate) async fn under<F: Future>(
    name: &'static str,
    lock: &dyn LockGuard,
    work: F,
) -> F::Output {
    UNDER.scope((name, lock.fence()), work).await
}

/// The store of one open vault. Once a snapshot has taken the place of what the vault was opened on,
/// nothing goes through: what it would write, under keys of before, would be noise among the new
/// records.
pub(super) struct Fence {
    inner: Arc<dyn Storage>,
    /// Commits hold it shared, what replaces the store alone.
    gate: RwLock<()>,
    closed: AtomicBool,
}

impl Fence {
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self {
            inner,
            gate: RwLock::new(()),
            closed: AtomicBool::new(false),
        }
    }

    /// Puts what is staged in the place of the store, after the commits under way, and with what `last`
    /// takes along from the store as it is then: it reads, and must not commit. Where that fails,
    /// nothing has happened; where nobody can tell, no more goes through either.
    pub async fn replace(
        &self,
        mut staged: Box<dyn Staged>,
        last: impl Future<Output = Result<Portion, Error>>,
    ) -> Result<Revision, Error> {
        let _alone = self.gate.write().await;
        let portion = last.await?;
        if !portion.is_empty() {
            staged.add(portion).await?;
        }
        let done = staged.adopt().await;
        if matches!(done, Ok(_) | Err(StorageError::Unknown(_))) {
            self.closed.store(true, Ordering::Release);
        }
        Ok(done?)
    }

    /// Another store is there now.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn open(&self) -> Result<(), StorageError> {
        match self.is_closed() {
            false => Ok(()),
            true => Err(StorageError::Failed(
                "a snapshot was restored while this was under way".into(),
            )),
        }
    }
}

#[async_trait]
impl Storage for Fence {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StorageError> {
        self.open()?;
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, StorageError> {
        self.open()?;
        self.inner.list(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, StorageError> {
        let _shared = self.gate.read().await;
        self.open()?;
        let batch = match UNDER.try_get() {
            Ok((name, fence)) if self.inner.nodes().is_some() => batch.held(name, fence),
            _ => batch,
        };
        self.inner.commit(batch).await
    }

    fn watch(&self) -> broadcast::Receiver<Change> {
        self.inner.watch()
    }

    async fn lock(
        &self,
        name: &str,
        ttl: Duration,
    ) -> Result<Option<Box<dyn LockGuard>>, StorageError> {
        self.open()?;
        self.inner.lock(name, ttl).await
    }

    async fn whole(&self) -> Result<Box<dyn Whole>, StorageError> {
        self.open()?;
        self.inner.whole().await
    }

    async fn stage(&self) -> Result<Box<dyn Staged>, StorageError> {
        self.open()?;
        self.inner.stage().await
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        self.inner.nodes()
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }
}
