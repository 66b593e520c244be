//! [`RootKey`]: wraps the keyring, and nothing else.

use keyfold_secret::{Protected, Secret};

use crate::error::Error;
use crate::hierarchy::{Wrapped, Wraps};
use crate::keyring::Keyring;
use crate::{message, rng, xaes};

const FORMAT: [u8; 1] = [1];

/// 32 random bytes at the top of a server's keys. Each seal keeps it wrapped in its own way.
pub struct RootKey(Protected<{ xaes::KEY_LEN }>);

impl RootKey {
    /// A new random key.
    pub fn generate() -> Self {
        Self(Protected::init_with(|key| rng::fill(key)))
    }

    /// Whether both are the same key; in constant time.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0)
    }

    /// For the seals of this crate, which wrap and unwrap it.
    pub(crate) fn as_bytes(&self) -> &[u8; xaes::KEY_LEN] {
        self.0.expose()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let bytes: &[u8; xaes::KEY_LEN] =
            bytes.try_into().map_err(|_| Error::Malformed("root key"))?;
        Ok(Self(Protected::init_with(|key| key.copy_from_slice(bytes))))
    }

    fn cipher(&self) -> xaes::Key {
        xaes::Key::new(self.0.expose())
    }
}

/// `format 1 | nonce 24 | ciphertext | tag 16`, XAES-256-GCM, AAD = format ‖ storage key.
impl Wraps<Keyring> for RootKey {
    type Context<'a> = &'a [u8];

    fn wrap(&self, child: &Keyring, context: &[u8]) -> Result<Wrapped<Keyring>, Error> {
        let json: Secret<Vec<u8>> = child.to_json();
        message::seal(&self.cipher(), &FORMAT, &[context], json.expose()).map(Wrapped::from_bytes)
    }

    fn unwrap(&self, wrapped: &Wrapped<Keyring>, context: &[u8]) -> Result<Keyring, Error> {
        let Some((&FORMAT, _)) = wrapped.as_bytes().split_first_chunk() else {
            return Err(Error::Malformed("wrapped keyring"));
        };
        let json = message::open(&self.cipher(), FORMAT.len(), &[context], wrapped.as_bytes())?;
        Keyring::from_json(json.expose())
    }
}
