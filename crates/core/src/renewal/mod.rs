//! The answer to a stolen dek: a new version for what is written from now on, what was written
//! before sealed anew in the background, and then the old version destroyed.
//!
//! ```text
//!   start      core/dek/<uuid>/<n+1>, sys/renewal/<uuid>     one commit; n+1 seals from here on
//!   counting   names only
//!   rewriting  some records at a time: read, open under n, seal under n+1; each is put in the
//!              place of what was read or not at all. How far it is goes into the same commit.
//!   verifying  all are looked at again, until a look finds none under n
//!   done       core/dek/<uuid>/<n> is gone                   one commit
//! ```
//!
//! It goes on at the next unseal where a seal or a crash cut it off, and on another node where there is
//! one, once the lock of the node that was at it is free.

mod record;
mod step;
mod turn;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use self::record::FOLDER;
pub(crate) use self::record::key;
pub use self::record::{FASTEST, Phase, RATE, Renewal};
use self::step::{Job, Next};
use self::turn::Turns;
use crate::barrier::{SYSTEM, View, json, retry};
use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::mounts::{Mount, Target};
use crate::ports::storage::{Batch, Revision};

/// The pause after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The rotations of deks that are under way in this process.
#[derive(Default)]
pub struct Renewals {
    /// Mounts that have a worker: one each.
    running: Mutex<HashSet<String>>,
    turns: Turns,
}

impl Renewals {
    /// True for the first to ask.
    fn claim(&self, uuid: &str) -> bool {
        self.running().insert(uuid.to_owned())
    }

