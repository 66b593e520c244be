//! Commits. etcd takes many at a time and makes them durable together, so each goes by itself.
//!
//! A commit whose answer is lost may be applied, or not, or some time later. This node then takes
//! another *turn*: commits demand the turn that they were sent under, so from that revision on none of
//! them can be applied, and once the feed is there it is known which of them were.

use keyfold_core::ports::storage::{Batch, Revision, StorageError};

use super::super::failure::{Failure, Tries};
use super::super::portion;
use super::feed::{Expected, Sighting};
use super::link::{ATTEMPT, Fault};
use super::parts::{Placed, Puts};
use super::plan::{self, Terms, Verdict};
use super::root::Root;
use super::{Shared, unsigned};

/// What is to be committed.
#[derive(Clone, Copy)]
pub(super) enum Work<'b> {
    Batch(&'b Batch),
    /// The stage of that generation takes the place of everything.
    Adopt(&'b str),
    /// Nothing: the other nodes are to say how far they are.
    Ask,
}

/// Why an attempt has no revision.
enum Miss {
    /// Nothing was changed, and another attempt may succeed.
    Undone(Failure),
    /// It is not to be committed.
    Refused(StorageError),
}

impl From<Fault> for Miss {
    fn from(fault: Fault) -> Self {
        Self::Undone(fault.into())
    }
}

impl From<StorageError> for Miss {
    fn from(error: StorageError) -> Self {
        Self::Refused(error)
    }
}

impl Shared {
    /// Commits, and tells the watchers of this node before it returns.
    pub async fn commit(&self, work: Work<'_>) -> Result<Revision, StorageError> {
        let mut tries = Tries::new();
        let mut placed = None;
        loop {
            match self.attempt(work, &mut placed).await {
                Ok(revision) => return Ok(Revision(revision)),
                Err(Miss::Refused(error)) => return Err(error),
                Err(Miss::Undone(failure)) => tries.again(failure).await?,
            }
        }
    }

    async fn attempt<'b>(
        &self,
        work: Work<'b>,
        placed: &mut Option<Placed<'b>>,
    ) -> Result<u64, Miss> {
        let session = self.session().await?;
        let root = self.root();
        let expected = self.feed.expect();
        let terms = Terms {
            keys: &self.keys,
            id: &self.identity.id,
            turn: session.turn,
            root: &root,
        };
        let txn = match work {
            Work::Batch(batch) => {
                self.place_batch(batch, &root, placed).await?;
                terms.batch(batch, placed.as_ref(), &expected.origin)?
            }
            Work::Adopt(stage) => terms.adopt(stage, &expected.origin),
            Work::Ask => terms.ask(&expected.origin),
        };
        let revision = match self.links.once(&txn).await {
            Ok(done) if done.succeeded => unsigned(done.revision()),
            Ok(done) => {
                let verdict = match work {
                    Work::Batch(batch) => terms.verdict(&batch.checks, &done),
                    Work::Adopt(_) | Work::Ask => terms.verdict(&[], &done),
                };
                return Err(match (verdict, work) {
                    (Verdict::Check(name), _) => StorageError::Conflict(name).into(),
                    (Verdict::Passed, Work::Adopt(_)) => portion::overtaken().into(),
                    (Verdict::Passed, _) => undone("others were in the way"),
                    (Verdict::Turn, _) => {
                        self.new_turn(session.turn).await?;
                        undone("the node's turn has ended")
                    }
                    (Verdict::Root, _) => {
                        self.follow_root(done.one(1))?;
                        undone("a restore was in the way")
                    }
                });
            }
            Err(fault) if fault.is_certain() => return Err(refused(work, fault)),
            Err(fault) => self.find(session.turn, &expected, fault).await?,
        };
        if let Work::Adopt(stage) = work {
            self.adopted(stage, revision);
        }
        self.standing.make(revision);
        if !self.feed.reached(revision, ATTEMPT).await {
            // Whoever made it reads again, and must not find what was before it.
            self.feed.give_up(revision);
        }
        Ok(revision)
    }

    async fn place_batch<'b>(
        &self,
        batch: &'b Batch,
        root: &Root,
        placed: &mut Option<Placed<'b>>,
    ) -> Result<(), StorageError> {
        let is_placed = placed
            .as_ref()
            .is_some_and(|placed| placed.generation == root.generation);
        if !is_placed {
            let puts = batch.puts.iter();
            let puts = puts.map(|(key, value)| (key.as_str(), value.as_slice()));
            let puts: Puts<'b> = puts.collect();
            let deletes = batch.deletes.iter().map(String::as_str);
            let weight = plan::weight(&self.keys, &puts, deletes);
            *placed = Some(self.place(&root.generation, &puts, weight).await?);
        }
        Ok(())
    }

    /// Where a commit is whose answer was lost. An error where it is nowhere, and can't be any more.
    async fn find(&self, turn: i64, sent: &Expected<'_>, fault: Fault) -> Result<u64, Miss> {
        let unknown = |why: String| Miss::Refused(StorageError::Unknown(why));
        let mut tries = Tries::new();
        let end = loop {
            match self.new_turn(turn).await {
                Ok(end) => break unsigned(end),
                Err(why) => {
                    let again = tries.again(why.into()).await;
                    again.map_err(|error| unknown(error.to_string()))?;
                }
            }
        };
        let is_reached = self.feed.reached(end, ATTEMPT).await;
        match sent.sighting() {
            Sighting::Seen(revision) => Ok(revision),
            Sighting::Unseen if is_reached => Err(fault.into()),
            _ => Err(unknown(fault.text)),
        }
    }
}

fn undone(why: &str) -> Miss {
    Miss::Undone(Failure::Passing(why.to_owned()))
}

/// What the members say of a request that they did not take.
fn refused(work: Work<'_>, fault: Fault) -> Miss {
    let is_limit = ["too large", "too many operations", "larger than max"]
        .iter()
        .any(|words| fault.text.contains(words));
    match work {
        Work::Batch(batch) if is_limit => {
            let changes = batch.puts.len() + batch.deletes.len();
            Miss::Refused(StorageError::TooLong(format!(
                "a commit of {changes} changes: etcd says: {} (its limits are \
                 --max-request-bytes and --max-txn-ops)",
                fault.text
            )))
        }
        _ => fault.into(),
    }
}
