//! The whole of a store at once.
//!
//! What is staged lies in a table of its own, which takes the place of the records' by its name:
//!
//! ```text
//!   stage   one transaction   "staged" is made anew
//!   add     one for each      rows into "staged"
//!   adopt   one transaction   "data" is dropped, "staged" is called "data"
//! ```
//!
//! A crash in between leaves "staged" behind, which the next open drops.

use std::ops::Bound;

use async_trait::async_trait;
use keyfold_core::ports::storage::{Revision, Staged, StorageError, Whole};
use keyfold_core::ports::whole::Portion;
use redb::{Database, ReadTransaction, TableDefinition, WriteTransaction};
use tokio::sync::mpsc::WeakSender;

use super::super::{portion, rules};
use super::open::{DATA, META, REVISION_ROW};
use super::slot::Data;
use super::sound;
use super::writer::{Job, Task, ask, gone};

/// What is to become [`DATA`].
const STAGED: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("staged");

/// The records as one commit left them.
pub(super) struct RedbWhole {
    data: Data,
    revision: Revision,
    /// The last key that was handed on.
    last: String,
}

impl RedbWhole {
    pub fn new(transaction: &ReadTransaction) -> Result<Self, redb::Error> {
        let revision = transaction.open_table(META)?.get(REVISION_ROW)?;
        Ok(Self {
            data: transaction.open_table(DATA)?,
            revision: Revision(revision.map_or(0, |row| row.value())),
            last: String::new(),
        })
    }

    fn portion(&self) -> Result<Portion, redb::Error> {
        let after = (Bound::Excluded(self.last.as_str()), Bound::Unbounded);
        let mut filled = portion::Filled::default();
        for row in self.data.range::<&str>(after)? {
            let (key, entry) = row?;
            if !filled.take(key.value(), entry.value().1) {
                break;
            }
        }
        Ok(filled.into_inner())
    }
}

#[async_trait]
impl Whole for RedbWhole {
    fn revision(&self) -> Revision {
        self.revision
    }

    async fn next(&mut self) -> Result<Portion, StorageError> {
        // The transaction ends where the engine had to be opened anew: that is an error here.
        let portion = sound(|| self.portion());
        let portion = portion.map_err(|error| StorageError::Failed(error.to_string()))?;
        if let Some((key, _)) = portion.last() {
            self.last.clone_from(key);
        }
        tokio::task::yield_now().await;
        Ok(portion)
    }
}

/// Rows that wait in a table of their own. The writer's thread does the work.
pub(super) struct RedbStaged {
    /// A stage that is left lying keeps no store open.
    jobs: WeakSender<Job>,
    number: u64,
}

impl RedbStaged {
    pub async fn begin(jobs: WeakSender<Job>) -> Result<Self, StorageError> {
        let number = ask_weakly(&jobs, Task::Stage).await?.0;
        Ok(Self { jobs, number })
    }
}

#[async_trait]
impl Staged for RedbStaged {
    async fn add(&mut self, portion: Portion) -> Result<(), StorageError> {
        rules::check_portion(&portion)?;
        let added = ask_weakly(&self.jobs, Task::Add(self.number, portion)).await;
        added.map(|_| ())
    }

    async fn adopt(self: Box<Self>) -> Result<Revision, StorageError> {
        ask_weakly(&self.jobs, Task::Adopt(self.number)).await
    }
}

async fn ask_weakly(jobs: &WeakSender<Job>, task: Task) -> Result<Revision, StorageError> {
    let jobs = jobs.upgrade().ok_or_else(gone)?;
    ask(&jobs, task).await
}

/// Drops what a stage left that was never adopted.
pub(super) fn sweep(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    match transaction.delete_table(STAGED)? {
        true => Ok(transaction.commit()?),
        false => Ok(transaction.abort()?),
    }
}

/// Makes an empty table for a stage, in the place of what another left.
pub(super) fn begin(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.delete_table(STAGED)?;
    transaction.open_table(STAGED)?;
    Ok(())
}

/// Adds rows of one revision.
pub(super) fn add(
    transaction: &WriteTransaction,
    portion: &Portion,
    revision: u64,
) -> Result<(), redb::Error> {
    let mut staged = transaction.open_table(STAGED)?;
    for (key, value) in portion {
        staged.insert(key.as_str(), (revision, value.as_slice()))?;
    }
    Ok(())
}

/// Puts the rows in the place of the records.
pub(super) fn adopt(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.delete_table(DATA)?;
    Ok(transaction.rename_table(STAGED, DATA)?)
}
