//! Tags: HMAC with every hash function, and AES-CMAC.

use ::hmac::Hmac;
use ::hmac::digest::KeyInit;
use aws_lc_rs::{cmac, hmac};

use crate::digest::Digest;
use crate::error::Error;

/// The HMAC of `data`.
pub(super) fn hmac(hash: Digest, key: &[u8], data: &[u8]) -> Result<Vec<u8>, Error> {
    let algorithm = match hash {
        Digest::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Digest::Sha2_224 => hmac::HMAC_SHA224,
        Digest::Sha2_256 => hmac::HMAC_SHA256,
        Digest::Sha2_384 => hmac::HMAC_SHA384,
        Digest::Sha2_512 => hmac::HMAC_SHA512,
        // The library has no HMAC with SHA-3.
        Digest::Sha3_224 => return sha3::<Hmac<sha3::Sha3_224>>(key, data),
        Digest::Sha3_256 => return sha3::<Hmac<sha3::Sha3_256>>(key, data),
        Digest::Sha3_384 => return sha3::<Hmac<sha3::Sha3_384>>(key, data),
        Digest::Sha3_512 => return sha3::<Hmac<sha3::Sha3_512>>(key, data),
    };
    let mut tag = vec![0; hash.size()];
    // Not `hmac::sign`, which leaves the last block of the data on the stack.
    hmac::sign_to_buffer(&hmac::Key::new(algorithm, key), data, &mut tag)
        .map_err(|_| Error::Exhausted)?;
    Ok(tag)
}

fn sha3<M: ::hmac::Mac + KeyInit>(key: &[u8], data: &[u8]) -> Result<Vec<u8>, Error> {
    let mut mac = <M as ::hmac::Mac>::new_from_slice(key).map_err(|_| Error::Malformed("key"))?;
    mac.update(data);
    Ok(mac.finalize().into_bytes().to_vec())
}

/// The AES-CMAC of `data`, 16 bytes.
pub(super) fn cmac(key: &[u8], data: &[u8]) -> Result<Vec<u8>, Error> {
    let algorithm = match key.len() {
        16 => cmac::AES_128,
        24 => cmac::AES_192,
        32 => cmac::AES_256,
        _ => return Err(Error::Malformed("key")),
    };
    cmac::Key::new(algorithm, key)
        .and_then(|key| cmac::sign(&key, data))
        .map(|tag| tag.as_ref().to_vec())
        .map_err(|_| Error::Exhausted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{bytes, list, load};

    /// Runs a published file; how many tests that were.
    fn run(file: &str, tag: impl Fn(&[u8], &[u8]) -> Option<Vec<u8>>) -> usize {
        let golden = load(&format!("wycheproof/{file}"));
        let mut tests = 0;
        for group in list(&golden, "testGroups") {
            let bits = usize::try_from(group["tagSize"].as_u64().unwrap()).unwrap();
            for test in list(group, "tests") {
                let Some(found) = tag(&bytes(test, "key"), &bytes(test, "msg")) else {
                    assert_eq!(test["result"], "invalid", "{file} {}", test["tcId"]);
                    continue;
                };
                let same = found[..bits / 8] == bytes(test, "tag");
                assert_eq!(same, test["result"] == "valid", "{file} {}", test["tcId"]);
                tests += 1;
            }
        }
        tests
    }

    #[test]
    fn published_vectors() {
        let mut tests = 0;
        for (file, hash) in [
            ("hmac_sha256_test.json", Digest::Sha2_256),
            ("hmac_sha512_test.json", Digest::Sha2_512),
        ] {
            tests += run(file, |key, data| hmac(hash, key, data).ok());
        }
        assert!(tests > 20, "{tests}");
        let tests = run("aes_cmac_test.json", |key, data| cmac(key, data).ok());
        assert!(tests > 20, "{tests}");
    }
}
