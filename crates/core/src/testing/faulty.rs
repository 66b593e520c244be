//! A store that fails or dies at a chosen operation.
//!
//! A crash test runs its scenario once to learn how many operations it takes, then once for each of
//! them with a crash there, and starts again on [`FaultyStorage::inner`], as a restarted server
//! would.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, broadcast};

use crate::ports::nodes::Nodes;
use crate::ports::storage::{
    Batch, Change, Entry, LockGuard, Page, Revision, Staged, Storage, StorageError, Whole,
};
use crate::ports::whole::Portion;

/// On which side of a commit the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The commit has not happened.
    Before,
    /// The commit has happened, but nobody was told.
    After,
}

/// Wraps a store; counts its operations (`get`, `list`, `commit`, `lock`, `whole`, `stage`, and the
/// steps of the latter two, numbered from 0) and what they read, and breaks at the one it was told.
pub struct FaultyStorage {
    inner: Arc<dyn Storage>,
    faults: Arc<Faults>,
}

/// What is planned, and what was asked for.
#[derive(Default)]
struct Faults(Mutex<State>);

#[derive(Default)]
struct State {
    operations: usize,
    read: usize,
    plan: Plan,
    held: Option<Arc<Notify>>,
}

#[derive(Clone, Copy, Default)]
enum Plan {
    #[default]
    Sound,
    FailAt(usize),
    UnansweredAt(usize),
    CrashAt(usize, Moment),
}

/// What happens to one operation.
enum Fate {
    Runs,
    Fails,
    /// Runs, but its answer is lost.
    Unanswered,
    /// Does not run, and its caller cannot know.
    Lost,
    Dead,
}

impl FaultyStorage {
    /// A wrapper that passes everything on until told otherwise.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self {
            inner,
            faults: Arc::default(),
        }
    }

    /// The operation numbered `n` gets [`StorageError::Failed`]; those after it work again.
    pub fn fail_at(&self, n: usize) {
        self.faults.state(|s| s.plan = Plan::FailAt(n));
    }

    /// The operation numbered `n` is carried out if it is a commit, and its caller gets
    /// [`StorageError::Unknown`]; any other fails. Those after it work again.
    pub fn unanswered_at(&self, n: usize) {
        self.faults.state(|s| s.plan = Plan::UnansweredAt(n));
    }

    /// From the operation numbered `n` on everything fails, as if the process had died there. If
    /// that operation is a commit it is applied or not as `moment` says; its caller gets
    /// [`StorageError::Unknown`].
    pub fn crash_at(&self, n: usize, moment: Moment) {
        self.faults.state(|s| s.plan = Plan::CrashAt(n, moment));
    }

    /// Every operation works again.
    pub fn mend(&self) {
        self.faults.state(|s| s.plan = Plan::Sound);
    }

    /// The next commit waits until it is let go.
    pub fn hold_next_commit(&self) -> Arc<Notify> {
        let held = Arc::new(Notify::new());
        self.faults.state(|s| s.held = Some(held.clone()));
        held
    }

    /// The commit that is to wait has come.
    pub fn is_holding(&self) -> bool {
        self.faults.state(|s| s.held.is_none())
    }

    /// Operations asked for so far, refused ones included.
    pub fn operations(&self) -> usize {
        self.faults.state(|s| s.operations)
    }

    /// Values and names read so far.
    pub fn read(&self) -> usize {
        self.faults.state(|s| s.read)
    }

    /// The wrapped store: what a restart finds.
    pub fn inner(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.inner)
    }
}

impl Faults {
    fn fate(&self) -> Fate {
        self.state(|s| {
            let n = s.operations;
            s.operations += 1;
            match s.plan {
                Plan::FailAt(at) if n == at => Fate::Fails,
                Plan::CrashAt(at, Moment::Before) if n == at => Fate::Lost,
                Plan::CrashAt(at, Moment::After) | Plan::UnansweredAt(at) if n == at => {
                    Fate::Unanswered
                }
                Plan::CrashAt(at, _) if n > at => Fate::Dead,
                _ => Fate::Runs,
            }
        })
    }

    /// Lets an operation that changes nothing run, or refuses it.
    fn admit(&self) -> Result<(), StorageError> {
        match self.fate() {
            Fate::Runs => Ok(()),
            Fate::Fails => Err(failed()),
            Fate::Unanswered | Fate::Lost | Fate::Dead => Err(dead()),
        }
    }

    /// Lets a commit run, or not, or loses its answer.
    async fn change(
        &self,
        commit: impl Future<Output = Result<Revision, StorageError>>,
    ) -> Result<Revision, StorageError> {
        if let Some(held) = self.state(|s| s.held.take()) {
            held.notified().await;
        }
        match self.fate() {
            Fate::Runs => commit.await,
            Fate::Fails => Err(failed()),
            Fate::Unanswered => {
                // Whatever the answer is, it dies with the process.
                let _ = commit.await;
                Err(unknown())
            }
            Fate::Lost => Err(unknown()),
            Fate::Dead => Err(dead()),
        }
    }

    fn state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Storage for FaultyStorage {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StorageError> {
        self.faults.admit()?;
        let entry = self.inner.get(key).await?;
        self.faults
            .state(|s| s.read += usize::from(entry.is_some()));
        Ok(entry)
    }

    async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, StorageError> {
        self.faults.admit()?;
        let page = self.inner.list(prefix, after, limit).await?;
        self.faults.state(|s| s.read += page.names.len());
        Ok(page)
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, StorageError> {
        self.faults.change(self.inner.commit(batch)).await
    }

    fn watch(&self) -> broadcast::Receiver<Change> {
        self.inner.watch()
    }

    async fn lock(
        &self,
        name: &str,
        ttl: Duration,
    ) -> Result<Option<Box<dyn LockGuard>>, StorageError> {
        self.faults.admit()?;
        self.inner.lock(name, ttl).await
    }

    async fn whole(&self) -> Result<Box<dyn Whole>, StorageError> {
        self.faults.admit()?;
        Ok(Box::new(FaultyWhole {
            inner: self.inner.whole().await?,
            faults: self.faults.clone(),
        }))
    }

    async fn stage(&self) -> Result<Box<dyn Staged>, StorageError> {
        self.faults.admit()?;
        Ok(Box::new(FaultyStaged {
            inner: self.inner.stage().await?,
            faults: self.faults.clone(),
        }))
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        self.inner.nodes()
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }
}

struct FaultyWhole {
    inner: Box<dyn Whole>,
    faults: Arc<Faults>,
}

#[async_trait]
impl Whole for FaultyWhole {
    fn revision(&self) -> Revision {
        self.inner.revision()
    }

    async fn next(&mut self) -> Result<Portion, StorageError> {
        self.faults.admit()?;
        let portion = self.inner.next().await?;
        self.faults.state(|s| s.read += portion.len());
        Ok(portion)
    }
}

struct FaultyStaged {
    inner: Box<dyn Staged>,
    faults: Arc<Faults>,
}

#[async_trait]
impl Staged for FaultyStaged {
    async fn add(&mut self, portion: Portion) -> Result<(), StorageError> {
        self.faults.admit()?;
        self.inner.add(portion).await
    }

    async fn adopt(self: Box<Self>) -> Result<Revision, StorageError> {
        self.faults.change(self.inner.adopt()).await
    }
}

fn failed() -> StorageError {
    StorageError::Failed("injected fault".into())
}

fn dead() -> StorageError {
    StorageError::Failed("injected crash: the store is gone".into())
}

fn unknown() -> StorageError {
    StorageError::Unknown("injected crash during the commit".into())
}
