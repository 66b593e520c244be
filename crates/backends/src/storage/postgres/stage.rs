//! What is to take the place of everything waits in a table of its own, each row with the number of
//! its stage. Only the number that the store has counts.

use std::collections::BTreeMap;

use async_trait::async_trait;
use keyfold_core::ports::storage::{Revision, Staged, StorageError};
use keyfold_core::ports::whole::Portion;
use tokio::sync::mpsc::WeakSender;
use tokio::time::timeout;

use super::super::{portion, rules};
use super::failure::{ATTEMPT, Failure, Tries};
use super::key::Columns;
use super::writer::{Job, Task, ask, gone};
use super::{Shared, signed, unsigned};

/// See the module.
pub(super) struct PostgresStaged {
    /// A stage that is left lying keeps no store open.
    jobs: WeakSender<Job>,
    shared: std::sync::Weak<Shared>,
    number: u64,
}

impl Shared {
    pub async fn stage(&self, jobs: WeakSender<Job>) -> Result<PostgresStaged, StorageError> {
        let mut tries = Tries::new();
        loop {
            // Begun twice, the second one counts. What earlier stages left may be much.
            match self.begin_stage().await {
                Ok(number) => {
                    return Ok(PostgresStaged {
                        jobs,
                        shared: self.own.clone(),
                        number,
                    });
                }
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    async fn begin_stage(&self) -> Result<u64, Failure> {
        let lent = self.pool.lend(&self.server).await?;
        let client = &lent.link.client;
        client
            .batch_execute("BEGIN; SET LOCAL statement_timeout = 0")
            .await?;
        let row = lent.link.one(&self.sql.stage, &[]).await?;
        lent.link.execute(&self.sql.unstage, &[]).await?;
        client.batch_execute("COMMIT").await?;
        lent.give_back();
        Ok(unsigned(row.try_get(0)?))
    }

    /// False where another stage has begun.
    async fn add(&self, number: u64, entries: &BTreeMap<&str, &[u8]>) -> Result<bool, Failure> {
        let keys: Columns<'_> = entries.keys().copied().collect();
        let values: Vec<&[u8]> = entries.values().copied().collect();
        let number = signed(number);
        let lent = self.pool.lend(&self.server).await?;
        let added = lent
            .link
            .execute(
                &self.sql.add,
                &[&number, &keys.heads, &keys.digests, &keys.rests, &values],
            )
            .await?;
        lent.give_back();
        Ok(added > 0)
    }
}

#[async_trait]
impl Staged for PostgresStaged {
    async fn add(&mut self, portion: Portion) -> Result<(), StorageError> {
        rules::check_portion(&portion)?;
        let shared = self.shared.upgrade().ok_or_else(gone)?;
        // Of two at one key the later counts.
        let entries = portion.iter();
        let entries = entries.map(|(key, value)| (key.as_str(), value.as_slice()));
        let entries: BTreeMap<&str, &[u8]> = entries.collect();
        if entries.is_empty() {
            return Ok(());
        }
        let mut tries = Tries::new();
        loop {
            let attempt = timeout(ATTEMPT, shared.add(self.number, &entries)).await;
            match attempt.unwrap_or_else(|_| Err(Failure::silence())) {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(portion::overtaken()),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    async fn adopt(self: Box<Self>) -> Result<Revision, StorageError> {
        let jobs = self.jobs.upgrade().ok_or_else(gone)?;
        ask(&jobs, Task::Adopt(self.number)).await
    }
}
