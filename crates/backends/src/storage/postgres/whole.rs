//! All entries as one commit left them: a transaction of its own connection sees them so.

use async_trait::async_trait;
use keyfold_core::ports::storage::{Revision, StorageError, Whole};
use keyfold_core::ports::whole::{PORTION, Portion};
use tokio::time::timeout;

use super::failure::{ATTEMPT, Failure, Tries};
use super::pool::Link;
use super::{Shared, signed, unsigned};

/// Rows of a portion at the most.
const ROWS: i64 = 1024;

/// Who reads may be slower than the time that a transaction is given.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
    SET LOCAL idle_in_transaction_session_timeout = 0";

/// See the module. Dropped, it closes its connection.
pub(super) struct PostgresWhole {
    link: Link,
    portion: String,
    revision: Revision,
    /// The row that was handed on last.
    last: (String, String),
    is_over: bool,
}

impl Shared {
    pub async fn whole(&self) -> Result<PostgresWhole, StorageError> {
        let mut tries = Tries::new();
        loop {
            let attempt = timeout(ATTEMPT, self.begin_whole()).await;
            match attempt.unwrap_or_else(|_| Err(Failure::silence())) {
                Ok(whole) => return Ok(whole),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    async fn begin_whole(&self) -> Result<PostgresWhole, Failure> {
        let link = Link::open(&self.server).await?;
        link.client.batch_execute(BEGIN).await?;
        let row = link.one(&self.sql.revision, &[]).await?;
        Ok(PostgresWhole {
            revision: Revision(unsigned(row.try_get(0)?)),
            link,
            portion: self.sql.portion.clone(),
            last: Default::default(),
            is_over: false,
        })
    }
}

impl PostgresWhole {
    async fn read(&self) -> Result<Vec<(String, String, Vec<u8>)>, Failure> {
        let (key, rest) = &self.last;
        let bytes = signed(PORTION as u64);
        let rows = self
            .link
            .query(&self.portion, &[key, rest, &bytes, &ROWS])
            .await?;
        let mut read = Vec::with_capacity(rows.len());
        for row in &rows {
            read.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        }
        Ok(read)
    }
}

#[async_trait]
impl Whole for PostgresWhole {
    fn revision(&self) -> Revision {
        self.revision
    }

    async fn next(&mut self) -> Result<Portion, StorageError> {
        if self.is_over {
            return Ok(Portion::new());
        }
        let read = timeout(ATTEMPT, self.read()).await;
        let read = read.unwrap_or_else(|_| Err(Failure::silence()))?;
        match read.last() {
            Some((key, rest, _)) => self.last = (key.clone(), rest.clone()),
            None => {
                self.is_over = true;
                // The room that it kept can be used again.
                let _closed_anyway = self.link.client.batch_execute("COMMIT").await;
            }
        }
        let entries = read.into_iter();
        Ok(entries
            .map(|(key, rest, value)| (key + &rest, value))
            .collect())
    }
}
