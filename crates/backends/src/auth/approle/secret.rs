//! A secret id: made, spent, removed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use keyfold_core::barrier::json;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::storage::Batch;
use keyfold_core::tokens::admits;
use serde::{Deserialize, Serialize};

use super::store::{Names, Store, expiry_key};

/// The record of a secret id: what it is good for, not the id itself.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SecretId {
    /// A handle that can look it up and destroy it, but not log in.
    pub accessor: String,
    /// Addresses that may log in with it; all where there are none.
    pub cidr_list: Vec<IpNet>,
    /// Addresses that may use the token of a login; the role's where there are none.
    pub token_bound_cidrs: Vec<IpNet>,
    /// Goes into the token's metadata.
    pub metadata: BTreeMap<String, String>,
    /// Logins that it is still good for; zero: no limit.
    pub num_uses: u64,
    /// How long it is good, seconds; zero: for ever.
    pub ttl: u64,
    /// When it was made.
    pub created: Time,
    /// When it was last changed.
    pub updated: Time,
}

impl SecretId {
    /// When it ends, if it does.
    pub fn end(&self) -> Option<Time> {
        (self.ttl > 0).then(|| self.created.plus(Duration::from_secs(self.ttl)))
    }

    /// Its place in the order of ends, if it has an end; by its role's uid and its own name.
    pub fn place(&self, uid: &str, name: &str) -> Option<String> {
        self.end().map(|end| expiry_key(end, uid, name))
    }

    /// Its time is over.
    pub fn is_over(&self, now: Time) -> bool {
        self.end().is_some_and(|end| end <= now)
    }

    /// Whether an address may log in with it.
    pub fn admits(&self, remote: Option<IpAddr>) -> bool {
        admits(&self.cidr_list, remote)
    }
}

impl Store {
    /// Adds to a batch what removes a secret id: its record and its places in the indexes.
    pub fn removal(
        &self,
        names: &Names,
        (uid, key): (&str, &str),
        secret: &SecretId,
        batch: Batch,
    ) -> Batch {
        let name = key.rsplit('/').next().unwrap_or_default();
        let batch = batch.delete(key).delete(names.accessor(&secret.accessor));
        match secret.place(uid, name) {
            Some(place) => batch.delete(place),
            None => batch,
        }
    }

    /// Takes a use of a secret id that has a limit, just one for each caller. `None` when it is not
    /// there any more.
    pub async fn spend(
        &self,
        names: &Names,
        uid: &str,
        key: &str,
        now: Time,
    ) -> Result<Option<SecretId>, Error> {
        let attempt = || async {
            let Some((secret, revision)) = self.secret(key).await? else {
                return Ok(None);
            };
            if secret.is_over(now) {
                return Ok(None);
            }
            let batch = Batch::new().unchanged(key, revision);
            let batch = match secret.num_uses {
                0 => return Ok(Some(secret)),
                1 => self.removal(names, (uid, key), &secret, batch),
                uses => {
                    let left = SecretId {
                        num_uses: uses - 1,
                        updated: now,
                        ..secret.clone()
                    };
                    batch.put(key, json(&left)?)
                }
            };
            self.view.commit(batch).await?;
            Ok(Some(secret))
        };
        self.view.change(key, attempt).await
    }
}
