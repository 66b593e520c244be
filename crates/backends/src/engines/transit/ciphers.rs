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
            return Err(Error::bad(
                "missing 'context' for key derivation; the key was created using a derived key, \
                 which means additional, per-request information must be included in order to \
                 perform operations with the key",
            ));
        }
        let ready = match self.ready.take() {
            Some(ready) if ready.version == version && ready.context == context => ready,
            _ => {
                let key = self
                    .version(version)
                    .ok_or(Error::Bug("a version is not loaded"))?;
                let cipher = if self.settings.derived {
                    key.derive(context)
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

    fn version(&self, version: u32) -> Option<&ServiceKey> {
        self.versions
            .iter()
            .find(|(known, _)| *known == version)
            .map(|(_, key)| &**key)
    }
}
