//! Keys on their way between servers: `RSA-OAEP(AES key) | AES-KWP(AES key, target)`, with a fresh
//! AES key for each (RFC 5649).

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use keyfold_secret::Secret;

use super::key_type::Family;
use super::{ServiceKey, rsa};
use crate::digest::Digest;
use crate::error::Error;
use crate::rng;

/// Bytes of the AES key in between.
const KEY_LEN: usize = 32;
/// Bytes that AES-KWP adds, at most.
const OVERHEAD: usize = 16;

/// Wraps `target` for the holder of an RSA key. `hash` is the one of OAEP, twice.
///
/// # Errors
///
/// [`Error::Malformed`] for a key that is not RSA, and for a hash function that OAEP does not take.
pub fn wrap(holder: &ServiceKey, hash: Digest, target: &[u8]) -> Result<Vec<u8>, Error> {
    let Family::Rsa(len) = holder.kind().family() else {
        return Err(Error::Malformed("key type"));
    };
    let mut key = Secret::new([0; KEY_LEN]);
    rng::fill(key.expose_mut());
    let mut blob = rsa::seal(holder.public(), len, hash, key.expose())?;
    let mut wrapped = vec![0; target.len() + OVERHEAD];
    let wrapped = AesKek::new(&AES_256, key.expose())
        .and_then(|kek| kek.wrap_with_padding(target, &mut wrapped))
        .map_err(|_| Error::Exhausted)?;
    blob.extend_from_slice(wrapped);
    Ok(blob)
}

/// Unwraps what [`wrap`] gave.
///
/// # Errors
///
/// [`Error::Malformed`] says what of it can't be: the `ciphertext` too short, the `ephemeral key` of
/// a wrong length. [`Error::WrongKey`] when it does not open.
pub fn unwrap(holder: &ServiceKey, hash: Digest, blob: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    let Family::Rsa(len) = holder.kind().family() else {
        return Err(Error::Malformed("key type"));
    };
    let (sealed, wrapped) = blob
        .split_at_checked(len)
        .ok_or(Error::Malformed("ciphertext"))?;
    let key = rsa::open(holder.expose(), len, hash, sealed)?;
    if key.expose().len() != KEY_LEN {
        return Err(Error::Malformed("ephemeral key"));
    }
    let mut target = Secret::new(vec![0; wrapped.len()]);
    let found = AesKek::new(&AES_256, key.expose())
        .and_then(|kek| kek.unwrap_with_padding(wrapped, target.expose_mut()))
        .map_err(|_| Error::WrongKey)?
        .len();
    target.expose_mut().truncate(found);
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{bytes, list, load};
    use crate::transit::{KeyType, from_pem};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// Blobs that were made elsewhere and taken by an existing server.
    #[test]
    fn golden_imports() {
        let golden = load("transit-import.json");
        let pem = golden["wrapping_private_key_pem"].as_str().unwrap();
        let holder = match from_pem("PRIVATE KEY", pem) {
            Some(keys) => ServiceKey::from_pkcs8(KeyType::Rsa4096, &keys[0]).unwrap(),
            None => {
                let keys = from_pem("RSA PRIVATE KEY", pem).unwrap();
                ServiceKey::new(KeyType::Rsa4096, &keys[0], None).unwrap()
            }
        };
        let mut hashes = std::collections::BTreeSet::new();
        for import in list(&golden, "imports") {
            let name = import["hash_function"].as_str().unwrap();
            let hash = match name {
                "SHA1" => Digest::Sha1,
                "SHA224" => Digest::Sha2_224,
                "SHA256" => Digest::Sha2_256,
                "SHA384" => Digest::Sha2_384,
                _ => Digest::Sha2_512,
            };
            hashes.insert(name);
            let blob = import["import"]["body"]["ciphertext"].as_str().unwrap();
            let target = import["target_base64"].as_str().unwrap();
            let opened = unwrap(&holder, hash, &STANDARD.decode(blob).unwrap()).unwrap();
            assert_eq!(
                STANDARD.encode(opened.expose()),
                target,
                "{}",
                import["name"]
            );
            let blob = wrap(&holder, hash, opened.expose()).unwrap();
            let again = unwrap(&holder, hash, &blob).unwrap();
            assert_eq!(again.expose(), opened.expose());
            let kind = KeyType::from_name(import["type"].as_str().unwrap()).unwrap();
            if kind.has_public() {
                ServiceKey::from_pkcs8(kind, opened.expose()).unwrap();
            } else {
                ServiceKey::new(kind, opened.expose(), None).unwrap();
            }
        }
        assert_eq!(hashes.len(), 5);
        assert_eq!(
            unwrap(&holder, Digest::Sha1, &[1; 100]).err(),
            Some(Error::Malformed("ciphertext"))
        );
    }

    #[test]
    fn published_key_wraps() {
        let golden = load("wycheproof/aes_kwp_test.json");
        let mut tests = 0;
        for group in list(&golden, "testGroups") {
            if group["keySize"] != 256 {
                continue;
            }
            for test in list(group, "tests") {
                let (message, wrapped) = (bytes(test, "msg"), bytes(test, "ct"));
                let mut target = vec![0; wrapped.len()];
                let opened = AesKek::new(&AES_256, &bytes(test, "key"))
                    .unwrap()
                    .unwrap_with_padding(&wrapped, &mut target);
                match test["result"].as_str().unwrap() {
                    "valid" => assert_eq!(opened.unwrap(), message, "{}", test["tcId"]),
                    "invalid" => assert!(opened.is_err(), "{}", test["tcId"]),
                    _ => {}
                }
                tests += 1;
            }
        }
        assert!(tests > 10, "{tests}");
    }
}
