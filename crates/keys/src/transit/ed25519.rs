//! Ed25519 (RFC 8032), pure: the message itself is signed, never a hash of it.
//!
//! A private key is 64 bytes, the seed and the public key, as existing servers keep it: keys for
//! contexts are derived from all of them.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use keyfold_secret::Secret;

use crate::error::Error;

/// Bytes of a seed, and of a public key.
pub(super) const LEN: usize = 32;

/// The private key of a seed.
pub(super) fn from_seed(seed: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed);
    let pair = pair.map_err(|_| Error::Malformed("private key"))?;
    Ok(Secret::new([seed, pair.public_key().as_ref()].concat()))
}

/// The seed and the public key of a private key.
pub(super) fn halves(private: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let halves = private
        .split_at_checked(LEN)
        .filter(|(_, p)| p.len() == LEN);
    halves.ok_or(Error::Malformed("private key"))
}

/// Signs a message.
pub(super) fn sign(private: &[u8], message: &[u8]) -> Result<Vec<u8>, Error> {
    let (seed, public) = halves(private)?;
    Ed25519KeyPair::from_seed_and_public_key(seed, public)
        .map_err(|_| Error::Malformed("private key"))?
        .try_sign(message)
        .map(|signature| signature.as_ref().to_vec())
        .map_err(|_| Error::Exhausted)
}

/// Whether a signature is one of a message.
pub(super) fn verify(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public)
        .verify(message, signature)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{bytes, list, load};

    #[test]
    fn published_vectors() {
        let golden = load("wycheproof/ed25519_test.json");
        let mut tests = 0;
        for group in list(&golden, "testGroups") {
            let public = bytes(&group["publicKey"], "pk");
            for test in list(group, "tests") {
                let valid = verify(&public, &bytes(test, "msg"), &bytes(test, "sig"));
                assert_eq!(valid, test["result"] == "valid", "{}", test["tcId"]);
                tests += 1;
            }
        }
        assert!(tests > 20, "{tests}");
    }

    #[test]
    fn signs() {
        let private = from_seed(&[7; LEN]).unwrap();
        let signature = sign(private.expose(), b"message").unwrap();
        let (seed, public) = halves(private.expose()).unwrap();
        assert_eq!(seed, [7; LEN]);
        assert!(verify(public, b"message", &signature));
        assert!(!verify(public, b"massage", &signature));
        assert!(!verify(public, b"message", &signature[1..]));
        assert!(
            sign(&[1; 64], b"message").is_err(),
            "halves that do not belong together"
        );
        assert!(from_seed(&[1; 31]).is_err() && halves(&[1; 63]).is_err());
    }
}
