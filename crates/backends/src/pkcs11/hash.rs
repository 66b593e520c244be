//! Hash functions as PKCS#11 has them.

use cryptoki::mechanism::MechanismType;
use cryptoki::mechanism::rsa::PkcsMgfType;
use keyfold_keys::digest::Digest;

/// The hash of OAEP or PSS, and of its mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    const ALL: [(Self, &str, u8); 5] = [
        (Self::Sha1, "sha1", 2),
        (Self::Sha224, "sha224", 3),
        (Self::Sha256, "sha256", 4),
        (Self::Sha384, "sha384", 5),
        (Self::Sha512, "sha512", 6),
    ];

    /// `sha256`, `SHA-256`, …
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase().replace('-', "");
        Self::ALL.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        let row = Self::ALL.iter().find(|row| row.0 == self);
        row.map_or("", |row| row.1)
    }

    /// The first byte of what a seal wrapped with it.
    pub(crate) fn byte(self) -> u8 {
        let row = Self::ALL.iter().find(|row| row.0 == self);
        row.map_or(0, |row| row.2)
    }

    pub(crate) fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.iter().find(|row| row.2 == byte).map(|row| row.0)
    }

    /// That of a signature; none for SHA-3, whose masks the standard's older versions do not know.
    pub(crate) fn of_digest(digest: Digest) -> Option<Self> {
        match digest {
            Digest::Sha1 => Some(Self::Sha1),
            Digest::Sha2_224 => Some(Self::Sha224),
            Digest::Sha2_256 => Some(Self::Sha256),
            Digest::Sha2_384 => Some(Self::Sha384),
            Digest::Sha2_512 => Some(Self::Sha512),
            Digest::Sha3_224 | Digest::Sha3_256 | Digest::Sha3_384 | Digest::Sha3_512 => None,
        }
    }

    /// Bytes of a hash.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub(crate) fn parts(self) -> (MechanismType, PkcsMgfType) {
        match self {
            Self::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
            Self::Sha224 => (MechanismType::SHA224, PkcsMgfType::MGF1_SHA224),
            Self::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
            Self::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
            Self::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
        }
    }
}
