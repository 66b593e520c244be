//! Group commit: one thread turns what waits in a queue into one durable transaction.
//!
//! A durable commit costs one `fdatasync`, whatever it holds. While the thread syncs one group the
//! next one gathers in the queue, so the rate of commits grows with the number of writers.
//!
//! Each batch of a group is checked against the state that the batches before it left, so it sees
//! just what it would see if it had a transaction of its own; a failed check drops that batch only.
//! No answer leaves before the sync: a conflict, too, rests on batches that may yet be lost.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use keyfold_core::ports::storage::{Batch, Change, Check, Revision, StorageError};
use keyfold_core::ports::whole::Portion;
use redb::{Database, ReadableTable, Table};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{self, Receiver, Sender, WeakSender};
use tokio::sync::{broadcast, oneshot};

use super::super::locks::Locks;
use super::super::portion;
use super::open::{DATA, META, REVISION_ROW};
use super::{Slot, sound, whole};

/// Batches that may wait; a writer beyond them waits for room.
const QUEUE: usize = 1024;
/// Pause between two attempts to open a store that failed.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

/// A task, and where its result goes.
pub(super) struct Job {
    task: Task,
    answer: oneshot::Sender<Answer>,
}

/// What is asked of the thread. Each takes a revision of its own.
pub(super) enum Task {
    Commit(Batch),
    /// Begins a stage, which its revision is the number of.
    Stage,
    Add(u64, Portion),
    Adopt(u64),
}

type Answer = Result<Revision, StorageError>;

/// The writing end of a store. Dropping it finishes what waits, then returns.
pub(super) struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. `revision` is the last one given.
    pub(super) fn start(
        slot: Arc<Slot>,
        revision: u64,
        changes: broadcast::Sender<Change>,
        locks: Locks,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let worker = Worker {
            slot,
            queue,
            changes,
            locks,
            revision,
            stage: None,
        };
        let thread = thread::Builder::new()
            .name("redb-writer".into())
            .spawn(|| worker.run())?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Queues a batch and waits until it is on disk. A caller that stops waiting does not stop a
    /// batch that is queued.
    pub(super) async fn commit(&self, batch: Batch) -> Answer {
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        ask(jobs, Task::Commit(batch)).await
    }

    /// The end of the queue, for what is staged.
    pub(super) fn jobs(&self) -> Result<WeakSender<Job>, StorageError> {
        Ok(self.jobs.as_ref().ok_or_else(gone)?.downgrade())
    }

    /// Makes the thread find out, without a caller waiting, that the engine has failed.
    pub(super) fn probe(&self) {
        let (answer, _) = oneshot::channel();
        if let Some(jobs) = &self.jobs {
            // A full queue finds out by itself.
            let _ = jobs.try_send(Job {
                task: Task::Commit(Batch::new()),
                answer,
            });
        }
    }
}

/// Queues a task and waits until it is done.
pub(super) async fn ask(jobs: &Sender<Job>, task: Task) -> Answer {
    let (answer, result) = oneshot::channel();
    if jobs.send(Job { task, answer }).await.is_err() {
        return Err(gone());
    }
    let ended = |_| Err(StorageError::Unknown("the writer has ended".into()));
    result.await.unwrap_or_else(ended)
}

