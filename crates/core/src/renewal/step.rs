//! One step of a worker: some records, one commit.

use std::time::Duration;

use tokio::time::Instant;

use super::record::{Phase, Renewal, key};
use super::turn;
use crate::barrier::{Look, Renewed, SYSTEM, View, Walk, heard, json};
use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::lifecycle::fence::under;
use crate::ports::storage::{Batch, Revision, StorageError};

/// Names that are counted in a step.
const COUNTED: usize = 4096;
/// Records of a step, and
const RECORDS: u64 = 64;
/// bytes, after which it takes no further one.
const BYTES: usize = 256 * 1024;
/// Steps a second, where records are few a second.
const STEPS: u64 = 4;
/// How long commits are waited for that the old version sealed, before one looks again.
const DRAIN: Duration = Duration::from_millis(5);
/// How often it is looked whether another node has ended its turn.
const TURN: Duration = Duration::from_secs(1);

/// What a worker knows.
pub(super) struct Job {
    pub uuid: String,
    /// The fencing token of the lock that it worked under last.
    fence: Option<u64>,
    /// Where it is; and of which phase that is.
    walk: Option<(Phase, Walk)>,
}

/// What comes after a step.
pub(super) enum Next {
    /// Another one, after a pause.
    Step(Duration),
    /// Nothing: it is done, or the mount is gone.
    End,
}

/// What a step found.
#[derive(Default)]
struct Found {
    passed: u64,
    damaged: u64,
    last: Option<String>,
    stale: Vec<Renewed>,
    /// There are no more.
    end: bool,
}

impl Job {
    pub fn new(uuid: String) -> Self {
        Self {
            uuid,
            fence: None,
            walk: None,
        }
    }

    /// Whether there is anything to do for it.
    pub async fn is_wanted(&self, vault: &Unsealed) -> bool {
        let stored = vault.system.read::<Renewal>(&key(&self.uuid)).await;
        // A store that fails is asked again by the next step.
        stored.map_or(true, |stored| {
            stored.is_some_and(|(renewal, _)| !renewal.is_done())
        })
    }

    /// Does some of it.
    pub async fn step(&mut self, vault: &Unsealed) -> Result<Next, Error> {
        let began = Instant::now();
        let stored = vault.system.read::<Renewal>(&key(&self.uuid)).await?;
        let Some((renewal, revision)) = stored else {
            return Ok(Next::End);
        };
        let Some(view) = vault.view_of(&self.uuid) else {
            return Ok(Next::End);
        };
        if view.version() < Some(renewal.to) {
            vault.barrier.reload_versions(&self.uuid).await?;
        }
        if renewal.is_done() {
            // It may be the worker that stored it, and was not told.
            vault.barrier.forget_older(&self.uuid, renewal.to);
            return Ok(Next::End);
        }
        // This node's own part of it; it is waited for the others below.
        if !vault.barrier.deks(&self.uuid)?.is_settled() {
            return Ok(Next::Step(DRAIN));
        }
        let rate = renewal.rate;
        let went = match vault.barrier.storage().nodes() {
            None => self.pass(vault, &view, renewal, revision).await,
            Some(_) => {
                let storage = vault.barrier.storage();
                let Some(lock) = vault.renewals.turns.take(&**storage).await? else {
                    return Ok(Next::Step(TURN));
                };
                if self.fence.replace(lock.fence()) != Some(lock.fence()) {
                    // Another node may have gone on meanwhile.
                    self.walk = None;
                }
                if self.walk.is_none() {
                    // Nothing that an older version sealed is on its way from any node.
                    heard::wait(&**storage, revision).await?;
                }
                under(
                    turn::NAME,
                    &*lock,
                    self.pass(vault, &view, renewal, revision),
                )
                .await
            }
        };
        let passed = match went {
            Ok(None) => return Ok(Next::End),
            Ok(Some(passed)) => passed,
            Err(error) => {
                // Some of what the walk has passed may not be stored: from what is, on.
                self.walk = None;
                match error.is_conflict() {
                    // Somebody changed the rate, or removed the mount.
                    true => 0,
                    false => return Err(error),
                }
            }
        };
        // No faster than asked for, and never more than half of the time.
        let due = Duration::from_secs(passed) / u32::try_from(rate.max(1)).unwrap_or(u32::MAX);
        Ok(Next::Step(due.max(began.elapsed())))
    }

