//! [`MemoryKeys`]: a key service within this process.

use std::sync::{PoisonError, RwLock};

use keyfold_keys::aead::{Algorithm, Key, NONCE_LEN};
use keyfold_keys::rng;
use keyfold_secret::{Protected, Secret};

use crate::key_service::{
    Aad, KeyService, KeyVersions, RewrapItem, RewrapOutcome, ServiceError, WrappedDek,
};
use crate::locator::Locator;

/// KEKs that live in this process and end with it, in the place of a server's: for the tests and examples of programs
/// that encrypt. Each locator names the same key. What it wraps is as a transit key of type `aes256-gcm96` wraps it.
pub struct MemoryKeys {
    versions: RwLock<Vec<Protected<32>>>,
}

impl MemoryKeys {
    /// A random key of one version.
    #[must_use]
    pub fn new() -> Self {
        Self {
            versions: RwLock::new(vec![random_key()]),
        }
    }

    /// Adds a version, which wraps from now on.
    pub fn rotate(&self) {
        let mut versions = self
            .versions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        versions.push(random_key());
    }

    fn latest(&self) -> u32 {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        u32::try_from(versions.len()).unwrap_or(u32::MAX)
    }

    /// The key of one version, ready for use.
    fn version(&self, version: u32) -> Result<Key, ServiceError> {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        let index = version
            .checked_sub(1)
            .and_then(|index| usize::try_from(index).ok());
        let key = index.and_then(|index| versions.get(index));
        let key = key.ok_or(ServiceError::WrongKey)?;
        Key::new(Algorithm::Aes256Gcm, key.expose()).map_err(|_| ServiceError::WrongKey)
    }

    fn seal(&self, dek: &[u8], aad: Option<&Aad>) -> Result<WrappedDek, ServiceError> {
        let (version, nonce) = (self.latest(), rng::bytes::<NONCE_LEN>());
        let mut body = dek.to_vec();
        let sealed = self.version(version)?.seal(nonce, bytes(aad), &mut body);
        sealed.map_err(|error| ServiceError::Other(error.to_string()))?;
        let blob = [&nonce[..], &body].concat();
        Ok(WrappedDek { version, blob })
    }

    fn open(
        &self,
        wrapped: &WrappedDek,
        aad: Option<&Aad>,
    ) -> Result<Secret<Vec<u8>>, ServiceError> {
        let parts = wrapped.blob.split_first_chunk::<NONCE_LEN>();
        let (nonce, body) = parts.ok_or(ServiceError::WrongKey)?;
        let mut body = Secret::new(body.to_vec());
        let key = self.version(wrapped.version)?;
        let opened = key.open(*nonce, bytes(aad), body.expose_mut());
        let len = opened.map_err(|_| ServiceError::WrongKey)?.len();
        body.expose_mut().truncate(len);
        Ok(body)
    }
}

impl Default for MemoryKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyService for MemoryKeys {
    fn wrap(
        &self,
        _: &Locator,
        dek: &Protected<32>,
        aad: Option<&Aad>,
    ) -> Result<WrappedDek, ServiceError> {
        self.seal(dek.expose(), aad)
    }

    fn unwrap(
        &self,
        _: &Locator,
        wrapped: &WrappedDek,
        aad: Option<&Aad>,
    ) -> Result<Protected<32>, ServiceError> {
        let opened = self.open(wrapped, aad)?;
        let dek: &[u8; 32] = opened
            .expose()
            .as_slice()
            .try_into()
            .map_err(|_| ServiceError::WrongKey)?;
        Ok(Protected::init_with(|bytes| bytes.copy_from_slice(dek)))
    }

    fn rewrap(
        &self,
        _: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        let rewrap = |item: &RewrapItem| {
            let dek = self.open(&item.wrapped, item.aad.as_ref())?;
            if item.wrapped.version == self.latest() {
                return Ok(item.wrapped.clone());
            }
            self.seal(dek.expose(), item.aad.as_ref())
        };
        Ok(items.iter().map(rewrap).collect())
    }

    fn versions(&self, _: &Locator) -> Result<Option<KeyVersions>, ServiceError> {
        Ok(Some(KeyVersions {
            latest: self.latest(),
            min_decryption: 1,
        }))
    }

    fn binds_aad(&self) -> bool {
        true
    }

    fn cluster_id(&self) -> Result<String, ServiceError> {
        Ok("memory".to_owned())
    }
}

fn random_key() -> Protected<32> {
    Protected::init_with(|key| rng::fill(key))
}

fn bytes(aad: Option<&Aad>) -> &[u8] {
    aad.map_or(&[], |aad| &aad[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_and_moves_to_the_newest_version() {
        let (keys, locator) = (MemoryKeys::new(), "transit/payments".parse().unwrap());
        let dek = Protected::init_with(|dek| dek.fill(7));
        let aad = Some([1; 32]);
        let first = keys.wrap(&locator, &dek, aad.as_ref()).unwrap();
        keys.rotate();
        let item = RewrapItem {
            wrapped: first.clone(),
            aad,
        };
        let moved = keys.rewrap(&locator, &[item]).unwrap().remove(0).unwrap();
        assert_eq!((first.version, moved.version, moved.blob.len()), (1, 2, 60));
        for wrapped in [&first, &moved] {
            let opened = keys.unwrap(&locator, wrapped, aad.as_ref()).unwrap();
            assert!(opened.ct_eq(&dek));
            let unbound = keys.unwrap(&locator, wrapped, None);
            assert!(matches!(unbound, Err(ServiceError::WrongKey)));
        }
        let unknown = WrappedDek {
            version: 3,
            ..moved
        };
        assert!(keys.unwrap(&locator, &unknown, aad.as_ref()).is_err());
    }
}