pub(super) fn gone() -> StorageError {
    StorageError::Failed("the writer has ended".into())
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // The file's lock is free only after the thread: a panic in it changes nothing here.
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Worker {
    slot: Arc<Slot>,
    queue: Receiver<Job>,
    changes: broadcast::Sender<Change>,
    locks: Locks,
    /// The last revision given.
    revision: u64,
    /// The number of the stage that is under way.
    stage: Option<u64>,
}

impl Worker {
    fn run(mut self) {
        let mut jobs = Vec::with_capacity(QUEUE);
        while self.queue.blocking_recv_many(&mut jobs, QUEUE) > 0 {
            while !jobs.is_empty() {
                // What is no batch has a transaction of its own.
                let batches = jobs.iter().take_while(|job| job.is_batch()).count();
                let later = jobs.split_off(batches.max(1));
                self.commit(&mut jobs);
                jobs = later;
            }
        }
    }

    /// Commits a group and answers all of it.
    fn commit(&mut self, group: &mut Vec<Job>) {
        let Some(database) = self.slot.database() else {
            return refuse(group, &self.slot.closed());
        };
        let mut verdicts = Vec::with_capacity(group.len());
        let result = sound(|| match group.as_slice() {
            [job] if !job.is_batch() => {
                let verdict = self.perform(&database, &job.task)?;
                verdicts.push(verdict);
                Ok(())
            }
            batches => write(
                &database,
                batches,
                self.revision,
                &self.locks,
                &mut verdicts,
            ),
        });
        drop(database);
        match result {
            Ok(()) => self.settle(group, verdicts),
            Err(error) => self.recover(group, verdicts, &error),
        }
    }

    /// The group is on disk: tells the watchers, then the writers, so that a writer which reads
    /// again finds no cache that has not been told.
    fn settle(&mut self, group: &mut Vec<Job>, verdicts: Vec<Answer>) {
        self.slot.refresh();
        let mut answers = Vec::with_capacity(group.len());
        for (job, verdict) in group.drain(..).zip(verdicts) {
            if let Ok(revision) = verdict {
                self.revision = self.revision.max(revision.0);
                self.announce(job.task, revision);
            }
            answers.push((job.answer, verdict));
        }
        for (answer, verdict) in answers {
            // The writer may have stopped waiting.
            let _ = answer.send(verdict);
        }
    }

    /// Does what is no batch, in one transaction.
    fn perform(&self, database: &Database, task: &Task) -> Result<Answer, redb::Error> {
        if let Task::Add(number, _) | Task::Adopt(number) = task
            && self.stage != Some(*number)
        {
            return Ok(Err(portion::overtaken()));
        }
        let revision = self.revision + 1;
        let transaction = database.begin_write()?;
        match task {
            Task::Commit(_) => {}
            Task::Stage => whole::begin(&transaction)?,
            Task::Add(_, portion) => whole::add(&transaction, portion, revision)?,
            Task::Adopt(_) => whole::adopt(&transaction)?,
        }
        transaction
            .open_table(META)?
            .insert(REVISION_ROW, revision)?;
        transaction.commit()?;
        Ok(Ok(Revision(revision)))
    }

    /// A task is done: notes and tells what has changed.
    fn announce(&mut self, task: Task, revision: Revision) {
        let mut change = Change {
            revision,
            keys: Vec::new(),
            replaced: false,
        };
        match task {
            Task::Commit(Batch { puts, deletes, .. }) => {
                change.keys.extend(puts.into_iter().map(|(key, _)| key));
                change.keys.extend(deletes);
            }
            Task::Stage => {
                self.stage = Some(revision.0);
                return;
            }
            Task::Add(..) => return,
            Task::Adopt(_) => {
                self.stage = None;
                change.replaced = true;
            }
        }
        // No watcher is no error.
        let _ = self.changes.send(change);
    }

    /// The engine refuses everything after a failed write (a full disk, say): reopens the file,
    /// which also tells whether the group got there.
    fn recover(&mut self, group: &mut Vec<Job>, verdicts: Vec<Answer>, error: &redb::Error) {
        tracing::error!(%error, "a commit failed; reopening the store");
        // To open a store is to drop what was staged.
        self.stage = None;
        let last = verdicts.iter().flatten().max().map(|revision| revision.0);
        let complete = verdicts.len() == group.len();
        match self.slot.reopen() {
            Ok(found) if complete && last.is_some_and(|last| found >= last) => {
                self.settle(group, verdicts);
            }
            Ok(_) => refuse(group, &StorageError::Failed(error.to_string())),
            Err(_) => {
                // It may have happened, so no cache may go on as if it had not.
                for (job, verdict) in group.iter_mut().zip(&verdicts) {
                    if let Ok(revision) = verdict {
                        let task = std::mem::replace(&mut job.task, Task::Commit(Batch::new()));
                        self.announce(task, *revision);
                    }
                }
                self.stage = None;
                refuse(group, &StorageError::Unknown(error.to_string()));
                self.wait_for_disk();
            }
        }
        // A revision that a lost batch had is not given again.
        self.revision = self.revision.max(last.unwrap_or(0));
    }

    /// Tries to reopen until it succeeds, must not be tried, or nobody is left to serve.
    fn wait_for_disk(&mut self) {
        while !self.slot.lost() {
            thread::sleep(REOPEN_PAUSE);
            if self.slot.reopen().is_ok() {
                tracing::warn!("the store is open again");
                return;
            }
            loop {
                match self.queue.try_recv() {
                    Ok(job) => refuse(&mut vec![job], &self.slot.closed()),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        }
    }
}

impl Job {
    fn is_batch(&self) -> bool {
        matches!(self.task, Task::Commit(_))
    }
}

fn refuse(group: &mut Vec<Job>, error: &StorageError) {
    for job in group.drain(..) {
        // The writer may have stopped waiting.
        let _ = job.answer.send(Err(error.clone()));
    }
}

/// Writes a group in one transaction; one verdict for each batch, in order.
///
/// The engine's default durability: data, checksums and the new root are written, then synced once.
/// After a crash the newest root whose checksums hold is used, so a commit is there as a whole or
/// not at all. The two-phase variant syncs twice to keep out someone who chooses the stored bytes
/// such that a torn commit has a right checksum; values here are ciphertext under keys that such a
/// person does not have. Quick repair would write the allocator's state with each commit to spare
/// the walk over the file after a crash: commits matter more.
fn write(
    database: &Database,
    group: &[Job],
    mut last: u64,
    locks: &Locks,
    verdicts: &mut Vec<Answer>,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let before = last;
    {
        let mut data = transaction.open_table(DATA)?;
        for job in group {
            // The others have a transaction of their own.
            let Task::Commit(batch) = &job.task else {
                continue;
            };
            let verdict = match failed_check(&data, locks, batch)? {
                Some(key) => Err(StorageError::Conflict(key.to_owned())),
                None => {
                    last += 1;
                    apply(&mut data, batch, last)?;
                    Ok(Revision(last))
                }
            };
            verdicts.push(verdict);
        }
        transaction.open_table(META)?.insert(REVISION_ROW, last)?;
    }
    if last == before {
        transaction.abort()?;
    } else {
        transaction.commit()?;
    }
    Ok(())
}

/// The key, or the lock, of the first check that does not hold.
fn failed_check<'b>(
    data: &Table<'_, &str, (u64, &[u8])>,
    locks: &Locks,
    batch: &'b Batch,
) -> Result<Option<&'b str>, redb::Error> {
    for check in &batch.checks {
        let found = |key: &str| Ok::<_, redb::Error>(data.get(key)?.map(|entry| entry.value().0));
        let (name, holds) = match check {
            Check::Absent(key) => (key, found(key)?.is_none()),
            Check::Present(key) => (key, found(key)?.is_some()),
            Check::Unchanged(key, revision) => (key, found(key)? == Some(revision.0)),
            Check::Held(name, fence) => (name, locks.holds(name, *fence)),
        };
        if !holds {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn apply(
    data: &mut Table<'_, &str, (u64, &[u8])>,
    batch: &Batch,
    revision: u64,
) -> Result<(), redb::Error> {
    for (key, value) in &batch.puts {
        data.insert(key.as_str(), (revision, value.as_slice()))?;
    }
    for key in &batch.deletes {
        data.remove(key.as_str())?;
    }
    Ok(())
}
