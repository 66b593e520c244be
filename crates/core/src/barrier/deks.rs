//! The deks of one mount: the newest seals, each opens what it sealed.

use std::collections::BTreeMap;

use keyfold_keys::{Dek, Keyring, Wrapped, Wraps, record};
use keyfold_secret::Secret;

use super::DEKS;
use crate::error::Error;
use crate::ports::storage::Storage;

/// A mount's deks by version.
pub struct MountDeks {
    uuid: String,
    versions: BTreeMap<u32, Dek>,
}

impl MountDeks {
    /// The storage key of a wrapped dek.
    pub fn key(uuid: &str, version: u32) -> String {
        format!("{DEKS}{uuid}/{version}")
    }

    pub(super) fn first(uuid: &str, dek: Dek) -> Self {
        Self {
            uuid: uuid.to_owned(),
            versions: BTreeMap::from([(1, dek)]),
        }
    }

    pub(super) async fn load(
        storage: &dyn Storage,
        keyring: &Keyring,
        uuid: &str,
    ) -> Result<Self, Error> {
        let mut versions = BTreeMap::new();
        for name in storage.list(&format!("{DEKS}{uuid}/"), "", 0).await?.names {
            let version: u32 = name
                .parse()
                .map_err(|_| Error::corrupt(format!("{DEKS}{uuid}/{name}")))?;
            let key = Self::key(uuid, version);
            let damaged = || Error::corrupt(key.clone());
            let entry = storage.get(&key).await?.ok_or_else(damaged)?;
            let wrapped = Wrapped::<Dek>::from_bytes(entry.value);
            let term = wrapped.term().map_err(|_| damaged())?;
            let kek = keyring.kek(term).ok_or_else(damaged)?;
            versions.insert(
                version,
                kek.unwrap(&wrapped, key.as_bytes())
                    .map_err(|_| damaged())?,
            );
        }
        if versions.is_empty() {
            return Err(Error::corrupt(format!("{DEKS}{uuid}/")));
        }
        Ok(Self {
            uuid: uuid.to_owned(),
            versions,
        })
    }

    /// The mount.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    pub(super) fn versions(&self) -> impl Iterator<Item = u32> {
        self.versions.keys().copied()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &Dek)> {
        self.versions.iter().map(|(version, dek)| (*version, dek))
    }

    pub(super) fn seal(&self, key: &str, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let (version, dek) = self
            .versions
            .last_key_value()
            .ok_or(Error::Bug("a mount without a dek"))?;
        Ok(dek.seal(*version, &self.uuid, key, plaintext))
    }

    pub(super) fn open(&self, key: &str, bytes: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let damaged = |_| Error::corrupt(key);
        let version = record::version(bytes).map_err(damaged)?;
        let dek = self
            .versions
            .get(&version)
            .ok_or_else(|| Error::corrupt(key))?;
        dek.open(&self.uuid, key, bytes).map_err(damaged)
    }
}
