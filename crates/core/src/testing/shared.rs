//! Several nodes on one store, in one process: each has a handle, and may be cut off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::ports::nodes::{Member, Nodes, Position};
use crate::ports::storage::{
    Batch, Change, Entry, LockGuard, Page, Revision, Staged, Storage, StorageError, Whole,
};

/// How long a lease runs, and an answer may be old.
pub const BOUND: Duration = Duration::from_millis(200);
/// The longest time to live of a lock: tests can wait for its end.
pub const LOCKED: Duration = Duration::from_secs(2);
/// How often those that wait look.
const LOOK: Duration = Duration::from_millis(1);
/// Changes that a node may lag behind.
const FEED: usize = 1024;

/// One node's handle of a store that others have too.
pub struct SharedStorage {
    inner: Arc<dyn Storage>,
    nodes: Arc<Mutex<Vec<Node>>>,
    place: usize,
    feed: broadcast::Sender<Change>,
}

/// A node as the others know it.
struct Node {
    joined: bool,
    applied: Revision,
    made: Revision,
    /// Since when it is cut off.
    cut: Option<Instant>,
    /// Its commits wait, and how many do.
    still: bool,
    waiting: usize,
    /// It can't join yet, and waits to.
    held: bool,
    joining: bool,
    /// What it has to apply before it holds a lease again.
    owes: Revision,
}

