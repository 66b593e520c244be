//! The deks of one mount: the newest seals, each opens what it sealed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use keyfold_keys::{Dek, Keyring, Wrapped, Wraps, record};
use keyfold_secret::Secret;

use super::DEKS;
use crate::error::Error;
use crate::ports::storage::Storage;

/// A mount's deks by version. The versions change as a whole, under the feet of whoever uses them.
pub struct MountDeks {
    uuid: String,
    versions: ArcSwap<Versions>,
    /// What was replaced and may be in use.
    replaced: Mutex<Vec<Replaced>>,
}

/// The versions at one moment. Who commits what the newest one sealed holds them until it is stored,
/// so that a rotation can tell when nothing is under way that an older version sealed.
pub(super) struct Versions(BTreeMap<u32, Arc<Dek>>);

/// Versions that were replaced.
struct Replaced(Weak<Versions>);

impl Replaced {
    /// Nobody reads with them, and nothing that they sealed is on its way to the store.
    fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl MountDeks {
    /// The storage key of a wrapped dek.
    pub fn key(uuid: &str, version: u32) -> String {
        format!("{DEKS}{uuid}/{version}")
    }

    pub(super) fn first(uuid: &str, dek: Dek) -> Self {
        Self::new(uuid, BTreeMap::from([(1, Arc::new(dek))]))
    }

    fn new(uuid: &str, versions: BTreeMap<u32, Arc<Dek>>) -> Self {
        Self {
            uuid: uuid.to_owned(),
            versions: ArcSwap::from_pointee(Versions(versions)),
            replaced: Mutex::default(),
        }
    }

    pub(super) async fn load(
        storage: &dyn Storage,
        keyring: &Keyring,
        uuid: &str,
    ) -> Result<Self, Error> {
        Ok(Self::new(uuid, stored(storage, keyring, uuid).await?))
    }

    /// The mount.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// The version that seals.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.versions.load().newest().map(|(version, _)| version)
    }

    pub(super) fn all(&self) -> BTreeMap<u32, Arc<Dek>> {
        self.versions.load().0.clone()
    }

    /// All versions, rising.
    pub(crate) fn versions(&self) -> Vec<u32> {
        self.versions.load().0.keys().copied().collect()
    }

    pub(super) fn count(&self) -> usize {
        self.versions.load().0.len()
    }

    /// Has other versions from here on.
    pub(super) fn replace(&self, versions: BTreeMap<u32, Arc<Dek>>) {
        let mut all = self.replaced();
        let old = self.versions.swap(Arc::new(Versions(versions)));
        all.retain(|replaced| !replaced.is_gone());
        all.push(Replaced(Arc::downgrade(&old)));
    }

    /// All that was ever replaced is gone.
    pub(crate) fn is_settled(&self) -> bool {
        self.replaced().iter().all(Replaced::is_gone)
    }

    fn replaced(&self) -> std::sync::MutexGuard<'_, Vec<Replaced>> {
        // A list is whole after every operation.
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What seals. To be held until what it sealed is stored.
    pub(super) fn sealing(&self) -> Arc<Versions> {
        self.versions.load_full()
    }

    /// Where the version that seals is stored.
    pub(super) fn newest_key(&self, with: &Versions) -> Option<String> {
        let (version, _) = with.newest()?;
        Some(Self::key(&self.uuid, version))
    }

    pub(super) fn seal(
        &self,
        with: &Versions,
        key: &str,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let (version, dek) = with.newest().ok_or(Error::Bug("a mount without a dek"))?;
        Ok(dek.seal(version, &self.uuid, key, plaintext))
    }

    pub(super) fn open(&self, key: &str, bytes: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let damaged = |_| Error::corrupt(key);
        let version = record::version(bytes).map_err(damaged)?;
        let versions = self.versions.load();
        let dek = versions
            .0
            .get(&version)
            .ok_or_else(|| Error::corrupt(key))?;
        dek.open(&self.uuid, key, bytes).map_err(damaged)
    }
}

impl Versions {
    fn newest(&self) -> Option<(u32, &Dek)> {
        let (version, dek) = self.0.last_key_value()?;
        Some((*version, dek))
    }
}

/// The versions that the store has of a mount's dek.
pub(super) async fn names(storage: &dyn Storage, uuid: &str) -> Result<Vec<u32>, Error> {
    let folder = format!("{DEKS}{uuid}/");
    let names = storage.list(&folder, "", 0).await?.names;
    let parse = |name: &String| {
        let version = name.parse::<u32>();
        version.map_err(|_| Error::corrupt(format!("{folder}{name}")))
    };
    names.iter().map(parse).collect()
}

/// A version as it is stored.
pub(super) async fn unwrapped(
    storage: &dyn Storage,
    keyring: &Keyring,
    (uuid, version): (&str, u32),
) -> Result<Dek, Error> {
    let key = MountDeks::key(uuid, version);
    let damaged = || Error::corrupt(key.clone());
    let entry = storage.get(&key).await?.ok_or_else(damaged)?;
    let wrapped = Wrapped::<Dek>::from_bytes(entry.value);
    let term = wrapped.term().map_err(|_| damaged())?;
    let kek = keyring.kek(term).ok_or_else(damaged)?;
    kek.unwrap(&wrapped, key.as_bytes()).map_err(|_| damaged())
}

/// All of them.
pub(super) async fn stored(
    storage: &dyn Storage,
    keyring: &Keyring,
    uuid: &str,
) -> Result<BTreeMap<u32, Arc<Dek>>, Error> {
    let mut versions = BTreeMap::new();
    for version in names(storage, uuid).await? {
        let dek = unwrapped(storage, keyring, (uuid, version)).await?;
        versions.insert(version, Arc::new(dek));
    }
    if versions.is_empty() {
        return Err(Error::corrupt(format!("{DEKS}{uuid}/")));
    }
    Ok(versions)
}
