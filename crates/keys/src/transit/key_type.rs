//! [`KeyType`]: what a service key is made for, and what can be done with it.

use serde::{Deserialize, Serialize};

use super::ecdsa::Curve;
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
    /// ChaCha20-Poly1305 with 192-bit nonces.
    #[serde(rename = "xchacha20-poly1305")]
    XChaCha20Poly1305,
    /// Ed25519 (RFC 8032).
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA over P-256.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA over P-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// ECDSA over P-521.
    #[serde(rename = "ecdsa-p521")]
    EcdsaP521,
    /// RSA with a modulus of 2,048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA with a modulus of 3,072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA with a modulus of 4,096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    /// HMAC alone, with a key of 32 to 512 bytes.
    #[serde(rename = "hmac")]
    Hmac,
    /// AES-CMAC (RFC 4493) with a key of 128 bits.
    #[serde(rename = "aes128-cmac")]
    Aes128Cmac,
    /// AES-CMAC with a key of 192 bits.
    #[serde(rename = "aes192-cmac")]
    Aes192Cmac,
    /// AES-CMAC with a key of 256 bits.
    #[serde(rename = "aes256-cmac")]
    Aes256Cmac,
}

/// What kind of mathematics a type is: what the parts of this module tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// An authenticated cipher with random nonces.
    Aead(Nonces),
    /// Signatures over an Edwards curve.
    Ed25519,
    /// Signatures over a curve of NIST's.
    Ecdsa(Curve),
    /// Encryption and signatures; the bytes of the modulus.
    Rsa(usize),
    /// Tags by a hash function.
    Hmac,
    /// Tags by a block cipher; the bytes of the key.
    Cmac(usize),
}

/// An authenticated cipher by its nonces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonces {
    /// Of 96 bits.
    Short(Algorithm),
    /// Of 192 bits: XChaCha20-Poly1305.
    Long,
}

impl KeyType {
    /// Every type.
    pub const ALL: [Self; 15] = [
        Self::Aes128Gcm96,
        Self::Aes256Gcm96,
        Self::ChaCha20Poly1305,
        Self::XChaCha20Poly1305,
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Hmac,
        Self::Aes128Cmac,
        Self::Aes192Cmac,
        Self::Aes256Cmac,
    ];

    /// Its name on the wire and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm96 => "aes128-gcm96",
            Self::Aes256Gcm96 => "aes256-gcm96",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::EcdsaP521 => "ecdsa-p521",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::Hmac => "hmac",
            Self::Aes128Cmac => "aes128-cmac",
            Self::Aes192Cmac => "aes192-cmac",
            Self::Aes256Cmac => "aes256-cmac",
        }
    }

    /// The type of that name; upper case is another name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its mathematics.
    pub const fn family(self) -> Family {
        match self {
            Self::Aes128Gcm96 => Family::Aead(Nonces::Short(Algorithm::Aes128Gcm)),
            Self::Aes256Gcm96 => Family::Aead(Nonces::Short(Algorithm::Aes256Gcm)),
            Self::ChaCha20Poly1305 => Family::Aead(Nonces::Short(Algorithm::ChaCha20Poly1305)),
            Self::XChaCha20Poly1305 => Family::Aead(Nonces::Long),
            Self::Ed25519 => Family::Ed25519,
            Self::EcdsaP256 => Family::Ecdsa(Curve::P256),
            Self::EcdsaP384 => Family::Ecdsa(Curve::P384),
            Self::EcdsaP521 => Family::Ecdsa(Curve::P521),
            Self::Rsa2048 => Family::Rsa(256),
            Self::Rsa3072 => Family::Rsa(384),
            Self::Rsa4096 => Family::Rsa(512),
            Self::Hmac => Family::Hmac,
            Self::Aes128Cmac => Family::Cmac(16),
            Self::Aes192Cmac => Family::Cmac(24),
            Self::Aes256Cmac => Family::Cmac(32),
        }
    }

    /// Encrypts, decrypts, and wraps DEKs.
    pub const fn encrypts(self) -> bool {
        matches!(self.family(), Family::Aead(_) | Family::Rsa(_))
    }

    /// Authenticates associated data with what it encrypts.
    pub const fn binds(self) -> bool {
        matches!(self.family(), Family::Aead(_))
    }

    /// Signs and verifies.
    pub const fn signs(self) -> bool {
        self.has_public()
    }

    /// Has a public half, which anybody may know.
    pub const fn has_public(self) -> bool {
        matches!(
            self.family(),
            Family::Ed25519 | Family::Ecdsa(_) | Family::Rsa(_)
        )
    }

    /// Keys for contexts can be derived from it.
    pub const fn derives(self) -> bool {
        matches!(self.family(), Family::Aead(_) | Family::Ed25519)
    }

    /// Can give equal ciphertexts for equal plaintexts.
    pub const fn converges(self) -> bool {
        self.binds()
    }

    /// Bytes of key material of a version, where the type alone says.
    pub const fn key_len(self) -> Option<usize> {
        match self.family() {
            Family::Aead(Nonces::Short(algorithm)) => Some(algorithm.key_len()),
            Family::Aead(Nonces::Long) => Some(32),
            Family::Cmac(len) => Some(len),
            Family::Ed25519 => Some(64),
            Family::Ecdsa(curve) => Some(curve.scalar_len()),
            Family::Rsa(_) | Family::Hmac => None,
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
        assert_eq!(KeyType::from_name("managed_key"), None);
        assert_eq!(KeyType::from_name(""), None);
    }
}
