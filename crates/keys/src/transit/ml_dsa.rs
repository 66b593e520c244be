//! ML-DSA (FIPS 204), pure and with an empty context: the message itself is signed, never a hash of
//! it. Signing draws randomness, so that two signatures of one message differ.
//!
//! A private key is its seed of 32 bytes.

use aws_lc_rs::encoding::AsRawBytes;
use aws_lc_rs::signature::{
    KeyPair, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, ML_DSA_87,
    ML_DSA_87_SIGNING, ParsedPublicKey, PqdsaKeyPair, PqdsaSigningAlgorithm,
    PqdsaVerificationAlgorithm,
};
use keyfold_secret::Secret;

use crate::error::Error;

/// Bytes of a seed.
pub(super) const SEED_LEN: usize = 32;

/// A parameter set of ML-DSA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterSet {
    /// ML-DSA-44: as hard to break as a collision of SHA-256.
    MlDsa44,
    /// ML-DSA-65: as hard to break as AES-192.
    MlDsa65,
    /// ML-DSA-87: as hard to break as AES-256.
    MlDsa87,
}

impl ParameterSet {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::MlDsa44, Self::MlDsa65, Self::MlDsa87];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MlDsa44 => "44",
            Self::MlDsa65 => "65",
            Self::MlDsa87 => "87",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// Bytes of a public key.
    pub const fn public_len(self) -> usize {
        match self {
            Self::MlDsa44 => 1312,
            Self::MlDsa65 => 1952,
            Self::MlDsa87 => 2592,
        }
    }

    /// Bytes of a signature.
    pub const fn signature_len(self) -> usize {
        match self {
            Self::MlDsa44 => 2420,
            Self::MlDsa65 => 3309,
            Self::MlDsa87 => 4627,
        }
    }

    /// Its object identifier, 2.16.840.1.101.3.4.3.17 to 19: of keys, and of signatures.
    pub const fn oid(self) -> &'static [u8] {
        match self {
            Self::MlDsa44 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x11],
            Self::MlDsa65 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12],
            Self::MlDsa87 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x13],
        }
    }

    const fn signing(self) -> &'static PqdsaSigningAlgorithm {
        match self {
            Self::MlDsa44 => &ML_DSA_44_SIGNING,
            Self::MlDsa65 => &ML_DSA_65_SIGNING,
            Self::MlDsa87 => &ML_DSA_87_SIGNING,
        }
    }

    const fn verifying(self) -> &'static PqdsaVerificationAlgorithm {
        match self {
            Self::MlDsa44 => &ML_DSA_44,
            Self::MlDsa65 => &ML_DSA_65,
            Self::MlDsa87 => &ML_DSA_87,
        }
    }
}

/// The public key of a seed.
pub(super) fn public(set: ParameterSet, seed: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(pair(set, seed)?.public_key().as_ref().to_vec())
}

/// Whether these bytes are a public key.
pub(super) fn is_public(set: ParameterSet, public: &[u8]) -> bool {
    public.len() == set.public_len() && ParsedPublicKey::new(set.verifying(), public).is_ok()
}

/// The private key of a seed as FIPS 204 writes it.
pub(super) fn private(set: ParameterSet, seed: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    let pair = pair(set, seed)?;
    let bytes = pair.private_key().as_raw_bytes();
    let bytes = bytes.map_err(|_| Error::Malformed("private key"))?;
    Ok(Secret::new(bytes.as_ref().to_vec()))
}

/// Signs a message.
pub(super) fn sign(set: ParameterSet, seed: &[u8], message: &[u8]) -> Result<Vec<u8>, Error> {
    let mut signature = vec![0; set.signature_len()];
    pair(set, seed)?
        .sign(message, &mut signature)
        .map_err(|_| Error::Exhausted)?;
    Ok(signature)
}

/// Whether a signature is one of a message.
pub(super) fn verify(set: ParameterSet, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    ParsedPublicKey::new(set.verifying(), public)
        .is_ok_and(|key| key.verify_sig(message, signature).is_ok())
}

fn pair(set: ParameterSet, seed: &[u8]) -> Result<PqdsaKeyPair, Error> {
    PqdsaKeyPair::from_seed(set.signing(), seed).map_err(|_| Error::Malformed("private key"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{bytes, list, load};

    #[test]
    fn published_vectors() {
        for set in ParameterSet::ALL {
            let golden = load(&format!("wycheproof/mldsa_{}_verify_test.json", set.name()));
            let mut tests = 0;
            for group in list(&golden, "testGroups") {
                let public = bytes(group, "publicKey");
                for test in list(group, "tests") {
                    // No call gives a context, and what has one is signed by nobody here.
                    let context = test["ctx"].as_str().is_some_and(|ctx| !ctx.is_empty());
                    let valid = verify(set, &public, &bytes(test, "msg"), &bytes(test, "sig"));
                    let expected = test["result"] == "valid" && !context;
                    assert_eq!(valid, expected, "{} {}", set.name(), test["tcId"]);
                    tests += 1;
                }
            }
            assert!(tests > 30, "{tests}");
        }
    }

    #[test]
    fn signs() {
        for set in ParameterSet::ALL {
            let seed = [7; SEED_LEN];
            let key = public(set, &seed).unwrap();
            assert!(is_public(set, &key) && !is_public(set, &key[1..]));
            let signature = sign(set, &seed, b"message").unwrap();
            assert_eq!(signature.len(), set.signature_len());
            assert_ne!(signature, sign(set, &seed, b"message").unwrap());
            assert!(verify(set, &key, b"message", &signature));
            assert!(!verify(set, &key, b"massage", &signature));
            assert!(!verify(set, &key, b"message", &signature[1..]));
            assert!(public(set, &seed[1..]).is_err());
            assert!(private(set, &seed).unwrap().expose().len() > key.len());
            assert_eq!(ParameterSet::from_name(set.name()), Some(set));
        }
        assert_eq!(ParameterSet::from_name("ml-dsa-44"), None);
    }
}
