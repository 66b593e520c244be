//! ML-KEM-768 (FIPS 203): AWS-LC encapsulates and decapsulates. Its Rust face makes no key from a
//! seed; the crate `ml-kem` does that, and nothing else.

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use keyfold_secret::{Secret, scrub_stack};
#[expect(deprecated, reason = "see `private`")]
use ml_kem::ExpandedKeyEncoding;
use ml_kem::KeyExport;
use ml_kem::ml_kem_768::DecapsulationKey as Expanded;
use zeroize::Zeroize;

use crate::error::Error;

/// Bytes of a seed: `d | z`.
pub(super) const SEED_LEN: usize = 64;
/// Bytes of a public key.
pub(super) const PUBLIC_LEN: usize = 1184;
/// Bytes of an encapsulation.
pub(super) const ENCAPSULATION_LEN: usize = 1088;

/// The public key of a seed.
pub(super) fn public(seed: &[u8]) -> Result<Vec<u8>, Error> {
    expand(seed, |key| key.encapsulation_key().to_bytes().to_vec())
}

/// The private key of a seed as FIPS 203 writes it, 2,400 bytes.
#[expect(
    deprecated,
    reason = "as a form to store keys in; it is the one that AWS-LC takes"
)]
pub(crate) fn private(seed: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    expand(seed, |key| {
        let mut bytes = ExpandedKeyEncoding::to_expanded_bytes(key);
        let private = Secret::new(bytes.to_vec());
        bytes.as_mut_slice().zeroize();
        private
    })
}

/// A new secret for the holder of the private key.
pub(super) fn encapsulate(public: &[u8]) -> Result<(Vec<u8>, Secret<Vec<u8>>), Error> {
    const MALFORMED: Error = Error::Malformed("public key");
    let key = EncapsulationKey::new(&ML_KEM_768, public).map_err(|_| MALFORMED)?;
    let (sent, secret) = key.encapsulate().map_err(|_| MALFORMED)?;
    Ok((
        sent.as_ref().to_vec(),
        Secret::new(secret.as_ref().to_vec()),
    ))
}

/// The secret in an encapsulation.
pub(super) fn decapsulate(seed: &[u8], encapsulation: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    if encapsulation.len() != ENCAPSULATION_LEN {
        return Err(Error::Malformed("encapsulation"));
    }
    let private = private(seed)?;
    let key = DecapsulationKey::new(&ML_KEM_768, private.expose())
        .map_err(|_| Error::Malformed("private key"))?;
    let secret = key
        .decapsulate(Ciphertext::from(encapsulation))
        .map_err(|_| Error::WrongKey)?;
    Ok(Secret::new(secret.as_ref().to_vec()))
}

/// What is made of the key of a seed.
fn expand<T>(seed: &[u8], make: impl FnOnce(&Expanded) -> T) -> Result<T, Error> {
    let mut whole: ml_kem::Seed = seed
        .try_into()
        .map_err(|_| Error::Malformed("private key"))?;
    let key = Expanded::from_seed(whole);
    whole.as_mut_slice().zeroize();
    let made = make(&key);
    drop(key);
    scrub_stack();
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{bytes, list, load};

    #[test]
    fn published_keys() {
        let golden = load("wycheproof/mlkem_768_keygen_seed_test.json");
        let mut tests = 0;
        for group in list(&golden, "testGroups") {
            for test in list(group, "tests") {
                let seed = bytes(test, "seed");
                assert_eq!(public(&seed).unwrap(), bytes(test, "ek"));
                assert_eq!(private(&seed).unwrap().expose(), &bytes(test, "dk"));
                tests += 1;
            }
        }
        assert!(tests >= 10, "{tests}");
    }

    #[test]
    fn published_secrets() {
        let golden = load("wycheproof/mlkem_768_test.json");
        let mut tests = 0;
        for group in list(&golden, "testGroups") {
            for test in list(group, "tests") {
                let found = decapsulate(&bytes(test, "seed"), &bytes(test, "c"));
                match test["result"] == "valid" {
                    true => assert_eq!(found.unwrap().expose(), &bytes(test, "K")),
                    false => assert!(found.is_err(), "{}", test["tcId"]),
                }
                tests += 1;
            }
        }
        assert!(tests >= 10, "{tests}");
    }

    /// Public keys whose numbers are not reduced, or that have another length.
    #[test]
    fn published_public_keys() {
        let golden = load("wycheproof/mlkem_768_encaps_test.json");
        let (mut taken, mut refused) = (0, 0);
        for group in list(&golden, "testGroups") {
            for test in list(group, "tests") {
                let valid = encapsulate(&bytes(test, "ek")).is_ok();
                assert_eq!(valid, test["result"] == "valid", "{}", test["tcId"]);
                taken += u32::from(valid);
                refused += u32::from(!valid);
            }
        }
        assert!(taken >= 10 && refused >= 20, "{taken} {refused}");
    }
}
