//! The store of several nodes: tables of a PostgreSQL database that all of them use.
//!
//! ```text
//!   reads      pool.rs      a statement each, on connections that are used again
//!   commits    writer.rs    those that wait go into one transaction
//!   changes    follow.rs    what any node committed is heard of (LISTEN) and read (feed.rs)
//!   nodes      standing.rs  who may answer from memory, and who has heard of what
//! ```
//!
//! The database has the truth: every read goes there, and a commit is what it has made durable. It is
//! trusted to keep what it is given, not to keep it secret: it has keys and ciphertext.

mod clock;
mod failure;
mod feed;
mod follow;
mod group;
mod key;
mod lists;
mod locks;
mod nodes;
mod open;
mod pool;
mod schema;
mod sql;
mod stage;
mod tables;
mod transaction;
mod whole;
mod writer;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use keyfold_core::ports::nodes::Nodes;
use keyfold_core::ports::storage::{
    Batch, Change, Entry, LockGuard, Page, Revision, Staged, Storage, StorageError, Whole,
};
use keyfold_postgres::Server;
use tokio::sync::{broadcast, mpsc};
use tokio::time::timeout;

pub use self::open::{OpenError, Options, TABLE};

use self::clock::Clock;
use self::failure::{ATTEMPT, Failure, Tries};
use self::feed::Feed;
use self::key::Parts;
use self::locks::LetGo;
use self::pool::Pool;
use self::sql::Sql;
use self::writer::{Job, Task};
use super::rules;
use super::standing::Standing;

/// A store in tables of a database, which other nodes may have open, too.
///
/// Dropped, it finishes the commits that are queued as long as its runtime lives.
pub struct Postgres {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
}

/// What all that works on a store has.
struct Shared {
    own: Weak<Shared>,
    server: Server,
    sql: Sql,
    pool: Pool,
    feed: Feed,
    standing: Arc<Standing>,
    let_go: LetGo,
    clock: Mutex<Clock>,
    /// This node's name among the others.
    id: String,
    host: String,
    address: String,
    version: String,
    /// What notifications of this store go by.
    channel: String,
}

impl Postgres {
    /// Opens the store, on the current runtime; makes its tables where there are none.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        open::open(options).await
    }
}

impl Shared {
    async fn get(&self, key: &Parts<'_>) -> Result<Option<Entry>, Failure> {
        let lent = self.pool.lend(&self.server).await?;
        let row = lent
            .link
            .optional(&self.sql.get, &[&key.head, &key.digest])
            .await?;
        lent.give_back();
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Entry {
            value: row.try_get(0)?,
            revision: Revision(unsigned(row.try_get(1)?)),
        }))
    }

    fn clock<T>(&self, f: impl FnOnce(&mut Clock) -> T) -> T {
        f(&mut self.clock.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Storage for Postgres {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StorageError> {
        if rules::check_key(key).is_err() {
            return Ok(None);
        }
        let key = Parts::of(key);
        let mut tries = Tries::new();
        loop {
            let attempt = timeout(ATTEMPT, self.shared.get(&key)).await;
            match attempt.unwrap_or_else(|_| Err(Failure::silence())) {
                Ok(entry) => return Ok(entry),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Page, StorageError> {
        self.shared.list(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, StorageError> {
        rules::check(&batch)?;
        writer::ask(&self.jobs, Task::Commit(batch)).await
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
        Ok(Box::new(self.shared.stage(self.jobs.downgrade()).await?))
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        Some(self)
    }

    fn kind(&self) -> &'static str {
        "postgresql"
    }
}

/// A number as a row has it.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of a row, which is not negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
