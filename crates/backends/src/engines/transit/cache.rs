//! Keys in memory: settings with the newest version, and older versions as they are asked for.
//!
//! Both tables are bounded and shared without an exclusive lock; of several calls that miss the
//! same key one reads the store. A change drops the entry, and with it a read that is under way:
//! what such a read found serves its own callers, who came before the change was acknowledged, and
//! is not kept. An error is never kept either.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keyfold_core::barrier::View;
use keyfold_core::error::Error;
use keyfold_keys::transit::ServiceKey;
use quick_cache::sync::Cache as Table;

use super::cache_config::{self, Size};
use super::census::{Census, Tally};
use super::key::{POLICIES, Settings, VERSIONS, policy_key, version_key};

/// Keys with their newest version.
const KEYS: usize = 10_000;
/// Older versions, of all keys together.
const OLDER: usize = 10_000;
/// Reads of a key that keeps being replaced while it is read.
const ATTEMPTS: usize = 8;

/// A key as the data calls need it.
pub(super) struct LoadedKey {
    pub name: Arc<str>,
    pub settings: Settings,
    pub latest: Arc<LoadedVersion>,
}

/// A version, and the place where its uses are counted.
pub(super) struct LoadedVersion {
    key: ServiceKey,
    pub tally: Arc<Tally>,
}

impl LoadedVersion {
    /// `key` is that version of the key of `settings`.
    pub fn new(
        key: ServiceKey,
        (name, settings): (&str, &Settings),
        version: u32,
        census: &Census,
    ) -> Self {
        Self {
            key,
            tally: census.tally(name, settings, version),
        }
    }
}

impl Deref for LoadedVersion {
    type Target = ServiceKey;

    fn deref(&self) -> &ServiceKey {
        &self.key
    }
}

/// A version of a key: the key's id and the number.
type VersionId = (Arc<str>, u32);

pub(super) struct Cache {
    view: View,
    census: Arc<Census>,
    keys: Table<String, Arc<LoadedKey>>,
    older: Table<VersionId, Arc<LoadedVersion>>,
    /// The size that was configured is known.
    measured: AtomicBool,
}

impl Cache {
    pub fn new(view: View, census: Arc<Census>) -> Self {
        Self {
            view,
            census,
            keys: Table::new(KEYS),
            older: Table::new(OLDER),
            measured: AtomicBool::new(false),
        }
    }

    /// The key of that name, if there is one.
    pub async fn key(&self, name: &str) -> Result<Option<Arc<LoadedKey>>, Error> {
        let place = match self.keys.get_value_or_guard_async(name).await {
            Ok(key) => return Ok(Some(key)),
            Err(place) => place,
        };
        let Some(key) = self.load(name).await? else {
            return Ok(None);
        };
        let key = Arc::new(key);
        // Refused when the key was changed meanwhile.
        let _ = place.insert(key.clone());
        Ok(Some(key))
    }

    /// A version of a key that its settings say is there.
    pub async fn version(
        &self,
        key: &LoadedKey,
        version: u32,
    ) -> Result<Arc<LoadedVersion>, Error> {
        if version == key.settings.latest_version {
            return Ok(key.latest.clone());
        }
        let id: VersionId = (key.settings.id.as_str().into(), version);
        let place = match self.older.get_value_or_guard_async(&id).await {
            Ok(version) => return Ok(version),
            Err(place) => place,
        };
        let of = (&*key.name, &key.settings);
        let found = self.load_version(of, version).await?;
        let found = found.ok_or_else(|| Error::corrupt(version_key(&key.settings.id, version)))?;
        let found = Arc::new(found);
        let _ = place.insert(found.clone());
        Ok(found)
    }

    /// Holds so many keys at most, and so many older versions; 0 for the usual bound, which is also
    /// the largest.
    pub fn resize(&self, size: u64) {
        let bound = |usual: usize| {
            let usual = u64::try_from(usual).unwrap_or(u64::MAX);
            if size == 0 { usual } else { size.min(usual) }
        };
        self.keys.set_capacity(bound(KEYS));
        self.older.set_capacity(bound(OLDER));
    }

    /// Reads the size that was configured, once.
    async fn measure(&self) -> Result<(), Error> {
        if !self.measured.load(Ordering::Relaxed) {
            let size = self.view.read::<Size>(cache_config::AT).await?;
            self.resize(size.map_or(0, |(size, _)| size.size));
            self.measured.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Forgets a key after a commit that touched it. Its versions never change and may stay.
    pub fn forget(&self, name: &str) {
        self.keys.remove(name);
    }

    /// Forgets all versions of a key that was deleted.
    pub fn forget_versions(&self, id: &str) {
        self.older.retain(|(owner, _), _| &**owner != id);
    }

    /// Forgets what a key of the view stands for.
    pub fn invalidate(&self, key: &str) {
        if key == cache_config::AT {
            self.measured.store(false, Ordering::Relaxed);
        } else if let Some(name) = key.strip_prefix(POLICIES) {
            self.forget(name);
        } else if let Some((id, version)) = key
            .strip_prefix(VERSIONS)
            .and_then(|rest| rest.split_once('/'))
            && let Ok(version) = version.parse()
        {
            self.older.remove(&(Arc::from(id), version));
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.keys.clear();
        self.older.clear();
        self.measured.store(false, Ordering::Relaxed);
    }

    async fn load(&self, name: &str) -> Result<Option<LoadedKey>, Error> {
        self.measure().await?;
        let at = policy_key(name);
        let mut seen = None;
        for _ in 0..ATTEMPTS {
            let Some((settings, revision)) = self.view.read::<Settings>(&at).await? else {
                return Ok(None);
            };
            let version = settings.latest_version;
            if let Some(latest) = self.load_version((name, &settings), version).await? {
                return Ok(Some(LoadedKey {
                    name: name.into(),
                    settings,
                    latest: Arc::new(latest),
                }));
            }
            // Settings and version are two reads. If the key was deleted, or deleted and made
            // again, between them, the settings are others by now.
            if seen == Some(revision) {
                return Err(Error::corrupt(version_key(&settings.id, version)));
            }
            seen = Some(revision);
        }
        Err(Error::Contended)
    }

    async fn load_version(
        &self,
        (name, settings): (&str, &Settings),
        version: u32,
    ) -> Result<Option<LoadedVersion>, Error> {
        let at = version_key(&settings.id, version);
        let Some(stored) = self.view.get(&at).await? else {
            return Ok(None);
        };
        let key = settings.read_version(stored.value.expose());
        let key = key.ok_or_else(|| Error::corrupt(at))?;
        let of = (name, settings);
        Ok(Some(LoadedVersion::new(key, of, version, &self.census)))
    }
}
