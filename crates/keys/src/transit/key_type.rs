//! [`KeyType`]: what a service key is made for.

use serde::{Deserialize, Serialize};

use crate::aead::Algorithm;

/// The type of a service key. All its versions have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum KeyType {
    /// AES-128-GCM with 96-bit nonces.
    #[serde(rename = "aes128-gcm96")]
    Aes128Gcm96,
    /// AES-256-GCM with 96-bit nonces: what a key is when nobody says.
    #[default]
    #[serde(rename = "aes256-gcm96")]
    Aes256Gcm96,
    /// ChaCha20-Poly1305 (RFC 8439).
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

impl KeyType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Aes128Gcm96, Self::Aes256Gcm96, Self::ChaCha20Poly1305];

    /// Its name on the wire and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm96 => "aes128-gcm96",
            Self::Aes256Gcm96 => "aes256-gcm96",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    /// The type of that name; upper case is another name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Bytes of key material of a version.
    pub const fn key_len(self) -> usize {
        self.algorithm().key_len()
    }

    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::Aes128Gcm96 => Algorithm::Aes128Gcm,
            Self::Aes256Gcm96 => Algorithm::Aes256Gcm,
            Self::ChaCha20Poly1305 => Algorithm::ChaCha20Poly1305,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for kind in KeyType::ALL {
            assert_eq!(KeyType::from_name(kind.name()), Some(kind));
            assert_eq!(KeyType::from_name(&kind.name().to_uppercase()), None);
            let in_records = serde_json::to_string(&kind).unwrap();
            assert_eq!(in_records, format!("\"{}\"", kind.name()));
        }
        assert_eq!(KeyType::from_name("rsa-2048"), None);
        assert_eq!(KeyType::from_name(""), None);
    }
}
