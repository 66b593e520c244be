//! The ciphers of one request: versions loaded first, made ready as items need them.

use std::sync::Arc;

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_keys::transit::{ServiceCipher, ServiceKey};

use super::Transit;
use super::cache::{LoadedKey, LoadedVersion};
use super::census::{Kind, User, Uses};
use super::key::Settings;

/// The key of a request with the versions that its items name. When it goes, the census has what
/// was done with each.
pub(super) struct Ciphers<'k> {
    settings: &'k Settings,
    user: User,
    /// In their order: a batch may name very many.
    versions: Vec<Held>,
    /// The last one used: most batches have one version and one context.
    ready: Option<Ready>,
}

/// A version, and what the request did with it so far.
struct Held {
    version: u32,
    loaded: Arc<LoadedVersion>,
    uses: Uses,
}

impl Held {
    fn new(version: u32, loaded: Arc<LoadedVersion>) -> Self {
        Self {
            version,
            loaded,
            uses: Uses::default(),
        }
    }
}

struct Ready {
    version: u32,
    context: Vec<u8>,
    cipher: ServiceCipher,
}

impl<'k> Ciphers<'k> {
    /// A key with its latest version alone.
    pub fn latest(key: &'k LoadedKey, user: User) -> Self {
        Self::with(key, user, Vec::new())
    }

    /// The same with older ones.
    fn with(key: &'k LoadedKey, user: User, mut versions: Vec<Held>) -> Self {
        versions.push(Held::new(key.settings.latest_version, key.latest.clone()));
        Self {
            settings: &key.settings,
            user,
            versions,
            ready: None,
        }
    }

    /// A key with its latest version and those named, each of which the settings allow.
    pub async fn load(
        transit: &Transit,
        call: &Call<'_>,
        key: &'k LoadedKey,
        named: impl Iterator<Item = u32>,
    ) -> Result<Self, Error> {
        let latest = key.settings.latest_version;
        let mut older: Vec<u32> = named.filter(|version| *version != latest).collect();
        older.sort_unstable();
        older.dedup();
        let mut versions = Vec::with_capacity(older.len() + 1);
        for version in older {
            let loaded = transit.cache.version(key, version).await?;
            versions.push(Held::new(version, loaded));
        }
        Ok(Self::with(key, transit.census.user(call), versions))
    }

    /// The key's settings.
    pub fn settings(&self) -> &'k Settings {
        self.settings
    }

    /// The cipher of a loaded version. The context counts where the key is derived, and is
    /// demanded there.
    pub fn get(&mut self, version: u32, context: &[u8]) -> Result<&mut ServiceCipher, Error> {
        let context = if self.settings.derived { context } else { &[] };
        if self.settings.derived && context.is_empty() {
            return Err(no_context());
        }
        let ready = match self.ready.take() {
            Some(ready) if ready.version == version && ready.context == context => ready,
            _ => {
                let key = self.key(version)?;
                let settings = self.settings;
                let cipher = if settings.derived {
                    key.derive(context, settings.kdf, settings.convergent)
                } else {
                    key.cipher()
                }?;
                Ready {
                    version,
                    context: context.to_vec(),
                    cipher,
                }
            }
        };
        Ok(&mut self.ready.insert(ready).cipher)
    }

    /// Notes for the census that a loaded version was used on so many bytes.
    pub fn note(&mut self, version: u32, kind: Kind, bytes: usize) {
        let at = self.place(version);
        if let Some(held) = at.and_then(|at| self.versions.get_mut(at)) {
            held.uses.add(kind, bytes);
        }
    }

    /// A loaded version itself.
    pub fn key(&self, version: u32) -> Result<&ServiceKey, Error> {
        self.version(version)
            .ok_or(Error::Bug("a version is not loaded"))
    }

    fn version(&self, version: u32) -> Option<&ServiceKey> {
        let held = self.versions.get(self.place(version)?)?;
        Some(&**held.loaded)
    }

    /// The index of a loaded version.
    fn place(&self, version: u32) -> Option<usize> {
        let found = self
            .versions
            .binary_search_by_key(&version, |held| held.version);
        found.ok()
    }
}

impl Drop for Ciphers<'_> {
    /// What was done counts, however the request ends.
    fn drop(&mut self) {
        for held in &self.versions {
            if held.uses != Uses::default() {
                held.loaded.tally.add(&held.uses, self.user);
            }
        }
    }
}

/// What a call is answered that needs a context and has none.
pub(super) fn no_context() -> Error {
    Error::bad(
        "missing 'context' for key derivation; the key was created using a derived key, which \
         means additional, per-request information must be included in order to perform operations \
         with the key",
    )
}