    async fn release(&self, uuid: &str) {
        let is_last = {
            let mut running = self.running();
            running.remove(uuid);
            running.is_empty()
        };
        if is_last {
            self.turns.give_back().await;
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        // A set is whole after every operation.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose dek it is: the mount's uuid, and its records.
struct Owner {
    uuid: String,
    view: View,
}

impl Unsealed {
    /// Begins to rotate the dek of a mount, or goes on with it; what is stored of it, and whether it
    /// was under way. `rate` is in records a second, and may be changed while it runs.
    pub async fn rotate_dek(
        self: &Arc<Self>,
        path: &str,
        rate: Option<u64>,
    ) -> Result<(Renewal, bool), Error> {
        let turn = self.mounts.turn().await?;
        let table = self.mounts.table();
        let mount = table.at(path).ok_or_else(|| missing(path))?;
        let Owner { uuid, view } = self.owner(mount)?;
        let last = self.system.read::<Renewal>(&key(&uuid)).await?;
        let before = match &last {
            Some((last, _)) if !last.is_done() => {
                let last = self.goes_on(&uuid, last.clone(), rate).await?;
                return Ok((last, true));
            }
            Some((last, _)) => Some(last.started),
            None => mount.record.created,
        };
        let from = view.version().ok_or(Error::Bug("a mount without a dek"))?;
        let (new, keys) = self
            .barrier
            .new_version(&uuid, turn.demanded(Batch::new()))?;
        let renewal = Renewal {
            before,
            ..Renewal::new((from, new.version), self.clock.now(), rate.unwrap_or(RATE))
        };
        let batch = follows(last.map(|(_, revision)| revision), &uuid);
        let batch = batch.put(key(&uuid), json(&renewal)?);
        match self.system.commit_with(batch, keys).await {
            Err(error) if error.is_conflict() => return Err(Error::Contended),
            other => other?,
        };
        self.barrier.adopt_version(&uuid, new)?;
        tracing::info!(
            mount = path,
            version = renewal.to,
            "the dek is being rotated"
        );
        self.work(uuid);
        Ok((renewal, false))
    }

    /// How far the rotation of a mount's dek is, where there was one, and the version that seals.
    pub async fn renewal(&self, path: &str) -> Result<(Option<Renewal>, Option<u32>), Error> {
        let table = self.mounts.table();
        let mount = table.at(path).ok_or_else(|| missing(path))?;
        let Owner { uuid, view } = self.owner(mount)?;
        let stored = self.system.read::<Renewal>(&key(&uuid)).await?;
        Ok((stored.map(|(renewal, _)| renewal), view.version()))
    }

    /// The versions that there are of a mount's own dek, the one that seals last; none where it has
    /// no dek of its own.
    pub(crate) fn dek_versions(&self, mount: &Mount) -> Result<Option<Vec<u32>>, Error> {
        let Ok(owner) = self.owner(mount) else {
            return Ok(None);
        };
        Ok(Some(self.barrier.deks(&owner.uuid)?.versions()))
    }

    /// Takes up what a seal or a crash cut off.
    pub(crate) async fn resume_renewals(self: &Arc<Self>) -> Result<(), Error> {
        for uuid in self.system.list(FOLDER, "", 0).await?.names {
            let stored = self.system.read::<Renewal>(&key(&uuid)).await?;
            if stored.is_some_and(|(renewal, _)| !renewal.is_done()) {
                self.work(uuid);
            }
        }
        Ok(())
    }

    /// Has a worker wait for its turn where another node has begun a rotation, or is at one; `None` for
    /// touched keys stands for all of them.
    pub(crate) async fn take_up_renewals(
        self: &Arc<Self>,
        touched: Option<&[String]>,
    ) -> Result<(), Error> {
        let Some(touched) = touched else {
            return self.resume_renewals().await;
        };
        let keys = touched.iter().filter_map(|key| self.system.relative(key));
        for uuid in keys.filter_map(|key| key.strip_prefix(FOLDER)) {
            self.work(uuid.to_owned());
        }
        Ok(())
    }

    /// One that is under way, perhaps at another rate from here on.
    async fn goes_on(
        self: &Arc<Self>,
        uuid: &str,
        mut renewal: Renewal,
        rate: Option<u64>,
    ) -> Result<Renewal, Error> {
        // Its first commit may have had an unknown end.
        let known = self.barrier.deks(uuid)?.newest() >= Some(renewal.to);
        if !known {
            self.barrier.reload_versions(uuid).await?;
        }
        if let Some(rate) = rate.filter(|rate| *rate != renewal.rate) {
            renewal = retry(|| self.pace(uuid, rate)).await?;
        }
        self.work(uuid.to_owned());
        Ok(renewal)
    }

    /// Sets its rate, against the worker, which writes how far it is.
    async fn pace(&self, uuid: &str, rate: u64) -> Result<Renewal, Error> {
        let key = key(uuid);
        let stored = self.system.read::<Renewal>(&key).await?;
        let (mut renewal, revision) = stored.ok_or(Error::NotFound)?;
        if !renewal.is_done() {
            renewal.rate = rate;
            let batch = Batch::new().unchanged(key.clone(), revision);
            self.system.commit(batch.put(key, json(&renewal)?)).await?;
        }
        Ok(renewal)
    }

    /// Gives a mount its worker, where it has none.
    fn work(self: &Arc<Self>, uuid: String) {
        if self.renewals.claim(&uuid) {
            tokio::spawn(work(Arc::downgrade(self), Job::new(uuid)));
        }
    }

    fn owner(&self, mount: &Mount) -> Result<Owner, Error> {
        match &mount.target {
            Target::System => Ok(Owner {
                uuid: SYSTEM.to_owned(),
                view: self.system.clone(),
            }),
            Target::Engine { view, .. } => Ok(Owner {
                uuid: mount.record.uuid.clone(),
                view: view.clone(),
            }),
            Target::Token | Target::Identity | Target::Cubbyhole => Err(Error::bad(format!(
                "{} has no dek of its own: its records are under that of sys/",
                mount.record.path
            ))),
        }
    }

    /// The view of a mount that is still there.
    fn view_of(&self, uuid: &str) -> Option<View> {
        if uuid == SYSTEM {
            return Some(self.system.clone());
        }
        let table = self.mounts.table();
        let mount = table.iter().find(|mount| mount.record.uuid == uuid)?;
        self.owner(mount).ok().map(|owner| owner.view)
    }
}

/// A batch that demands that the last rotation is the one that was read.
fn follows(last: Option<Revision>, uuid: &str) -> Batch {
    match last {
        Some(revision) => Batch::new().unchanged(key(uuid), revision),
        None => Batch::new().absent(key(uuid)),
    }
}

fn missing(path: &str) -> Error {
    Error::bad(format!("no mount at \"{path}\""))
}

/// Works until it is done, the mount is gone, or the vault is sealed.
async fn work(vault: Weak<Unsealed>, mut job: Job) {
    loop {
        let Some(open) = vault.upgrade() else { return };
        if open.is_stopping() {
            return;
        }
        let pause = match job.step(&open).await {
            Ok(Next::Step(pause)) => pause,
            Ok(Next::End) => {
                open.renewals.release(&job.uuid).await;
                // Another may have begun since.
                if !job.is_wanted(&open).await || !open.renewals.claim(&job.uuid) {
                    return;
                }
                Duration::ZERO
            }
            Err(error) => {
                tracing::warn!(%error, mount = %job.uuid, "the rotation of a dek waits");
                AFTER_FAILURE
            }
        };
        // Nobody is kept alive for the time of a nap.
        drop(open);
        tokio::time::sleep(pause).await;
    }
}
