//! [`Kdf`]: how keys for contexts are derived.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::kdf::{hkdf_sha256, hmac_sha256};

/// A key derivation function, by its number in backups of existing servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kdf {
    /// 1: HKDF-SHA-256 (RFC 5869) without salt, the context as info. What new keys have.
    #[default]
    #[serde(rename = "hkdf_sha256")]
    Hkdf,
    /// 0: one round of HMAC-SHA-256 in counter mode (SP 800-108), which gives 32 bytes. Only keys
    /// from backups have it.
    #[serde(rename = "hmac-sha256-counter")]
    Counter,
}

impl Kdf {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hkdf => "hkdf_sha256",
            Self::Counter => "hmac-sha256-counter",
        }
    }

    /// Derives a key of the length of `out`.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when it is longer than the function gives.
    pub fn derive(self, key: &[u8], context: &[u8], out: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::Hkdf => hkdf_sha256(key, &[context], out),
            Self::Counter => {
                let bits = 256_u32.to_be_bytes();
                let input = [&0_u32.to_be_bytes()[..], context, &bits].concat();
                let derived = hmac_sha256(key, &input);
                let derived = derived.get(..out.len()).ok_or(Error::Exhausted)?;
                out.copy_from_slice(derived);
                Ok(())
            }
        }
    }
}
