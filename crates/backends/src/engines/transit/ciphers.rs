//! The ciphers of one request: versions loaded first, made ready as items need them.

use std::sync::Arc;

use keyfold_core::error::Error;
use keyfold_keys::transit::{ServiceCipher, ServiceKey};

use super::cache::{Cache, LoadedKey};
use super::key::Settings;

/// The key of a request with the versions that its items name.
pub(super) struct Ciphers<'k> {
    settings: &'k Settings,
    versions: Vec<(u32, Arc<ServiceKey>)>,
    /// The last one used: most batches have one version and one context.
    ready: Option<Ready>,
}

struct Ready {
    version: u32,
    context: Vec<u8>,
    cipher: ServiceCipher,
}

impl<'k> Ciphers<'k> {
    /// A key with its latest version alone.
    pub fn latest(key: &'k LoadedKey) -> Self {
        let latest = (key.settings.latest_version, key.latest.clone());
        Self {
            settings: &key.settings,
            versions: vec![latest],
            ready: None,
        }
    }

    /// A key with its latest version and those named, each of which the settings allow.
    pub async fn load(
        cache: &Cache,
        key: &'k LoadedKey,
        named: impl Iterator<Item = u32>,
    ) -> Result<Self, Error> {
        let mut ciphers = Self::latest(key);
        for version in named {
            if ciphers.version(version).is_none() {
                let loaded = cache.version(key, version).await?;
                ciphers.versions.push((version, loaded));
            }
        }
        Ok(ciphers)
    }

    /// The key's settings.
    pub fn settings(&self) -> &'k Settings {
        self.settings
    }

    /// The cipher of a loaded version. The context counts where the key is derived, and is
    /// demanded there.
    pub fn get(&mut self, version: u32, context: &[u8]) -> Result<&ServiceCipher, Error> {
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
        Ok(&self.ready.insert(ready).cipher)
    }

    /// A loaded version itself.
    pub fn key(&self, version: u32) -> Result<&ServiceKey, Error> {
        self.version(version)
            .ok_or(Error::Bug("a version is not loaded"))
    }

    fn version(&self, version: u32) -> Option<&ServiceKey> {
        self.versions
            .iter()
            .find(|(known, _)| *known == version)
            .map(|(_, key)| &**key)
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
