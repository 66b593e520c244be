//! The records of a mount, and the roles in memory.

use std::sync::{Arc, OnceLock};

use keyfold_core::barrier::{View, json, retry};
use keyfold_core::clock::{Clock, Time};
use keyfold_core::error::Error;
use keyfold_core::ports::storage::{Batch, Revision};
use keyfold_keys::kdf::MacKey;
use keyfold_keys::rng;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use super::role::Role;
use super::secret::SecretId;

/// The length of a role id, a secret id or an accessor at most.
pub(super) const ID: usize = 4096;
/// Roles, and secret ids, in memory at most.
const CACHED: usize = 10_000;
const HMAC_KEY: &str = "hmac-key";
pub(super) const ROLES: &str = "role/";
pub(super) const EXPIRE: &str = "expire/";
pub(super) const GONE: &str = "gone/";

/// The records of a mount.
pub(super) struct Store {
    pub view: View,
    pub clock: Arc<dyn Clock>,
    names: OnceLock<Arc<Names>>,
    /// By role id; only those that are there.
    roles: Cache<String, Arc<Role>>,
    /// By key; only those that are there and good for any number of logins.
    secrets: Cache<String, Arc<SecretId>>,
}

/// What an accessor stands for.
#[derive(Serialize, Deserialize)]
pub(super) struct Place {
    /// The role's.
    pub uid: String,
    /// The name of the secret id in the store.
    pub secret: String,
}

impl Store {
    pub fn new(view: View, clock: Arc<dyn Clock>) -> Self {
        Self {
            view,
            clock,
            names: OnceLock::new(),
            roles: Cache::new(CACHED),
            secrets: Cache::new(CACHED),
        }
    }

    /// How ids are named; without a role there is no key for it yet, and nothing has a name.
    pub async fn names(&self) -> Result<Arc<Names>, Error> {
        if let Some(names) = self.names.get() {
            return Ok(names.clone());
        }
        match self.view.get(HMAC_KEY).await? {
            Some(key) => Ok(self.keep(Names::new(key.value.expose()))),
            None => Ok(Arc::new(Names::new(&[0; 32]))),
        }
    }

    /// How ids are named, with a fresh key where there is none yet.
    pub async fn names_for_roles(&self) -> Result<Arc<Names>, Error> {
        if self.names.get().is_none() {
            let make = || async {
                if self.view.get(HMAC_KEY).await?.is_none() {
                    let key = rng::bytes::<32>();
                    let batch = Batch::new().absent(HMAC_KEY).put(HMAC_KEY, key);
                    self.view.commit(batch).await?;
                }
                Ok(())
            };
            retry(make).await?;
        }
        self.names().await
    }

    fn keep(&self, names: Names) -> Arc<Names> {
        self.names.get_or_init(|| Arc::new(names)).clone()
    }

    /// The role of a name, as it is stored.
    pub async fn role(&self, name: &str) -> Result<Option<(Role, Revision)>, Error> {
        self.view.read(&format!("{ROLES}{name}")).await
    }

    /// The role of a role id, and how many records it took to find it.
    pub async fn by_role_id(
        &self,
        names: &Names,
        role_id: &str,
    ) -> Result<(Option<Arc<Role>>, usize), Error> {
        let place = match self.roles.get_value_or_guard_async(role_id).await {
            Ok(role) => return Ok((Some(role), 0)),
            Err(place) => place,
        };
        let Some((name, _)) = self.view.read::<String>(&names.role_id(role_id)).await? else {
            return Ok((None, 1));
        };
        // It may have got another id since.
        let role = self.role(&name).await?.map(|(role, _)| role);
        let Some(role) = role.filter(|role| role.role_id == role_id) else {
            return Ok((None, 2));
        };
        let role = Arc::new(role);
        // Refused when the role was changed meanwhile.
        let _ = place.insert(role.clone());
        Ok((Some(role), 2))
    }

    /// Reads what is not there, as often as it is said.
    pub async fn idle(&self, reads: usize) -> Result<(), Error> {
        for _ in 0..reads {
            self.view.get("none").await?;
        }
        Ok(())
    }

    /// Adds a role to a batch, in the place of an old one: its record and its id, which nobody else
    /// may have.
    pub async fn put_role(
        &self,
        names: &Names,
        old: Option<&(Role, Revision)>,
        role: &Role,
    ) -> Result<Batch, Error> {
        let key = format!("{ROLES}{}", role.name);
        let mut batch = match old {
            Some((_, revision)) => Batch::new().unchanged(key.clone(), *revision),
            None => Batch::new().absent(key.clone()),
        };
        if old.is_none_or(|(old, _)| old.role_id != role.role_id) {
            let place = names.role_id(&role.role_id);
            if self.view.get(&place).await?.is_some() {
                return Err(Error::bad("role_id already in use"));
            }
            batch = batch.absent(place.clone()).put(place, json(&role.name)?);
            if let Some((old, _)) = old {
                batch = batch.delete(names.role_id(&old.role_id));
            }
        }
        Ok(batch.put(key, json(role)?))
    }

