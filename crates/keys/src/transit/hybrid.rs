//! Hybrid signatures: one of ML-DSA and one over a curve, which both have to verify. Whoever breaks
//! one of the two only forges nothing.
//!
//! ```text
//!   message  = "keyfold/hybrid/1/ml-dsa-<set>/<curve>" | 0x00 | input
//!   signature = ML-DSA of the message, as long as the set has it | of the curve, of the same message
//!   private  = seed of ML-DSA 32 | private key of the curve
//!   public   = public key of ML-DSA, as long as the set has it | of the curve
//! ```
//!
//! What stands before the input keeps the halves together: neither is a signature of the input by
//! itself, nor one of another pair.

use super::ml_dsa::{self, ParameterSet};
use super::{KeyType, Scheme, signature};
use crate::error::Error;

/// The half over a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurveHalf {
    /// Ed25519.
    Ed25519,
    /// ECDSA over P-256.
    EcdsaP256,
    /// ECDSA over P-384.
    EcdsaP384,
    /// ECDSA over P-521.
    EcdsaP521,
}

impl CurveHalf {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
    ];

    /// The type that it is by itself.
    pub const fn kind(self) -> KeyType {
        match self {
            Self::Ed25519 => KeyType::Ed25519,
            Self::EcdsaP256 => KeyType::EcdsaP256,
            Self::EcdsaP384 => KeyType::EcdsaP384,
            Self::EcdsaP521 => KeyType::EcdsaP521,
        }
    }

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        self.kind().name()
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|half| half.name() == name)
    }
}

/// The halves of a private key.
pub(super) fn private(material: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let halves = material.split_at_checked(ml_dsa::SEED_LEN);
    halves.ok_or(Error::Malformed("private key"))
}

/// The halves of a public key.
pub(super) fn public(set: ParameterSet, public: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let halves = public.split_at_checked(set.public_len());
    halves.ok_or(Error::Malformed("public key"))
}

/// Signs an input.
pub(super) fn sign(
    (set, curve): (ParameterSet, CurveHalf),
    material: &[u8],
    key: &[u8],
    input: &[u8],
    scheme: &Scheme,
) -> Result<Vec<u8>, Error> {
    let message = message(set, curve, input);
    let (seed, private) = private(material)?;
    let (_, point) = public(set, key)?;
    let mut both = ml_dsa::sign(set, seed, &message)?;
    both.extend(signature::sign(
        curve.kind(),
        private,
        point,
        &message,
        scheme,
    )?);
    Ok(both)
}

/// Whether both halves of a signature are of the input. Both are looked at, whatever the first is.
pub(super) fn verify(
    (set, curve): (ParameterSet, CurveHalf),
    key: &[u8],
    input: &[u8],
    scheme: &Scheme,
    both: &[u8],
) -> Result<bool, Error> {
    let message = message(set, curve, input);
    let (lattice, point) = public(set, key)?;
    let halves = both.split_at_checked(set.signature_len());
    let (first, second) = halves.ok_or(Error::Malformed("signature"))?;
    let first = ml_dsa::verify(set, lattice, &message, first);
    let second = signature::verify(curve.kind(), point, &message, scheme, second)?;
    Ok(first && second)
}

fn message(set: ParameterSet, curve: CurveHalf, input: &[u8]) -> Vec<u8> {
    let (set, curve) = (set.name(), curve.name());
    let label = format!("keyfold/hybrid/1/ml-dsa-{set}/{curve}\0");
    [label.as_bytes(), input].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::transit::{Padding, Salt, ServiceKey};

    const SCHEME: Scheme = Scheme {
        hash: Some(Digest::Sha2_256),
        prehashed: false,
        padding: Padding::Pss(Salt::Auto),
        side_by_side: false,
    };

    #[test]
    fn both_halves_count() {
        let set = ParameterSet::MlDsa44;
        for curve in CurveHalf::ALL {
            let pair = (set, curve);
            let key = ServiceKey::generate(KeyType::Hybrid(set, curve), 0).unwrap();
            let made = || sign(pair, key.expose(), key.public(), b"input", &SCHEME).unwrap();
            let valid =
                |input: &[u8], both: &[u8]| verify(pair, key.public(), input, &SCHEME, both);
            let (one, two) = (made(), made());
            assert!(valid(b"input", &one).unwrap());
            assert!(!valid(b"other", &one).unwrap());
            let (lattice, point) = (&one[..set.signature_len()], &two[set.signature_len()..]);
            assert!(
                valid(b"input", &[lattice, point].concat()).unwrap(),
                "halves of two signatures of one input"
            );
            let mut changed = one.clone();
            changed[100] ^= 1;
            assert!(!valid(b"input", &changed).unwrap(), "the first half");
            let other = ServiceKey::generate(KeyType::Hybrid(set, curve), 0).unwrap();
            let foreign = sign(pair, other.expose(), other.public(), b"input", &SCHEME).unwrap();
            let mixed = [lattice, &foreign[set.signature_len()..]].concat();
            assert!(!valid(b"input", &mixed).unwrap(), "the second half");
            assert!(valid(b"input", &one[..100]).is_err());
        }
    }

    /// Neither half is a signature of the input by itself.
    #[test]
    fn halves_stay_together() {
        let (set, curve) = (ParameterSet::MlDsa65, CurveHalf::Ed25519);
        let key = ServiceKey::generate(KeyType::Hybrid(set, curve), 0).unwrap();
        let both = sign((set, curve), key.expose(), key.public(), b"input", &SCHEME);
        let both = both.unwrap();
        let (lattice, point) = public(set, key.public()).unwrap();
        let (first, second) = both.split_at(set.signature_len());
        let alone = |kind, key: &[u8], message: &[u8], half: &[u8]| {
            let key = ServiceKey::public_only(kind, key).unwrap();
            key.verify(message, &SCHEME, None, half).unwrap()
        };
        let labelled = message(set, curve, b"input");
        assert_eq!(labelled, b"keyfold/hybrid/1/ml-dsa-65/ed25519\0input");
        for (message, expected) in [(&b"input"[..], false), (&labelled, true)] {
            assert_eq!(
                alone(KeyType::MlDsa(set), lattice, message, first),
                expected
            );
            assert_eq!(alone(KeyType::Ed25519, point, message, second), expected);
        }
    }
}
