//! [`Share`] and [`UnsealKey`]: what the operators hold, and the key it gives.

use keyfold_secret::{Protected, Secret};
use subtle::ConstantTimeEq;

use crate::aead::{self, Algorithm, NONCE_LEN};
use crate::error::{Error, ShareError};
use crate::hierarchy::{Wrapped, Wraps};
use crate::root_key::RootKey;
use crate::{rng, shamir};

/// Bytes of an unseal key.
pub const KEY_LEN: usize = 32;

const FORMAT: u8 = 1;
const SHARE_MIN: usize = 16;
const SHARE_MAX: usize = KEY_LEN + 1;

/// One operator's part of an unseal key, in protected pages: `y` bytes then the `x` byte, or, when
/// one share is all there is, the key itself.
pub struct Share {
    bytes: Protected<SHARE_MAX>,
    len: usize,
}

impl Share {
    /// Takes a share as an operator gave it, decoded from hex or base64.
    ///
    /// # Errors
    ///
    /// [`ShareError::Length`] unless it has 16 to 33 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if !(SHARE_MIN..=SHARE_MAX).contains(&bytes.len()) {
            return Err(ShareError::Length.into());
        }
        let copy = Protected::init_with(|own: &mut [u8; SHARE_MAX]| {
            for (to, from) in own.iter_mut().zip(bytes) {
                *to = *from;
            }
        });
        Ok(Self {
            bytes: copy,
            len: bytes.len(),
        })
    }

    /// The bytes to hand to the operator.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.expose().get(..self.len).unwrap_or_default()
    }

    /// Whether both are the same share, in a time that depends on the lengths alone.
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// The key that the shares give. It wraps the root key and nothing else, and lives only while it
/// does so.
pub struct UnsealKey(Protected<KEY_LEN>);

impl UnsealKey {
    /// A new random key.
    pub fn generate() -> Self {
        Self(Protected::init_with(|key| rng::fill(key)))
    }

    /// Splits the key into `shares`, of which `threshold` give it back. One share with threshold 1
    /// is the key itself.
    ///
    /// # Errors
    ///
    /// [`ShareError::Counts`] for other counts than 2 ≤ `threshold` ≤ `shares` or 1 of 1.
    pub fn split(&self, shares: u8, threshold: u8) -> Result<Vec<Share>, Error> {
        if (shares, threshold) == (1, 1) {
            return Ok(vec![Share::from_bytes(self.0.expose())?]);
        }
        shamir::split(self.0.expose(), shares, threshold)?
            .iter()
            .map(|share| Share::from_bytes(share.expose()))
            .collect()
    }

    /// The key that two or more shares give: a wrong one, without notice, when they are too few,
    /// changed, or of different sets.
    ///
    /// # Errors
    ///
    /// [`Error::Share`] when they can't be of one set, [`Error::WrongKey`] when what they give is
    /// not 32 bytes long.
    pub fn from_shares(shares: &[Share]) -> Result<Self, Error> {
        let shares: Vec<&[u8]> = shares.iter().map(Share::as_bytes).collect();
        Self::from_bytes(shamir::combine(&shares)?.expose())
    }

    /// The key that the only share is, where the threshold is 1.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKey`] when it is not 32 bytes long.
    pub fn from_share_of_one(share: &Share) -> Result<Self, Error> {
        Self::from_bytes(share.as_bytes())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let bytes: &[u8; KEY_LEN] = bytes.try_into().map_err(|_| Error::WrongKey)?;
        Ok(Self(Protected::init_with(|key| key.copy_from_slice(bytes))))
    }

    fn cipher(&self) -> Result<aead::Key, Error> {
        aead::Key::new(Algorithm::Aes256Gcm, self.0.expose())
    }
}

/// `format 1 | nonce 12 | ciphertext 32 | tag 16`, AES-256-GCM, AAD = format ‖ storage key. The
/// nonce is random: an unseal key wraps a root key a few times in its life.
impl Wraps<RootKey> for UnsealKey {
    type Context<'a> = &'a [u8];

    fn wrap(&self, child: &RootKey, context: &[u8]) -> Result<Wrapped<RootKey>, Error> {
        let nonce = rng::bytes();
        let mut sealed = child.as_bytes().to_vec();
        self.cipher()?.seal(nonce, &aad(context), &mut sealed)?;
        Ok(Wrapped::from_bytes(
            [&[FORMAT], nonce.as_slice(), &sealed].concat(),
        ))
    }

    fn unwrap(&self, wrapped: &Wrapped<RootKey>, context: &[u8]) -> Result<RootKey, Error> {
        let Some((&[FORMAT], rest)) = wrapped.as_bytes().split_first_chunk() else {
            return Err(Error::Malformed("wrapped root key"));
        };
        let Some((nonce, sealed)) = rest.split_first_chunk::<NONCE_LEN>() else {
            return Err(Error::Malformed("wrapped root key"));
        };
        let mut sealed = Secret::new(sealed.to_vec());
        let key = self
            .cipher()?
            .open(*nonce, &aad(context), sealed.expose_mut())?;
        RootKey::from_bytes(key)
    }
}

fn aad(context: &[u8]) -> Vec<u8> {
    [&[FORMAT], context].concat()
}