    /// Drops a role from memory, after the commit that changed it.
    pub fn forget(&self, role_id: &str) {
        self.roles.remove(role_id);
    }

    /// A secret id as logins look at it: from memory, where it is there and no login changes it.
    pub async fn standing_secret(&self, key: &str) -> Result<Option<Arc<SecretId>>, Error> {
        let place = match self.secrets.get_value_or_guard_async(key).await {
            Ok(secret) => return Ok(Some(secret)),
            Err(place) => place,
        };
        let Some((secret, _)) = self.secret(key).await? else {
            return Ok(None);
        };
        let secret = Arc::new(secret);
        if secret.num_uses == 0 {
            // Refused when it was removed meanwhile.
            let _ = place.insert(secret.clone());
        }
        Ok(Some(secret))
    }

    /// Drops a secret id from memory, after the commit that made or removed it.
    pub fn forget_secret(&self, key: &str) {
        self.secrets.remove(key);
    }

    /// A key of the view changed elsewhere.
    pub fn invalidate(&self, key: &str) {
        self.forget_secret(key);
        // Its id is not in the key.
        if let Some(name) = key.strip_prefix(ROLES) {
            self.roles.retain(|_, role| role.name != name);
        }
    }

    /// Anything may have changed.
    pub fn invalidate_all(&self) {
        self.roles.clear();
        self.secrets.clear();
    }

    /// The secret id at a key of the view.
    pub async fn secret(&self, key: &str) -> Result<Option<(SecretId, Revision)>, Error> {
        self.view.read(key).await
    }

    /// What an accessor stands for.
    pub async fn place(&self, names: &Names, accessor: &str) -> Result<Option<Place>, Error> {
        if accessor.len() > ID {
            return Ok(None);
        }
        let stored = self.view.read::<Place>(&names.accessor(accessor)).await?;
        Ok(stored.map(|(place, _)| place))
    }
}

/// How ids are named in the store: by HMACs.
pub(super) struct Names(MacKey);

impl Names {
    fn new(key: &[u8]) -> Self {
        Self(MacKey::new(key))
    }

    /// Where the role of an id is named.
    pub fn role_id(&self, role_id: &str) -> String {
        format!("role-id/{}", self.tag("role-id", &[role_id]))
    }

    /// Where a secret id of a role is.
    pub fn secret(&self, uid: &str, secret_id: &str) -> String {
        secret_key(uid, &self.tag("secret-id", &[uid, secret_id]))
    }

    /// Where an accessor is.
    pub fn accessor(&self, accessor: &str) -> String {
        format!("accessor/{}", self.tag("accessor", &[accessor]))
    }

    fn tag(&self, what: &str, parts: &[&str]) -> String {
        let len = parts.iter().map(|part| 1 + part.len()).sum::<usize>();
        let mut text = String::with_capacity(what.len() + len);
        text.push_str(what);
        for part in parts {
            text.push('\0');
            text.push_str(part);
        }
        self.0.hex(text.as_bytes()).as_str().to_owned()
    }
}

/// The folder of a role's secret ids.
pub(super) fn secrets_of(uid: &str) -> String {
    format!("secret/{uid}/")
}

/// The key of a secret id.
pub(super) fn secret_key(uid: &str, name: &str) -> String {
    format!("secret/{uid}/{name}")
}

/// The key of a place in the order of ends: seconds with leading zeros, rounded up, so that nothing
/// goes before its end.
pub(super) fn expiry_key(end: Time, uid: &str, name: &str) -> String {
    let secs = end.secs() + 1;
    format!("{EXPIRE}{secs:012}-{uid}-{name}")
}

/// The moment, the role and the secret id of a place in that order.
pub(super) fn parse_expiry(entry: &str) -> Option<(u64, &str, &str)> {
    let (secs, rest) = entry.split_once('-')?;
    let (uid, name) = rest.rsplit_once('-')?;
    Some((secs.parse().ok()?, uid, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_in_order_and_parse() {
        let key = |secs: u64| expiry_key(Time(secs * 1_000_000_000), "u-1", "ab");
        assert!(key(9) < key(10));
        let entry = key(9).strip_prefix(EXPIRE).unwrap().to_owned();
        assert_eq!(parse_expiry(&entry), Some((10, "u-1", "ab")));
        assert_eq!(parse_expiry("nonsense"), None);
    }

    #[test]
    fn a_secret_id_has_another_name_in_each_role() {
        let names = Names::new(&[1; 32]);
        assert_ne!(names.secret("a", "s"), names.secret("b", "s"));
        assert_ne!(names.role_id("x"), names.accessor("x"));
    }
}
