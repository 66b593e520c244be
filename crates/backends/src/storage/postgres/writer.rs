//! Group commit: a task turns what waits in a queue into one transaction.
//!
//! A commit costs two round trips and a flush of the database's log, whatever it holds. While one
//! group is under way the next one gathers, so the rate of commits grows with the number of writers.
//!
//! ```text
//!   BEGIN · the row of the store, locked · what the checks ask for       one round trip
//!   each batch is weighed against that and those before it               (group.rs)
//!   entries, changes, revision, notice · COMMIT                          one round trip
//! ```
//!
//! The lock on the store's row makes commits follow each other, those of all nodes: revisions are in
//! the order in which commits become visible, without gaps. A commit whose answer is lost is looked
//! for under the same lock, which is free only once that transaction has ended.

use std::sync::Arc;
use std::time::Duration;

use keyfold_core::ports::storage::{Batch, StorageError};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::portion;
use super::failure::{ATTEMPT, Failure, Tries};
use super::group;
use super::pool::Link;
use super::transaction::{Answer, Ended, Sent, Work, adopt, begin, rollback, write};
use super::{Shared, signed};

/// Batches that may wait; a writer beyond them waits for room.
const QUEUE: usize = 1024;
/// Bytes of values in one transaction; a batch that alone has more comes alone.
const GROUP_BYTES: usize = 16 * 1024 * 1024;
/// Time to write a group, and to put a stage in the place of everything.
const WRITE: Duration = Duration::from_secs(60);
const ADOPT: Duration = Duration::from_secs(3600);

/// A task, and where its result goes.
pub(super) struct Job {
    task: Task,
    answer: oneshot::Sender<Answer>,
}

/// What is asked of the writer.
pub(super) enum Task {
    Commit(Batch),
    /// Puts the stage of that number in the place of everything.
    Adopt(u64),
}

/// Starts a writer, which ends when the last sender has gone and what waits is done.
pub(super) fn start(shared: Arc<Shared>) -> Sender<Job> {
    let (jobs, queue) = mpsc::channel(QUEUE);
    let writer = Writer {
        shared,
        queue,
        link: None,
    };
    tokio::spawn(writer.run());
    jobs
}

/// Queues a task and waits until it is done. A caller that stops waiting does not stop it.
pub(super) async fn ask(jobs: &Sender<Job>, task: Task) -> Answer {
    let (answer, result) = oneshot::channel();
    if jobs.send(Job { task, answer }).await.is_err() {
        return Err(gone());
    }
    let ended = |_| Err(StorageError::Unknown("the writer has ended".into()));
    result.await.unwrap_or_else(ended)
}

pub(super) fn gone() -> StorageError {
    StorageError::Failed("the store is closed".into())
}

struct Writer {
    shared: Arc<Shared>,
    queue: Receiver<Job>,
    link: Option<Link>,
}

/// Why an attempt has no answers.
enum Miss {
    /// Nothing was changed.
    Undone(Failure),
    /// Whether it was committed is to be found out.
    Unheard(Sent, Failure),
}

/// Why work was not done in the end.
struct GivenUp {
    error: StorageError,
    /// The same would come again.
    is_lasting: bool,
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Self {
        Self::Undone(failure)
    }
}

impl Writer {
    async fn run(mut self) {
        let mut jobs = Vec::with_capacity(QUEUE);
        while self.queue.recv_many(&mut jobs, QUEUE).await > 0 {
            let mut left = std::mem::take(&mut jobs);
            while !left.is_empty() {
                let later = left.split_off(first_group(&left));
                self.perform(left).await;
                left = later;
            }
        }
    }

    /// Does the jobs of one transaction, and answers all of them.
    async fn perform(&mut self, group: Vec<Job>) {
        let answers = match group.as_slice() {
            [
                Job {
                    task: Task::Adopt(stage),
                    ..
                },
            ] => self.commit(&Work::Adopt(*stage)).await,
            jobs => {
                let batches = jobs.iter().filter_map(|job| match &job.task {
                    Task::Commit(batch) => Some(batch),
                    Task::Adopt(_) => None,
                });
                self.commit(&Work::Group(batches.collect())).await
            }
        };
        for (job, answer) in group.into_iter().zip(answers) {
            // The caller may have stopped waiting.
            let _ = job.answer.send(answer);
        }
    }

    /// The answers to some work: one for each batch.
    async fn commit(&mut self, work: &Work<'_>) -> Vec<Answer> {
        let given_up = match self.carry_out(work).await {
            Ok(answers) => return answers,
            Err(given_up) => given_up,
        };
        match work {
            Work::Group(batches) if given_up.is_lasting && batches.len() > 1 => {
                // What the database does not take of one batch is not the fault of the others.
                let mut answers = Vec::with_capacity(batches.len());
                for batch in batches {
                    let alone = self.carry_out(&Work::Group(vec![*batch])).await;
                    answers.extend(alone.unwrap_or_else(|given_up| vec![Err(given_up.error)]));
                }
                answers
            }
            Work::Group(batches) => vec![Err(given_up.error); batches.len()],
            Work::Adopt(_) => vec![Err(given_up.error)],
        }
    }

    async fn carry_out(&mut self, work: &Work<'_>) -> Result<Vec<Answer>, GivenUp> {
        let mut tries = Tries::new();
        loop {
            let failure = match self.attempt(work).await {
                Ok(answers) => return Ok(answers),
                Err(Miss::Undone(failure)) => failure,
                Err(Miss::Unheard(sent, failure)) => match self.was_committed(&sent).await {
                    Ok(true) => return Ok(self.settle_unheard(sent).await),
                    Ok(false) => failure,
                    Err(why) => {
                        return Err(GivenUp {
                            error: StorageError::Unknown(why.text()),
                            is_lasting: false,
                        });
                    }
                },
            };
            let is_lasting = matches!(failure, Failure::Lasting(_));
            let again = tries.again(failure).await;
            again.map_err(|error| GivenUp { error, is_lasting })?;
        }
    }

