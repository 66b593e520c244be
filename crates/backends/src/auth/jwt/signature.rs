//! Signatures of JWS (RFC 7518, 8037): by public keys only. A key knows its kind, so a token can
//! never have it used for another: there is no `none`, and no HMAC under a public key's text.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    self as lc, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RsaParameters, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::{Deserialize, Serialize};

/// A signing algorithm, by its name in JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

/// A public key, as what it is for.
#[derive(Clone)]
pub(super) enum PublicKey {
    /// DER, a SubjectPublicKeyInfo.
    RsaDer(Vec<u8>),
    /// Modulus and exponent, big endian, without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point or a SubjectPublicKeyInfo, as the two below.
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Vec<u8>),
    /// 32 bytes or a SubjectPublicKeyInfo.
    Ed25519(Vec<u8>),
}

impl Algorithm {
    /// By its name; other names are no algorithms for us.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "ES512" => Self::ES512,
            "EdDSA" => Self::EdDSA,
            _ => return None,
        })
    }

    /// For keys of RSA.
    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::RS256 => &lc::RSA_PKCS1_2048_8192_SHA256,
            Self::RS384 => &lc::RSA_PKCS1_2048_8192_SHA384,
            Self::RS512 => &lc::RSA_PKCS1_2048_8192_SHA512,
            Self::PS256 => &lc::RSA_PSS_2048_8192_SHA256,
            Self::PS384 => &lc::RSA_PSS_2048_8192_SHA384,
            Self::PS512 => &lc::RSA_PSS_2048_8192_SHA512,
            Self::ES256 | Self::ES384 | Self::ES512 | Self::EdDSA => return None,
        })
    }
}

impl PublicKey {
    /// The key in a DER SubjectPublicKeyInfo.
    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let parses = |algorithm: &'static dyn VerificationAlgorithm| {
            lc::ParsedPublicKey::new(algorithm, der).is_ok()
        };
        let der = || der.to_vec();
        if parses(&lc::RSA_PKCS1_2048_8192_SHA256) {
            Some(Self::RsaDer(der()))
        } else if parses(&ECDSA_P256_SHA256_FIXED) {
            Some(Self::P256(der()))
        } else if parses(&ECDSA_P384_SHA384_FIXED) {
            Some(Self::P384(der()))
        } else if parses(&ECDSA_P521_SHA512_FIXED) {
            Some(Self::P521(der()))
        } else if parses(&ED25519) {
            Some(Self::Ed25519(der()))
        } else {
            None
        }
    }

    /// Whether a signature by this key, made with this algorithm, is of the message.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let by = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature)
        };
        let verified = match (self, algorithm) {
            (Self::RsaDer(der), _) => match algorithm.rsa() {
                Some(rsa) => by(rsa, der),
                None => return false,
            },
            (Self::Rsa { n, e }, _) => match algorithm.rsa() {
                Some(rsa) => PublicKeyComponents { n, e }.verify(rsa, message, signature),
                None => return false,
            },
            (Self::P256(key), Algorithm::ES256) => by(&ECDSA_P256_SHA256_FIXED, key),
            (Self::P384(key), Algorithm::ES384) => by(&ECDSA_P384_SHA384_FIXED, key),
            (Self::P521(key), Algorithm::ES512) => by(&ECDSA_P521_SHA512_FIXED, key),
            (Self::Ed25519(key), Algorithm::EdDSA) => by(&ED25519, key),
            _ => return false,
        };
        verified.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    };

    const ALL: [Algorithm; 10] = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::EdDSA,
    ];

    #[test]
    fn a_key_verifies_what_it_signed_and_only_by_its_own_algorithm() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let signature = pair.sign(&SystemRandom::new(), b"m").unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        for key in [
            PublicKey::from_der(der.as_ref()).unwrap(),
            PublicKey::P256(pair.public_key().as_ref().to_vec()),
        ] {
            for algorithm in ALL {
                let right = key.verifies(algorithm, b"m", signature.as_ref());
                assert_eq!(right, algorithm == Algorithm::ES256, "{algorithm:?}");
            }
            assert!(!key.verifies(Algorithm::ES256, b"n", signature.as_ref()));
            assert!(!key.verifies(Algorithm::ES256, b"m", b""));
        }
    }

    #[test]
    fn ed25519_raw_and_der() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let signature = pair.sign(b"m");
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        for key in [
            PublicKey::from_der(der.as_ref()).unwrap(),
            PublicKey::Ed25519(pair.public_key().as_ref().to_vec()),
        ] {
            assert!(key.verifies(Algorithm::EdDSA, b"m", signature.as_ref()));
            assert!(!key.verifies(Algorithm::ES256, b"m", signature.as_ref()));
        }
    }

    #[test]
    fn names() {
        for algorithm in ALL {
            assert_eq!(Algorithm::parse(&format!("{algorithm:?}")), Some(algorithm));
        }
        for other in ["none", "None", "HS256", "RS1", ""] {
            assert_eq!(Algorithm::parse(other), None, "{other}");
        }
        assert!(PublicKey::from_der(b"nonsense").is_none());
    }
}