    /// Passes some records; how many, or none where that was all of it.
    async fn pass(
        &mut self,
        vault: &Unsealed,
        view: &View,
        mut renewal: Renewal,
        revision: Revision,
    ) -> Result<Option<u64>, Error> {
        let (mut phase, mut walk) = match self.walk.take() {
            Some((phase, walk)) if phase == renewal.phase => (phase, walk),
            _ => (renewal.phase, view.walk(&renewal.after)),
        };
        let found = match phase {
            Phase::Counting => count(view, &mut walk).await?,
            _ => self.look(view, &mut walk, renewal.rate).await?,
        };
        let written = write(vault, &found).await?;
        renewal.passed += found.passed;
        renewal.damaged += found.damaged;
        renewal.stale += found.stale.len() as u64;
        renewal.rewritten += written;
        if let Some(last) = found.last {
            renewal.after = last;
        }
        let clean = phase == Phase::Verifying && renewal.stale == 0;
        if found.end && clean {
            self.finish(vault, renewal, revision).await?;
            return Ok(None);
        }
        if found.end {
            renewal.turn();
            (phase, walk) = (renewal.phase, view.walk(""));
        }
        let at = key(&self.uuid);
        let batch = Batch::new().unchanged(at.clone(), revision);
        let batch = batch.put(at, json(&renewal)?);
        vault.system.commit(batch.quiet()).await?;
        self.walk = Some((phase, walk));
        // Names are cheap.
        let counting = phase == Phase::Counting;
        Ok(Some(if counting { 0 } else { found.passed }))
    }

    /// Looks at some records.
    async fn look(&self, view: &View, walk: &mut Walk, rate: u64) -> Result<Found, Error> {
        let own = key(&self.uuid);
        let most = (rate / STEPS).clamp(1, RECORDS);
        let mut found = Found::default();
        let mut bytes = 0;
        while found.passed < most && bytes < BYTES {
            let Some(name) = walk.next(view.storage()).await? else {
                found.end = true;
                break;
            };
            found.passed += 1;
            // The record of how far it is is written with every step anyway.
            if !(self.uuid == SYSTEM && name == own) {
                match view.renew(&name).await? {
                    Look::Fresh => {}
                    Look::Damaged => {
                        let record = view.full(&name);
                        tracing::warn!(record, "a record opens under no key, and stays as it is");
                        found.damaged += 1;
                    }
                    Look::Stale(renewed) => {
                        bytes += renewed.len();
                        found.stale.push(renewed);
                    }
                }
            }
            found.last = Some(name);
        }
        Ok(found)
    }

    /// Destroys the old version.
    async fn finish(
        &self,
        vault: &Unsealed,
        mut renewal: Renewal,
        revision: Revision,
    ) -> Result<(), Error> {
        // A rotation of the kek writes every dek anew, the old version among them.
        let turn = vault.mounts.turn().await?;
        renewal.phase = Phase::Done;
        renewal.finished = Some(vault.clock.now());
        renewal.after.clear();
        let version = renewal.to;
        let keys = vault
            .barrier
            .destroy_older((&self.uuid, version), turn.demanded(Batch::new()));
        let at = key(&self.uuid);
        let batch = Batch::new().unchanged(at.clone(), revision);
        let batch = batch.put(at, json(&renewal)?);
        vault.system.commit_with(batch, keys.await?).await?;
        vault.barrier.forget_older(&self.uuid, version);
        let (records, rewritten) = (renewal.records, renewal.rewritten);
        tracing::info!(
            mount = %self.uuid,
            version,
            records,
            rewritten,
            "the dek is rotated: its old version is destroyed"
        );
        Ok(())
    }
}

async fn count(view: &View, walk: &mut Walk) -> Result<Found, Error> {
    let mut found = Found::default();
    for _ in 0..COUNTED {
        let Some(name) = walk.next(view.storage()).await? else {
            found.end = true;
            break;
        };
        found.passed += 1;
        found.last = Some(name);
    }
    Ok(found)
}

/// Stores what was sealed anew; how many. Of those that somebody else has changed meanwhile none is
/// touched: they are under the newest version by that, or gone.
async fn write(vault: &Unsealed, found: &Found) -> Result<u64, Error> {
    let all = found.stale.iter();
    let batch = all.fold(Batch::new(), |batch, renewed| renewed.put(batch));
    if batch.is_empty() {
        return Ok(0);
    }
    let storage = vault.barrier.storage();
    match storage.commit(batch).await.map_err(Error::from) {
        Ok(_) => return Ok(found.stale.len() as u64),
        Err(error) if error.is_conflict() => {}
        Err(error) => return Err(error),
    }
    let mut written = 0;
    for renewed in &found.stale {
        match storage.commit(renewed.put(Batch::new())).await {
            Ok(_) => written += 1,
            Err(StorageError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(written)
}
