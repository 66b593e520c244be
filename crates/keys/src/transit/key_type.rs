//! [`KeyType`]: what a service key is made for, and what can be done with it.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ecdsa::Curve;
use super::hybrid::CurveHalf;
use super::ml_dsa::{self, ParameterSet};
use crate::aead::Algorithm;
use crate::kem::Kem;

/// The type of a service key. All its versions have the same. In records it is its
/// [full name](KeyType::full_name).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyType {
    /// AES-128-GCM with 96-bit nonces.
    Aes128Gcm96,
    /// AES-256-GCM with 96-bit nonces: what a key is when nobody says.
    #[default]
    Aes256Gcm96,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
    /// ChaCha20-Poly1305 with 192-bit nonces.
    XChaCha20Poly1305,
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA over P-256.
    EcdsaP256,
    /// ECDSA over P-384.
    EcdsaP384,
    /// ECDSA over P-521.
    EcdsaP521,
    /// RSA with a modulus of 2,048 bits.
    Rsa2048,
    /// RSA with a modulus of 3,072 bits.
    Rsa3072,
    /// RSA with a modulus of 4,096 bits.
    Rsa4096,
    /// HMAC alone, with a key of 32 to 512 bytes.
    Hmac,
    /// AES-CMAC (RFC 4493) with a key of 128 bits.
    Aes128Cmac,
    /// AES-CMAC with a key of 192 bits.
    Aes192Cmac,
    /// AES-CMAC with a key of 256 bits.
    Aes256Cmac,
    /// ML-DSA (FIPS 204).
    MlDsa(ParameterSet),
    /// ML-DSA and a signature over a curve at once, which both have to verify.
    Hybrid(ParameterSet, CurveHalf),
    /// ML-KEM-768 (FIPS 203), and AES-256-GCM under what it shares.
    MlKem768,
    /// X-Wing, ML-KEM-768 with X25519, and AES-256-GCM under what it shares.
    XWing,
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
    /// Signatures over lattices.
    MlDsa(ParameterSet),
    /// Two signatures at once.
    Hybrid(ParameterSet, CurveHalf),
    /// Encryption to the holder of a private key, by a secret shared with him.
    Kem(Kem),
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
    pub fn all() -> impl Iterator<Item = Self> {
        let hybrids = |set| CurveHalf::ALL.map(|curve| Self::Hybrid(set, curve));
        let sets = ParameterSet::ALL.into_iter();
        Self::PLAIN
            .into_iter()
            .chain(sets.clone().map(Self::MlDsa))
            .chain(sets.flat_map(hybrids))
    }

    /// Those whose name says all.
    const PLAIN: [Self; 17] = [
        Self::Aes256Gcm96,
        Self::Aes128Gcm96,
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
        Self::MlKem768,
        Self::XWing,
    ];

    /// Its name on the wire. Of ML-DSA and of hybrids it does not say all: see
    /// [`KeyType::parameter_set`] and [`KeyType::curve_half`].
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
            Self::MlDsa(_) => "ml-dsa",
            Self::Hybrid(..) => "hybrid",
            Self::MlKem768 => "ml-kem-768",
            Self::XWing => "x-wing",
        }
    }

    /// The type of that name, where a name says all; upper case is another name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::PLAIN.into_iter().find(|kind| kind.name() == name)
    }

    /// The name that says all: `ml-dsa-65`, `hybrid-65-ecdsa-p256`, and else the one on the wire.
    pub fn full_name(self) -> Cow<'static, str> {
        match self {
            Self::MlDsa(set) => format!("ml-dsa-{}", set.name()).into(),
            Self::Hybrid(set, curve) => format!("hybrid-{}-{}", set.name(), curve.name()).into(),
            _ => self.name().into(),
        }
    }

    /// The parameter set of ML-DSA, where it is in it.
    pub const fn parameter_set(self) -> Option<ParameterSet> {
        match self {
            Self::MlDsa(set) | Self::Hybrid(set, _) => Some(set),
            _ => None,
        }
    }

    /// The half over a curve of a hybrid.
    pub const fn curve_half(self) -> Option<CurveHalf> {
        match self {
            Self::Hybrid(_, curve) => Some(curve),
            _ => None,
        }
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
            Self::MlDsa(set) => Family::MlDsa(set),
            Self::Hybrid(set, curve) => Family::Hybrid(set, curve),
            Self::MlKem768 => Family::Kem(Kem::MlKem768),
            Self::XWing => Family::Kem(Kem::XWing),
        }
    }

    /// A cipher whose key is bytes that both sides have.
    pub const fn is_symmetric(self) -> bool {
        matches!(self.family(), Family::Aead(_))
    }

    /// Encrypts, decrypts, and wraps DEKs.
    pub const fn encrypts(self) -> bool {
        matches!(
            self.family(),
            Family::Aead(_) | Family::Rsa(_) | Family::Kem(_)
        )
    }

    /// Authenticates associated data with what it encrypts.
    pub const fn binds(self) -> bool {
        matches!(self.family(), Family::Aead(_) | Family::Kem(_))
    }

    /// Signs and verifies.
    pub const fn signs(self) -> bool {
        self.has_public() && !matches!(self.family(), Family::Kem(_))
    }

    /// Has a public half, which anybody may know.
    pub const fn has_public(self) -> bool {
        !matches!(
            self.family(),
            Family::Aead(_) | Family::Hmac | Family::Cmac(_)
        )
    }

    /// Keys for contexts can be derived from it.
    pub const fn derives(self) -> bool {
        matches!(self.family(), Family::Aead(_) | Family::Ed25519)
    }

    /// Can give equal ciphertexts for equal plaintexts.
    pub const fn converges(self) -> bool {
        self.is_symmetric()
    }

    /// Bytes of key material of a version, where the type alone says.
    pub const fn key_len(self) -> Option<usize> {
        match self.family() {
            Family::Aead(Nonces::Short(algorithm)) => Some(algorithm.key_len()),
            Family::Aead(Nonces::Long) => Some(32),
            Family::Cmac(len) => Some(len),
            Family::Ed25519 => Some(64),
            Family::Ecdsa(curve) => Some(curve.scalar_len()),
            Family::MlDsa(_) => Some(ml_dsa::SEED_LEN),
            Family::Hybrid(_, CurveHalf::Ed25519) => Some(ml_dsa::SEED_LEN + 64),
            Family::Hybrid(_, CurveHalf::EcdsaP256) => Some(ml_dsa::SEED_LEN + 32),
            Family::Hybrid(_, CurveHalf::EcdsaP384) => Some(ml_dsa::SEED_LEN + 48),
            Family::Hybrid(_, CurveHalf::EcdsaP521) => Some(ml_dsa::SEED_LEN + 66),
            Family::Kem(kem) => Some(kem.seed_len()),
            Family::Rsa(_) | Family::Hmac => None,
        }
    }
}

