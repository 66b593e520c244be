//! The store of several nodes: keys below a prefix of an etcd cluster that all of them use.
//!
//! ```text
//!   the way     links.rs    one member is asked, and another when that one fails
//!   reads       reads.rs    with what counts now (root.rs): what a restore replaced is not read
//!   commits     commit.rs   each is one transaction of etcd's (plan.rs), found again when its answer is lost
//!   changes     follow.rs   each commit leaves a record, which all nodes watch (feed.rs)
//!   nodes       session.rs  who is there; ../standing.rs: who may answer from memory
//! ```
//!
//! A revision is etcd's: that of the transaction. It grows with every commit, and with what else is
//! done in the cluster, so revisions have gaps.
//!
//! etcd has the truth: every read goes there, through the majority, and a commit is what the majority
//! has made durable. It is trusted to keep what it is given, not to keep it secret: it has keys and
//! ciphertext. No clock of any machine is relied on: leases of etcd's run on its leader's, nodes' on
//! their own, and all of them only forward.

mod clocks;
mod commit;
mod feed;
mod follow;
mod keys;
mod link;
mod links;
mod lists;
mod locks;
mod member;
mod nodes;
mod open;
mod options;
mod parts;
mod plan;
mod reads;
mod record;
mod root;
mod session;
mod stage;
mod value;
mod whole;
mod wire;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use keyfold_core::ports::nodes::Nodes;
use keyfold_core::ports::storage::{
    Batch, Change, Entry, LockGuard, Page, Revision, Staged, Storage, StorageError, Whole,
};
use tokio::sync::{Notify, broadcast, watch};

pub use self::open::OpenError;
pub use self::options::{Options, PREFIX, Tls};

use self::commit::Work;
use self::feed::Feed;
use self::keys::Keys;
use self::links::Links;
use self::locks::LetGo;
use self::member::Identity;
use self::root::Root;
use self::session::Sessions;
use super::rules;
use super::standing::Standing;

/// A store below a prefix of an etcd cluster, which other nodes may have open, too.
pub struct Etcd {
    shared: Arc<Shared>,
    /// Gone with this: whoever works for the store ends.
    _open: watch::Sender<()>,
}

/// What all that works on a store has.
struct Shared {
    own: Weak<Shared>,
    keys: Keys,
    links: Links,
    feed: Feed,
    standing: Arc<Standing>,
    root: Mutex<Root>,
    sessions: Sessions,
    let_go: LetGo,
    identity: Identity,
    /// It answers, or is about to.
    joined: AtomicBool,
    /// Calls for another watch: this one seems to hang.
    rewatch: Notify,
}

impl Etcd {
    /// Opens the store, on the current runtime; makes it where there is nothing below the prefix.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        open::open(options).await
    }
}

#[async_trait]
impl Storage for Etcd {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StorageError> {
        match rules::check_key(key) {
            Ok(()) => self.shared.get(key).await,
            Err(_) => Ok(None),
        }
    }

    async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, StorageError> {
        self.shared.list(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, StorageError> {
        rules::check(&batch)?;
        self.shared.commit(Work::Batch(&batch)).await
    }

    fn watch(&self) -> broadcast::Receiver<Change> {
        self.shared.feed.watch()
    }

    async fn lock(
        &self,
        name: &str,
        ttl: Duration,
    ) -> Result<Option<Box<dyn LockGuard>>, StorageError> {
        self.shared.lock(name, ttl).await
    }

    async fn whole(&self) -> Result<Box<dyn Whole>, StorageError> {
        Ok(Box::new(self.shared.whole().await?))
    }

    async fn stage(&self) -> Result<Box<dyn Staged>, StorageError> {
        Ok(Box::new(self.shared.stage().await?))
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        Some(self)
    }

    fn kind(&self) -> &'static str {
        "etcd"
    }
}

/// A number as the protocol has it.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of the protocol, which is not negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