impl SharedStorage {
    /// The first node's, on a store that tells of its changes itself.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self::placed(inner, Arc::default())
    }

    /// Another node's.
    pub fn another(&self) -> Self {
        Self::placed(self.inner.clone(), self.nodes.clone())
    }

    fn placed(inner: Arc<dyn Storage>, nodes: Arc<Mutex<Vec<Node>>>) -> Self {
        let (feed, _) = broadcast::channel(FEED);
        let place = {
            let mut all = nodes.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(Node {
                joined: false,
                applied: Revision::default(),
                made: Revision::default(),
                cut: None,
                still: false,
                waiting: 0,
                held: false,
                joining: false,
                owes: Revision::default(),
            });
            all.len() - 1
        };
        let changes = inner.watch();
        tokio::spawn(relay(changes, nodes.clone(), place, feed.clone()));
        Self {
            inner,
            nodes,
            place,
            feed,
        }
    }

    /// From here on the store can't be reached by this node, and tells it nothing.
    pub fn cut(&self) {
        self.own(|node| node.cut = Some(Instant::now()));
    }

    /// The same, and what this node commits is on its way until it [heals](Self::heal).
    pub fn stand_still(&self) {
        self.cut();
        self.own(|node| node.still = true);
    }

    /// Commits that are on their way.
    pub fn waiting(&self) -> usize {
        self.own(|node| node.waiting)
    }

    /// This node's next vault can't join the others until it is let.
    pub fn hold_join(&self, held: bool) {
        self.own(|node| node.held = held);
    }

    /// It waits to join.
    pub fn is_joining(&self) -> bool {
        self.own(|node| node.joining)
    }

    /// It can be reached again, and tells what was missed.
    pub fn heal(&self) {
        let newest = self.all(|nodes| nodes.iter().map(|n| n.made.max(n.applied)).max());
        self.own(|node| {
            node.cut = None;
            node.still = false;
            node.owes = newest.unwrap_or_default();
        });
    }

    fn reachable(&self) -> Result<(), StorageError> {
        match self.own(|node| node.cut.filter(|_| !node.still)) {
            None => Ok(()),
            Some(_) => Err(StorageError::Failed("the store is cut off".into())),
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "a test's store: nodes are never taken away"
    )]
    fn own<T>(&self, f: impl FnOnce(&mut Node) -> T) -> T {
        self.all(|nodes| {
            f(nodes
                .get_mut(self.place)
                .expect("a node stays in its place"))
        })
    }

    fn all<T>(&self, f: impl FnOnce(&mut Vec<Node>) -> T) -> T {
        f(&mut self.nodes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn relay(
    mut changes: broadcast::Receiver<Change>,
    nodes: Arc<Mutex<Vec<Node>>>,
    place: usize,
    feed: broadcast::Sender<Change>,
) {
    while let Ok(change) = changes.recv().await {
        while is_cut(&nodes, place) {
            tokio::time::sleep(LOOK).await;
        }
        // Nobody may be listening yet.
        let _unheard = feed.send(change);
    }
}

fn is_cut(nodes: &Mutex<Vec<Node>>, place: usize) -> bool {
    let nodes = nodes.lock().unwrap_or_else(PoisonError::into_inner);
    nodes.get(place).is_some_and(|node| node.cut.is_some())
}

#[async_trait]
impl Nodes for SharedStorage {
    async fn join(&self) -> Result<(), StorageError> {
        self.own(|node| node.joining = true);
        while self.own(|node| node.held) {
            tokio::time::sleep(LOOK).await;
        }
        self.own(|node| node.joining = false);
        self.reachable()?;
        self.own(|node| {
            node.joined = true;
            node.owes = Revision::default();
        });
        Ok(())
    }

    fn lease(&self) -> Instant {
        self.own(|node| match node.cut {
            Some(since) => since + BOUND,
            None if node.joined && node.applied >= node.owes => Instant::now() + BOUND,
            None => Instant::now(),
        })
    }

    fn applied(&self, revision: Revision) {
        self.own(|node| node.applied = node.applied.max(revision));
    }

    async fn settled(&self, revision: Revision, patience: Duration) -> Result<(), StorageError> {
        let began = Instant::now();
        loop {
            self.reachable()?;
            let waits = self.all(|nodes| {
                let others = nodes.iter().enumerate().filter(|(at, _)| *at != self.place);
                others.map(|(_, node)| node).any(|node| {
                    let silent = node.cut.is_some_and(|since| since.elapsed() > BOUND);
                    node.joined && node.applied < revision && !silent
                })
            });
            if !waits {
                return Ok(());
            }
            if began.elapsed() > patience {
                return Err(StorageError::Failed("a node does not answer".into()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn reached(&self, revision: Revision, patience: Duration) -> bool {
        let began = Instant::now();
        while self.own(|node| node.applied) < revision {
            if began.elapsed() > patience {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    fn at(&self) -> Revision {
        self.own(|node| node.made.max(node.applied))
    }

    fn position(&self) -> Position {
        let lease = self.lease();
        Position {
            id: format!("node-{}", self.place),
            applied: self.own(|node| node.applied),
            current: lease.checked_sub(BOUND).unwrap_or(lease),
        }
    }

    async fn members(&self) -> Result<Vec<Member>, StorageError> {
        self.reachable()?;
        Ok(self.all(|nodes| {
            let members = nodes.iter().enumerate().map(|(at, node)| Member {
                id: format!("node-{at}"),
                host: String::new(),
                address: format!("http://node-{at}"),
                version: String::new(),
                alive: node.joined && node.cut.is_none(),
                applied: node.applied,
                own: at == self.place,
            });
            members.collect()
        }))
    }

    async fn leave(&self) {
        self.own(|node| node.joined = false);
    }
}

#[async_trait]
impl Storage for SharedStorage {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StorageError> {
        self.reachable()?;
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, StorageError> {
        self.reachable()?;
        self.inner.list(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, StorageError> {
        self.own(|node| node.waiting += 1);
        while self.own(|node| node.still) {
            tokio::time::sleep(LOOK).await;
        }
        self.own(|node| node.waiting -= 1);
        self.reachable()?;
        let revision = self.inner.commit(batch).await?;
        self.own(|node| node.made = node.made.max(revision));
        Ok(revision)
    }

    fn watch(&self) -> broadcast::Receiver<Change> {
        self.feed.subscribe()
    }

    async fn lock(
        &self,
        name: &str,
        ttl: Duration,
    ) -> Result<Option<Box<dyn LockGuard>>, StorageError> {
        self.reachable()?;
        self.inner.lock(name, ttl.min(LOCKED)).await
    }

    async fn whole(&self) -> Result<Box<dyn Whole>, StorageError> {
        self.reachable()?;
        self.inner.whole().await
    }

    async fn stage(&self) -> Result<Box<dyn Staged>, StorageError> {
        self.reachable()?;
        self.inner.stage().await
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        Some(self)
    }

    fn kind(&self) -> &'static str {
        "shared"
    }
}