impl Serialize for KeyType {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.full_name())
    }
}

impl<'de> Deserialize<'de> for KeyType {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = Cow::<'de, str>::deserialize(from)?;
        Self::from_name(&name)
            .or_else(|| Self::all().find(|kind| kind.full_name() == name))
            .ok_or_else(|| de::Error::custom("unknown key type"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        assert_eq!(KeyType::all().count(), 17 + 3 + 12);
        for kind in KeyType::all() {
            let full = kind.full_name();
            let plain = full == kind.name();
            assert_eq!(KeyType::from_name(kind.name()), plain.then_some(kind));
            assert_eq!(KeyType::from_name(&kind.name().to_uppercase()), None);
            let in_records = serde_json::to_string(&kind).unwrap();
            assert_eq!(in_records, format!("\"{full}\""));
            assert_eq!(serde_json::from_str::<KeyType>(&in_records).unwrap(), kind);
            assert_eq!(plain, kind.parameter_set().is_none());
        }
        for none in ["managed_key", "", "ml-dsa", "ml-dsa-44", "hybrid"] {
            assert_eq!(KeyType::from_name(none), None);
        }
        for none in ["\"ml-dsa\"", "\"hybrid-44\"", "\"\"", "5"] {
            assert!(serde_json::from_str::<KeyType>(none).is_err());
        }
    }

    #[test]
    fn the_half_of_a_hybrid_is_as_long_as_alone() {
        for kind in KeyType::all() {
            if let KeyType::Hybrid(set, curve) = kind {
                let halves = [KeyType::MlDsa(set), curve.kind()];
                let both = halves.iter().filter_map(|half| half.key_len()).sum();
                assert_eq!(kind.key_len(), Some(both));
            }
        }
    }
}
