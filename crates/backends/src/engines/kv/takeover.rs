//! From version 1 to version 2.
//!
//! ```text
//!   tune version=2   the mount's options and `takeover` {done: false}: one commit
//!   some at a time   secrets/a  ──►  metadata/a, versions/a/1: one commit each
//!   none is left     `takeover` {done: true}
//! ```
//!
//! From the first of these commits on nothing is written in version 1: each write there demands
//! that `takeover` is absent. A crash leaves some secrets here and some there, and the first
//! request after it goes on. Until all are there requests wait for a while, and are then asked to
//! come back.

use std::sync::{Arc, Weak};
use std::time::Duration;

use keyfold_core::barrier::{View, json, retry};
use keyfold_core::clock::Clock;
use keyfold_core::error::Error;
use keyfold_core::ports::storage::{Batch, StorageError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{v1, v2};

/// Absent in a mount that never was of version 1.
pub(super) const KEY: &str = "takeover";
/// What one commit moves at most: secrets, and bytes of them (or one that is larger).
const SECRETS: usize = 512;
const BYTES: usize = 4 << 20;
/// How long a request waits.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Serialize, Deserialize)]
struct Takeover {
    done: bool,
}

/// What begins it, for the commit that changes the mount's options.
pub(super) fn begin() -> Result<Batch, Error> {
    Ok(Batch::new().put(KEY, json(&Takeover { done: false })?))
}

/// What those are told who come while it goes on.
pub(super) fn busy() -> Error {
    Error::bad(
        "Upgrading from non-versioned to versioned data. This backend will be unavailable for a \
         brief period and will resume service shortly.",
    )
}

/// The storage of a mount of version 2: whoever gets it finds nothing of version 1 in there.
pub(super) struct Gate(Arc<Shared>);

struct Shared {
    view: View,
    clock: Arc<dyn Clock>,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not looked at, or a step of it failed.
    Idle,
    Running,
    Done,
}

impl Gate {
    pub fn new(view: View, clock: Arc<dyn Clock>) -> Self {
        let (state, _) = watch::channel(State::Idle);
        Self(Arc::new(Shared { view, clock, state }))
    }

    /// The storage, once it is taken over.
    pub async fn view(&self) -> Result<&View, Error> {
        if *self.0.state.borrow() != State::Done {
            self.pass().await?;
        }
        Ok(&self.0.view)
    }

    async fn pass(&self) -> Result<(), Error> {
        let shared = &self.0;
        if !shared.is_due().await? {
            shared.state.send_replace(State::Done);
            return Ok(());
        }
        let mut state = shared.state.subscribe();
        let begins = shared.state.send_if_modified(|state| {
            let idle = *state == State::Idle;
            if idle {
                *state = State::Running;
            }
            idle
        });
        if begins {
            tokio::spawn(run(Arc::downgrade(shared)));
        }
        let ended = state.wait_for(|state| *state != State::Running);
        match tokio::time::timeout(PATIENCE, ended).await {
            Ok(Ok(state)) if *state == State::Done => Ok(()),
            Ok(_) => Err(StorageError::Failed("the mount is not taken over".to_owned()).into()),
            Err(_) => Err(busy()),
        }
    }
}

/// Runs to the end, or until a step fails or the mount is gone: it must not outlast the vault and
/// its keys.
async fn run(shared: Weak<Shared>) {
    let end = loop {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        match retry(|| shared.step()).await {
            Ok(true) => break State::Done,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "secrets of KV version 1 wait for their takeover");
                break State::Idle;
            }
        }
    };
    if let Some(shared) = shared.upgrade() {
        shared.state.send_replace(end);
    }
}

impl Shared {
    async fn is_due(&self) -> Result<bool, Error> {
        let takeover = self.view.read::<Takeover>(KEY).await?;
        Ok(takeover.is_some_and(|(takeover, _)| !takeover.done))
    }

    /// Moves some secrets; whether none is left.
    async fn step(&self) -> Result<bool, Error> {
        let paths = self.some().await?;
        if paths.is_empty() {
            let done = json(&Takeover { done: true })?;
            self.view.commit(Batch::new().put(KEY, done)).await?;
            return Ok(true);
        }
        let now = self.clock.now();
        let (mut batch, mut bytes) = (Batch::new(), 0);
        for path in paths {
            let key = v1::key(&path);
            let Some(stored) = self.view.get(&key).await? else {
                continue;
            };
            let data = stored.value.expose();
            bytes += data.len();
            batch = batch.unchanged(key.clone(), stored.revision).delete(key);
            batch = v2::record::taken_over(&path, data, now, batch)?;
            if bytes >= BYTES {
                break;
            }
        }
        self.view.commit(batch).await?;
        Ok(false)
    }

    /// Paths of some secrets of version 1, of one folder; none where none is left.
    async fn some(&self) -> Result<Vec<String>, Error> {
        let mut folder = String::new();
        loop {
            let page = self.view.list(&v1::key(&folder), "", SECRETS).await?;
            let (folders, secrets): (Vec<_>, Vec<_>) =
                page.names.into_iter().partition(|n| n.ends_with('/'));
            match folders.first() {
                Some(name) if secrets.is_empty() => folder.push_str(name),
                _ => return Ok(secrets.iter().map(|n| format!("{folder}{n}")).collect()),
            }
        }
    }
}
