//! A key of a token, asked from threads that may wait.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keyfold_core::ports::managed::{Done, Job, ManagedError, ManagedKey, Use};
use keyfold_keys::transit::ServiceKey;
use keyfold_secret::Secret;
use tokio::time::timeout;

use super::refused::RefusedPins;
use super::terms::Stored;
use super::{describe, jobs, make};
use crate::pkcs11::{Fault, Library, Named, Open, Place};

/// What of a key is asked for.
pub(super) struct Target {
    pub stored: Stored,
    pub place: Place,
    pub named: Named,
}

/// The key.
pub(super) struct Pkcs11Key {
    target: Arc<Target>,
    refused: Arc<RefusedPins>,
    /// How long a call waits for its turn and for the token, each.
    patience: Duration,
}

impl Pkcs11Key {
    pub fn new(
        library: &'static Library,
        stored: Stored,
        refused: Arc<RefusedPins>,
        patience: Duration,
    ) -> Self {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let target = Target {
            place: Place {
                library,
                slot: stored.slot,
                token: some(&stored.token_label),
                pin: Secret::new(stored.pin.expose().clone().into_bytes()),
            },
            named: Named {
                label: some(&stored.key_label),
                id: hex::decode(&stored.key_id).ok().filter(|id| !id.is_empty()),
            },
            stored,
        };
        Self {
            target: Arc::new(target),
            refused,
            patience,
        }
    }

    /// Does something in a thread that may wait, when it is its turn, and gives up after a while: the
    /// thread goes on until its library comes back.
    async fn wait<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Target) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ManagedError> {
        if self.refused.has(&self.target.stored) {
            return Err(told(Fault::Pin));
        }
        let late = |_| ManagedError::Away("the HSM does not answer in time".to_owned());
        let turns = self.target.place.library.turns();
        let turn = timeout(self.patience, turns.acquire_owned())
            .await
            .map_err(late)?;
        let target = self.target.clone();
        let work = tokio::task::spawn_blocking(move || {
            let done = act(&target);
            drop(turn);
            done
        });
        let done = timeout(self.patience, work).await.map_err(late)?;
        let done =
            done.unwrap_or_else(|_| Err(Fault::Away("the HSM's library broke off".to_owned())));
        if let Err(Fault::Pin) = &done {
            self.refused.note(&self.target.stored);
        }
        if let Err(Fault::Away(why)) = &done {
            tracing::warn!(
                library = self.target.stored.library,
                why,
                "a managed key is away"
            );
        }
        done.map_err(told)
    }
}

#[async_trait]
impl ManagedKey for Pkcs11Key {
    fn allows(&self, what: Use) -> bool {
        self.target.stored.allows(what)
    }

    async fn describe(&self, make: bool) -> Result<ServiceKey, ManagedError> {
        self.wait(move |target| {
            let found = with(target, |open| describe::find(open, target))?;
            match found {
                Some(found) => Ok(found),
                None if make => make::make(target),
                None => Err(Fault::Refused("the token has no such key".to_owned())),
            }
        })
        .await
    }

    async fn run(&self, jobs: Vec<Job>) -> Result<Vec<Done>, ManagedError> {
        let done = self.wait(move |target| with(target, |open| jobs::run(open, target, &jobs)));
        let done = done.await?.into_iter();
        Ok(done.map(|done| done.map_err(told)).collect())
    }
}

/// Acts with a session that waited. Where that fails, it may have been the session's end: a token that
/// was away in between, a login that was ended. Then once more with a new one.
fn with<T>(target: &Target, act: impl Fn(&Open) -> Result<T, Fault>) -> Result<T, Fault> {
    let open = match target.stored.force_rw_session {
        true => Open::writable(&target.place)?,
        false => Open::pooled(&target.place)?,
    };
    match act(&open) {
        Err(Fault::Away(_)) => {
            open.discard();
            let open = Open::new(&target.place)?;
            act(&open)
        }
        acted => {
            open.put_back();
            acted
        }
    }
}

/// A fault as callers are told.
fn told(fault: Fault) -> ManagedError {
    match fault {
        Fault::Pin => ManagedError::Refused(
            "the token refuses the PIN; it is not tried again before the managed key is written \
             again"
                .to_owned(),
        ),
        Fault::Away(text) => ManagedError::Away(text),
        Fault::Refused(text) => ManagedError::Refused(text),
        Fault::Foreign => ManagedError::Foreign,
    }
}
