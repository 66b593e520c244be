//! [`ServiceKey`]: one version of a service's key; [`ServiceCipher`]: the same, ready to encrypt.

use keyfold_secret::{Protected, Secret};

use super::KeyType;
use crate::aead::{self, NONCE_LEN, TAG_LEN};
use crate::error::Error;
use crate::{kdf, rng};

/// Bytes of the longest material of a [`KeyType`].
const MAX_LEN: usize = 32;

/// One version of a service's key: its material, in protected pages.
pub struct ServiceKey {
    kind: KeyType,
    /// The first [`KeyType::key_len`] bytes count.
    material: Protected<MAX_LEN>,
}

impl ServiceKey {
    /// A new random key.
    pub fn generate(kind: KeyType) -> Self {
        let material = Protected::init_with(|bytes| rng::fill(key_part(kind, bytes)));
        Self { kind, material }
    }

    /// The key with this material.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is not [`KeyType::key_len`] bytes long.
    pub fn from_bytes(kind: KeyType, material: &[u8]) -> Result<Self, Error> {
        if material.len() != kind.key_len() {
            return Err(Error::Malformed("service key"));
        }
        let material = Protected::init_with(|bytes| {
            key_part(kind, bytes).copy_from_slice(material);
        });
        Ok(Self { kind, material })
    }

    /// What it is made for.
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// The material, to be stored under a DEK.
    pub fn expose(&self) -> &[u8] {
        self.material
            .expose()
            .get(..self.kind.key_len())
            .unwrap_or_default()
    }

    /// The cipher of the key itself.
    ///
    /// # Errors
    ///
    /// None in practice: the length was checked when the key was made.
    pub fn cipher(&self) -> Result<ServiceCipher, Error> {
        aead::Key::new(self.kind.algorithm(), self.expose()).map(ServiceCipher)
    }

    /// The cipher of the key derived for a context, by HKDF-SHA-256 without salt and with the
    /// context as info. Whether the key is used so is a setting of the service's key.
    ///
    /// # Errors
    ///
    /// As [`ServiceKey::cipher`].
    pub fn derive(&self, context: &[u8]) -> Result<ServiceCipher, Error> {
        let mut derived = Secret::new([0; MAX_LEN]);
        let derived = key_part(self.kind, derived.expose_mut());
        kdf::hkdf_sha256(self.expose(), &[context], derived)?;
        aead::Key::new(self.kind.algorithm(), derived).map(ServiceCipher)
    }
}

/// A version of a key, ready for the calls of one request. Its round keys lie in ordinary memory
/// until it is dropped, so it is made for each request and not kept; that costs a fraction of a
/// microsecond.
pub struct ServiceCipher(aead::Key);

impl ServiceCipher {
    /// Encrypts under a fresh random nonce: `nonce 12 | ciphertext | tag 16`.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] for a plaintext of 64 GiB or more.
    pub fn encrypt(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let nonce = rng::bytes::<NONCE_LEN>();
        let mut sealed = Vec::with_capacity(NONCE_LEN + plaintext.len() + TAG_LEN);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let body = sealed.get_mut(NONCE_LEN..).unwrap_or_default();
        let tag = self.0.seal_detached(nonce, aad, body)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Decrypts what [`ServiceCipher::encrypt`] gave.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is shorter than a nonce; [`Error::WrongKey`] when it does not
    /// authenticate under this key and this `aad`.
    pub fn decrypt(&self, aad: &[u8], sealed: Vec<u8>) -> Result<Secret<Vec<u8>>, Error> {
        let mut sealed = Secret::new(sealed);
        let buffer = sealed.expose_mut();
        let (nonce, body) = buffer
            .split_first_chunk_mut::<NONCE_LEN>()
            .ok_or(Error::Malformed("ciphertext"))?;
        let length = self.0.open(*nonce, aad, body)?.len();
        buffer.copy_within(NONCE_LEN..NONCE_LEN + length, 0);
        buffer.truncate(length);
        Ok(sealed)
    }
}

/// The bytes of the longest key that a key of this type uses.
fn key_part(kind: KeyType, bytes: &mut [u8; MAX_LEN]) -> &mut [u8] {
    bytes.get_mut(..kind.key_len()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXTS: [&[u8]; 3] = [b"", b"a", b"another"];

    #[test]
    fn round_trip() {
        for kind in KeyType::ALL {
            let cipher = ServiceKey::generate(kind).cipher().unwrap();
            for plaintext in [&b""[..], b"a", &[7; 100_000]] {
                let sealed = cipher.encrypt(b"aad", plaintext).unwrap();
                assert_eq!(sealed.len(), plaintext.len() + NONCE_LEN + TAG_LEN);
                assert_ne!(sealed, cipher.encrypt(b"aad", plaintext).unwrap());
                assert_eq!(cipher.decrypt(b"aad", sealed).unwrap().expose(), plaintext);
            }
        }
    }

    #[test]
    fn every_changed_bit_is_refused() {
        let cipher = ServiceKey::generate(KeyType::default()).cipher().unwrap();
        let sealed = cipher.encrypt(b"aad", b"hello").unwrap();
        for at in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert_eq!(
                cipher.decrypt(b"aad", changed).err(),
                Some(Error::WrongKey),
                "bit {at}"
            );
        }
        assert_eq!(cipher.decrypt(b"", sealed).err(), Some(Error::WrongKey));
    }

    #[test]
    fn what_is_too_short_is_refused() {
        let cipher = ServiceKey::generate(KeyType::default()).cipher().unwrap();
        for length in 0..NONCE_LEN + TAG_LEN {
            let error = cipher.decrypt(b"", vec![0; length]).err();
            let malformed = length < NONCE_LEN;
            let expected = if malformed {
                Error::Malformed("ciphertext")
            } else {
                Error::WrongKey
            };
            assert_eq!(error, Some(expected), "{length}");
        }
    }

    #[test]
    fn contexts_and_keys_are_apart() {
        for kind in KeyType::ALL {
            let key = ServiceKey::generate(kind);
            for one in CONTEXTS {
                let sealed = key.derive(one).unwrap().encrypt(b"", b"hello").unwrap();
                for other in CONTEXTS {
                    let opened = key.derive(other).unwrap().decrypt(b"", sealed.clone());
                    assert_eq!(opened.is_ok(), one == other);
                }
                assert!(key.cipher().unwrap().decrypt(b"", sealed.clone()).is_err());
                let stranger = ServiceKey::generate(kind);
                assert!(stranger.derive(one).unwrap().decrypt(b"", sealed).is_err());
            }
        }
    }

    #[test]
    fn material_has_the_length_of_its_type() {
        for kind in KeyType::ALL {
            let key = ServiceKey::generate(kind);
            assert_eq!(key.expose().len(), kind.key_len());
            let again = ServiceKey::from_bytes(kind, key.expose()).unwrap();
            assert_eq!(again.expose(), key.expose());
            for wrong in [0, kind.key_len() - 1, kind.key_len() + 1] {
                assert!(ServiceKey::from_bytes(kind, &vec![1; wrong]).is_err());
            }
        }
    }
}
