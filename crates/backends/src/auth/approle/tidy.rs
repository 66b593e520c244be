//! Removing what has ended: secret ids whose time is over, and those of removed roles.
//!
//! There is no timer. Who makes a secret id or removes a role removes a few of these on the way, so
//! that there are never many more of them than are made; `tidy/secret-id` removes them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;

use super::AppRole;
use super::store::{EXPIRE, GONE, Store, parse_expiry, secret_key, secrets_of};

/// Secret ids that one step removes at most: one commit.
const STEP: usize = 128;
/// Of them, as many go when a secret id is made.
const FEW: usize = 8;

impl AppRole {
    /// Begins to remove all that has ended, and does not wait for it.
    pub(super) async fn tidy(&self, _: &Call<'_>) -> Result<Reply, Error> {
        if self.tidying.swap(true, Ordering::AcqRel) {
            return Ok(Reply::none()
                .warn("tidying is under way already")
                .with_status(202));
        }
        // The store is not held between two steps: a sealed vault must not keep its keys.
        let store = Arc::downgrade(&self.store);
        let running = Running(self.tidying.clone());
        tokio::spawn(async move {
            let _running = running;
            while let Some(store) = store.upgrade() {
                match store.clear(STEP).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        tracing::warn!(%error, "secret ids that have ended remain");
                        return;
                    }
                }
            }
        });
        Ok(Reply::none()
            .warn("tidying goes on in the background; what it meets stands in the server's log")
            .with_status(202))
    }
}

/// Ends with the tidying, however it ends.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Store {
    /// Removes a few of what has ended. What the caller asked for is done, so a failure is theirs no
    /// more.
    pub async fn clear_some(&self) {
        if let Err(error) = self.clear(FEW).await {
            tracing::warn!(%error, "secret ids that have ended remain");
        }
    }

    /// Removes what has ended, at most so many of each kind; whether there may be more.
    async fn clear(&self, most: usize) -> Result<bool, Error> {
        let expired = self.clear_expired(most).await?;
        let gone = self.clear_gone(most).await?;
        Ok(expired || gone)
    }

    async fn clear_expired(&self, most: usize) -> Result<bool, Error> {
        let names = self.names().await?;
        let now = self.clock.now();
        let mut batch = Batch::new();
        let mut found = 0;
        for entry in self.view.list(EXPIRE, "", most).await?.names {
            let Some((secs, uid, name)) = parse_expiry(&entry) else {
                return Err(Error::corrupt(format!("{EXPIRE}{entry}")));
            };
            if secs > now.secs() {
                break;
            }
            found += 1;
            let key = secret_key(uid, name);
            let place = format!("{EXPIRE}{entry}");
            batch = match self.secret(&key).await? {
                Some((secret, revision)) if secret.place(uid, name).as_ref() == Some(&place) => {
                    let batch = batch.unchanged(key.clone(), revision);
                    self.removal(&names, (uid, &key), &secret, batch)
                }
                // Made again under the same text since, with another end; or gone.
                _ => batch.delete(place),
            };
        }
        if found == 0 {
            return Ok(false);
        }
        match self.view.commit(batch).await {
            // One was destroyed meanwhile; the others go next time.
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
            Ok(_) => Ok(found == most),
        }
    }

    async fn clear_gone(&self, most: usize) -> Result<bool, Error> {
        let page = self.view.list(GONE, "", 1).await?;
        let Some(uid) = page.names.first() else {
            return Ok(false);
        };
        let names = self.names().await?;
        let folder = secrets_of(uid);
        let secrets = self.view.list(&folder, "", most).await?;
        let mut batch = Batch::new();
        for name in &secrets.names {
            let key = format!("{folder}{name}");
            if let Some((secret, _)) = self.secret(&key).await? {
                batch = self.removal(&names, (uid, &key), &secret, batch);
            }
        }
        if !secrets.more {
            batch = batch.delete(format!("{GONE}{uid}"));
        }
        self.view.commit(batch).await?;
        Ok(page.more || secrets.more)
    }
}