    async fn attempt(&mut self, work: &Work<'_>) -> Result<Vec<Answer>, Miss> {
        let link = self.link().await?;
        let (before, stage, facts) = begin(&self.shared, &link, work).await?;
        let (sent, committed) = match work {
            Work::Adopt(number) if stage != *number => {
                rollback(&link).await?;
                self.link = Some(link);
                return Ok(vec![Err(portion::overtaken())]);
            }
            Work::Adopt(number) => {
                let sent = Sent::adopted(before);
                let adopting = adopt(&self.shared, &link, &sent, *number);
                let adopted = timeout(ADOPT, adopting).await;
                (sent, adopted)
            }
            Work::Group(batches) => {
                let mut weighed = group::weigh(batches, &facts, before);
                if weighed.changes.is_empty() {
                    rollback(&link).await?;
                    self.link = Some(link);
                    return Ok(weighed.verdicts);
                }
                let sent = Sent::group(before, &mut weighed);
                let writing = write(&self.shared, &link, &sent, &weighed);
                let written = timeout(WRITE, writing).await;
                (sent, written)
            }
        };
        match committed.unwrap_or_else(|_| Err(Ended::Unheard(Failure::silence()))) {
            Ok(()) => {
                let answers = self.settle(&link, sent).await;
                self.link = Some(link);
                Ok(answers)
            }
            Err(Ended::Undone(failure)) => Err(Miss::Undone(failure)),
            Err(Ended::Unheard(failure)) => Err(Miss::Unheard(sent, failure)),
        }
    }

    /// The connection; an attempt that fails does not put it back.
    async fn link(&mut self) -> Result<Link, Failure> {
        if let Some(link) = self.link.take().filter(|link| !link.client.is_closed()) {
            return Ok(link);
        }
        let connecting = async {
            let link = Link::open(&self.shared.server).await?;
            self.shared.feed.verify(&link, &self.shared.sql).await?;
            Ok::<_, Failure>(link)
        };
        let connected = timeout(ATTEMPT, connecting).await;
        connected.unwrap_or_else(|_| Err(Failure::silence()))
    }

    /// It is committed: tells the watchers, then the writers, so that a writer which reads again
    /// finds no cache that has not been told.
    async fn settle(&self, link: &Link, sent: Sent) -> Vec<Answer> {
        let Shared {
            feed,
            sql,
            standing,
            ..
        } = &*self.shared;
        standing.make(sent.last());
        if !feed.tell(sent.before, &sent.changes, sent.origin) {
            let read = timeout(ATTEMPT, feed.catch_up(link, sql)).await;
            if !matches!(read, Ok(Ok(_))) {
                feed.lose(sent.last());
            }
        }
        sent.answers
    }

    async fn settle_unheard(&mut self, sent: Sent) -> Vec<Answer> {
        match self.link().await {
            Ok(link) => {
                let answers = self.settle(&link, sent).await;
                self.link = Some(link);
                answers
            }
            Err(_) => {
                self.shared.feed.lose(sent.last());
                sent.answers
            }
        }
    }

    /// Whether a transaction whose answer was not heard was committed. An error where the database
    /// can't be asked in time.
    async fn was_committed(&mut self, sent: &Sent) -> Result<bool, Failure> {
        let mut tries = Tries::new();
        loop {
            let failure = match timeout(ATTEMPT, self.look_for(sent)).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::silence(),
            };
            if let Err(error) = tries.again(failure).await {
                return Err(Failure::Lasting(error.to_string()));
            }
        }
    }

    async fn look_for(&mut self, sent: &Sent) -> Result<bool, Failure> {
        let link = self.link().await?;
        link.client.batch_execute("BEGIN").await?;
        // Free once the transaction has ended, whichever way.
        link.one(&self.shared.sql.begin, &[]).await?;
        let revision = signed(sent.last());
        let found = link.optional(&self.shared.sql.origin, &[&revision]).await?;
        rollback(&link).await?;
        self.link = Some(link);
        let origin: Option<Vec<u8>> = found.map(|row| row.try_get(0)).transpose()?;
        Ok(origin.is_some_and(|origin| origin == sent.origin))
    }
}

/// How many of the first jobs make one transaction.
fn first_group(jobs: &[Job]) -> usize {
    let mut bytes = 0usize;
    let fitting = jobs.iter().take_while(|job| {
        let Task::Commit(batch) = &job.task else {
            return false;
        };
        let values = batch.puts.iter().map(|(_, value)| value.len());
        bytes = bytes.saturating_add(values.sum());
        bytes <= GROUP_BYTES
    });
    fitting.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(task: Task) -> Job {
        let (answer, _) = oneshot::channel();
        Job { task, answer }
    }

    #[test]
    fn a_transaction_takes_what_fits_and_a_restore_has_its_own() {
        let batch = |bytes: usize| job(Task::Commit(Batch::new().put("k", vec![0; bytes])));
        let half = GROUP_BYTES / 2;
        for (jobs, count) in [
            (vec![batch(1), batch(1), batch(1)], 3),
            (vec![batch(half), batch(half), batch(1)], 2),
            (vec![batch(GROUP_BYTES + 1), batch(1)], 1),
            (vec![batch(1), job(Task::Adopt(1)), batch(1)], 1),
            (vec![job(Task::Adopt(1)), batch(1)], 1),
        ] {
            assert_eq!(first_group(&jobs), count);
        }
    }
}
