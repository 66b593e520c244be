//! Connections: each made when it is needed and used again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keyfold_postgres::Server;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

use super::failure::Failure;

/// What every connection is set to: a statement that waits for a lock or for a disk ends some time,
/// a transaction whose client has gone frees its locks, the database notices within half a minute that
/// the network to a client is gone, all statements go along indexes, planned
/// once, and what is committed is durable.
const SETTINGS: &str = "\
    SET default_transaction_isolation = 'read committed'; \
    SET lock_timeout = '5s'; \
    SET statement_timeout = '30s'; \
    SET idle_in_transaction_session_timeout = '10s'; \
    SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
    SET enable_seqscan = off; SET enable_bitmapscan = off; \
    SET enable_hashjoin = off; SET enable_mergejoin = off; \
    SET plan_cache_mode = 'force_generic_plan'; SET jit = off; \
    SET client_min_messages = 'error'; \
    SELECT set_config('synchronous_commit', 'on', false) \
        WHERE current_setting('synchronous_commit') = 'off'";

pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// A connection and what it has prepared.
pub(super) struct Link {
    pub client: Client,
    prepared: Mutex<HashMap<String, Statement>>,
}

impl Link {
    pub async fn open(server: &Server) -> Result<Self, Error> {
        Self::set(server.connect().await?).await
    }

    /// The same, with somebody who is told the texts of notifications.
    pub async fn listening(
        server: &Server,
        heard: impl FnMut(&str) + Send + 'static,
    ) -> Result<Self, Error> {
        Self::set(server.listen(heard).await?).await
    }

    async fn set(client: Client) -> Result<Self, Error> {
        client.batch_execute(SETTINGS).await?;
        Ok(Self {
            client,
            prepared: Mutex::default(),
        })
    }

    /// A statement, prepared when it is first used.
    pub async fn statement(&self, text: &str) -> Result<Statement, Error> {
        let prepared = || self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = prepared().get(text) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(text).await?;
        prepared().insert(text.to_owned(), statement.clone());
        Ok(statement)
    }

    pub async fn query(&self, text: &str, with: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
        let statement = self.statement(text).await?;
        self.client.query(&statement, with).await
    }

    pub async fn one(&self, text: &str, with: &[Parameter<'_>]) -> Result<Row, Error> {
        let statement = self.statement(text).await?;
        self.client.query_one(&statement, with).await
    }

    pub async fn optional(&self, text: &str, with: &[Parameter<'_>]) -> Result<Option<Row>, Error> {
        let statement = self.statement(text).await?;
        self.client.query_opt(&statement, with).await
    }

    /// How many rows it changed.
    pub async fn execute(&self, text: &str, with: &[Parameter<'_>]) -> Result<u64, Error> {
        let statement = self.statement(text).await?;
        self.client.execute(&statement, with).await
    }
}

/// The connections of those who read.
pub(super) struct Pool {
    permits: Semaphore,
    idle: Mutex<Vec<Link>>,
}

/// A connection that is lent. What is not given back is closed: whatever is under way on it ends.
pub(super) struct Lent<'p> {
    pub link: Link,
    pool: &'p Pool,
    _permit: SemaphorePermit<'p>,
}

impl Pool {
    /// At most so many at a time.
    pub fn new(most: usize) -> Self {
        Self {
            permits: Semaphore::new(most),
            idle: Mutex::default(),
        }
    }

    pub async fn lend(&self, server: &Server) -> Result<Lent<'_>, Failure> {
        let permit = self.permits.acquire().await;
        let permit = permit.map_err(|_| Failure::Lasting("the store is closed".to_owned()))?;
        let link = match self.known() {
            Some(link) => link,
            None => Link::open(server).await?,
        };
        Ok(Lent {
            link,
            pool: self,
            _permit: permit,
        })
    }

    fn known(&self) -> Option<Link> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(link) = idle.pop() {
            if !link.client.is_closed() {
                return Some(link);
            }
        }
        None
    }
}

impl Lent<'_> {
    /// For the next one: nothing is under way on it.
    pub fn give_back(self) {
        let Self { link, pool, .. } = self;
        let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(link);
    }
}
