//! What engines have to do by themselves when its time has come, such as a rotation: each is a
//! request of the server's own, and the audit devices record it like any other. It has no token and
//! no address, by which a reader of the log tells it.

use std::time::Duration;

use super::authorize::Authorized;
use super::call;
use crate::audit::{Outcome, Parts};
use crate::error::Error;
use crate::id;
use crate::lifecycle::fence::under;
use crate::lifecycle::{Core, Unsealed};
use crate::mounts::{Mount, Target};
use crate::ports::engine::{Chore, Dispatch};
use crate::request::{Body, Op, Request};
use crate::tokens::Caller;

/// Chores of one mount in one turn.
const MOST: usize = 256;
/// Held for a turn: of several nodes one does the chores.
const LOCK: (&str, Duration) = ("chores", Duration::from_secs(30));

impl Core {
    /// Does the chores of all mounts that are due; how many were done. One that fails is told in
    /// the log and stays due.
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`] and those of the store's lock.
    pub async fn do_chores(&self) -> Result<usize, Error> {
        let vault = self.unsealed()?;
        vault.settle().await;
        self.metrics().look_at_periods(&vault).await;
        let storage = vault.barrier.storage().clone();
        let (name, ttl) = LOCK;
        let Some(lock) = storage.lock(name, ttl).await? else {
            return Ok(0);
        };
        let work = async {
            let mut done = 0;
            for mount in vault.mounts.table().iter() {
                if let Target::Engine { engine, .. } = &mount.target {
                    done += of_mount(&vault, mount, &**engine).await;
                }
            }
            done
        };
        Ok(under(name, &*lock, work).await)
    }
}

impl Unsealed {
    /// Has the mounts store what they noted of their use: see [`Engine::settle`]. It needs no turn
    /// among nodes, since each has notes of its own.
    ///
    /// [`Engine::settle`]: crate::ports::engine::Engine::settle
    pub(crate) async fn settle(&self) {
        for mount in self.mounts.table().iter() {
            let Target::Engine { engine, .. } = &mount.target else {
                continue;
            };
            if let Err(error) = engine.settle().await {
                let path = &mount.record.path;
                tracing::warn!(%error, path, "what a mount noted of its use is not stored yet");
            }
        }
    }
}

async fn of_mount(vault: &Unsealed, mount: &Mount, engine: &dyn Dispatch) -> usize {
    let path = &mount.record.path;
    let due = match engine.chores(vault.clock.now(), MOST).await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(%error, path, "what is due in a mount is not known");
            return 0;
        }
    };
    let mut done = 0;
    for chore in due {
        if vault.is_stopping() {
            break;
        }
        let path = format!("{path}{}", chore.path);
        match perform(vault, mount, engine, chore).await {
            Ok(()) => done += 1,
            Err(error) => tracing::warn!(%error, path, "what was due was not done"),
        }
    }
    done
}

async fn perform(
    vault: &Unsealed,
    mount: &Mount,
    engine: &dyn Dispatch,
    chore: Chore,
) -> Result<(), Error> {
    let request = Request {
        op: Op::Write,
        path: format!("{}{}", mount.record.path, chore.path),
        body: Body::new(chore.body.bytes().to_vec()),
        ..Request::internal(id::uuid())
    };
    let caller = Caller::anonymous();
    let now = vault.clock.now();
    let found = engine.find(request.op, &chore.path)?;
    let entry = vault.audit.entry(&Parts {
        request: &request,
        caller: &caller,
        mount: Some(&mount.record),
        creates: false,
        allowed: true,
    });
    let admitted = vault
        .audit
        .admit(Authorized::own(), entry.as_ref(), now)
        .await?;
    let place = (&*chore.path, Some(&mount.record));
    let call = call(&request, place, &found, &caller, false, now);
    let result = engine.run(admitted, &found, &call).await;
    let outcome = match &result {
        Ok(reply) => Outcome::Done(reply),
        Err(error) => Outcome::Failed(error),
    };
    let now = vault.clock.now();
    vault.audit.answered(entry.as_ref(), now, &outcome).await?;
    result.map(drop)
}
