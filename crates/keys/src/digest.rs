//! Hash functions by the names that the wire has for them.

use aws_lc_rs::digest;
use sha3::Digest as _;

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// SHA-1, for signatures and tags of old systems. No name of [`Digest::named`] leads to it.
    Sha1,
    /// SHA-224.
    Sha2_224,
    /// SHA-256.
    Sha2_256,
    /// SHA-384.
    Sha2_384,
    /// SHA-512.
    Sha2_512,
    /// SHA3-224.
    Sha3_224,
    /// SHA3-256.
    Sha3_256,
    /// SHA3-384.
    Sha3_384,
    /// SHA3-512.
    Sha3_512,
}

impl Digest {
    /// `sha2-256`, `sha3-512`, …
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sha2-224" => Self::Sha2_224,
            "sha2-256" => Self::Sha2_256,
            "sha2-384" => Self::Sha2_384,
            "sha2-512" => Self::Sha2_512,
            "sha3-224" => Self::Sha3_224,
            "sha3-256" => Self::Sha3_256,
            "sha3-384" => Self::Sha3_384,
            "sha3-512" => Self::Sha3_512,
            _ => return None,
        })
    }

    /// Bytes of a hash.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha2_224 | Self::Sha3_224 => 28,
            Self::Sha2_256 | Self::Sha3_256 => 32,
            Self::Sha2_384 | Self::Sha3_384 => 48,
            Self::Sha2_512 | Self::Sha3_512 => 64,
        }
    }

    /// The hash of `data`.
    pub fn of(self, data: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha2_224 => &digest::SHA224,
            Self::Sha2_256 => &digest::SHA256,
            Self::Sha2_384 => &digest::SHA384,
            Self::Sha2_512 => &digest::SHA512,
            Self::Sha3_256 => &digest::SHA3_256,
            Self::Sha3_384 => &digest::SHA3_384,
            Self::Sha3_512 => &digest::SHA3_512,
            // The one that AWS-LC's bindings lack.
            Self::Sha3_224 => return sha3::Sha3_224::digest(data).to_vec(),
        };
        digest::digest(algorithm, data).as_ref().to_vec()
    }
}

/// SHA-256 of what comes piece by piece.
pub struct Sha256(digest::Context);

impl Sha256 {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all pieces.
    pub fn finish(self) -> [u8; 32] {
        let mut hash = [0; 32];
        let whole = self.0.finish();
        for (to, from) in hash.iter_mut().zip(whole.as_ref()) {
            *to = *from;
        }
        hash
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_pieces_as_in_one() {
        let mut pieces = Sha256::new();
        for piece in [&b"key"[..], b"", b"fold"] {
            pieces.update(piece);
        }
        assert_eq!(pieces.finish().to_vec(), Digest::Sha2_256.of(b"keyfold"));
    }

    /// FIPS 180-4 and FIPS 202, of the empty text.
    #[test]
    fn published_values() {
        let table = [
            ("sha2-224", "d14a028c2a3a2bc9476102bb288234c4"),
            ("sha2-256", "e3b0c44298fc1c149afbf4c8996fb924"),
            ("sha2-384", "38b060a751ac96384cd9327eb1b1e36a"),
            ("sha2-512", "cf83e1357eefb8bdf1542850d66d8007"),
            ("sha3-224", "6b4e03423667dbb73b6e15454f0eb1ab"),
            ("sha3-256", "a7ffc6f8bf1ed76651c14756a061d662"),
            ("sha3-384", "0c63a75b845e4f7d01107d852e4c2485"),
            ("sha3-512", "a69f73cca23a9ac5c8b567dc185a756e"),
        ];
        for (name, start) in table {
            let sum = hex::encode(Digest::named(name).unwrap().of(b""));
            assert!(sum.starts_with(start), "{name} {sum}");
            let bits: usize = name[5..].parse().unwrap();
            assert_eq!(sum.len() * 4, bits, "{name}");
            assert_eq!(Digest::named(name).unwrap().size() * 8, bits);
        }
        assert_eq!(Digest::named("md5"), None);
        assert_eq!(Digest::named("sha1"), None);
        let sum = hex::encode(Digest::Sha1.of(b""));
        assert_eq!(sum, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    }
}
