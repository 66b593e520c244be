//! Deriving keys and tagging: HKDF (RFC 5869) and HMAC (RFC 2104).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{self, HKDF_SHA256, HKDF_SHA512, KeyType, Prk, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};

use crate::error::Error;

/// The labels of derivations (`info` of HKDF), all in one place so that no two are the same.
pub mod label {
    /// Key, nonce and commitment of an envelope file's payload (C2SP chunked encryption); followed
    /// by the salt and the context.
    pub const COBBLESTONE_256: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
    /// What transit seals to the public key of a KEM; `info` of HPKE.
    pub const TRANSIT_KEM: &[u8] = b"keyfold/transit/kem/1";
}

/// Bytes of an HMAC-SHA-256 tag.
pub const TAG_LEN: usize = 32;

/// HKDF-SHA-256, extract without a salt and expand: `out` from the key `input`, of any length.
/// `info` is one string in pieces; where their lengths vary, the caller has to make the borders
/// plain.
///
/// # Errors
///
/// [`Error::Exhausted`] when `out` is longer than 8,160 bytes.
pub fn hkdf_sha256(input: &[u8], info: &[&[u8]], out: &mut [u8]) -> Result<(), Error> {
    expand(&Salt::none(HKDF_SHA256).extract(input), info, out)
}

/// The expand half of HKDF-SHA-256 alone: `key` is uniformly random already.
///
/// # Errors
///
/// [`Error::Exhausted`] when `out` is longer than 8,160 bytes.
pub fn expand_sha256(key: &[u8; 32], info: &[&[u8]], out: &mut [u8]) -> Result<(), Error> {
    expand(&Prk::new_less_safe(HKDF_SHA256, key), info, out)
}

/// The expand half of HKDF-SHA-512 alone: `key` is uniformly random already.
///
/// # Errors
///
/// [`Error::Exhausted`] when `out` is longer than 16,320 bytes.
pub fn expand_sha512(key: &[u8; 32], info: &[&[u8]], out: &mut [u8]) -> Result<(), Error> {
    expand(&Prk::new_less_safe(HKDF_SHA512, key), info, out)
}

/// HMAC-SHA-256 under a key that tags once. For many tags use [`MacKey`].
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; TAG_LEN] {
    MacKey::new(key).tag(data)
}

/// A key made ready for HMAC-SHA-256. What it keeps in memory are hash states, from which the key
/// can't be found; they are wiped on drop.
pub struct MacKey(hmac::Key);

impl MacKey {
    /// Makes `key`, of any length, ready.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, key))
    }

    /// The tag of `data`.
    pub fn tag(&self, data: &[u8]) -> [u8; TAG_LEN] {
        let mut tag = [0; TAG_LEN];
        // Not `hmac::sign`: it moves its context, and what it moved from, with the last block of the
        // data in it, stays on the stack.
        #[expect(clippy::expect_used, reason = "a tag of HMAC-SHA-256 has 32 bytes")]
        hmac::sign_to_buffer(&self.0, data, &mut tag).expect("room for 32 bytes");
        tag
    }

    /// The tag of `data` as hex: what things are named by that are not to be read from their names.
    pub fn hex(&self, data: &[u8]) -> HexTag {
        let mut digits = [0; 2 * TAG_LEN];
        #[expect(clippy::expect_used, reason = "there are two digits for each byte")]
        hex::encode_to_slice(self.tag(data), &mut digits).expect("room for all digits");
        HexTag(digits)
    }

    /// Whether `tag` is the tag of `data`; in constant time.
    pub fn verify(&self, data: &[u8], tag: &[u8]) -> bool {
        verify_slices_are_equal(&self.tag(data), tag).is_ok()
    }
}

/// A tag as lower-case hex. It costs no room on the heap: every request makes one of its token.
pub struct HexTag([u8; 2 * TAG_LEN]);

impl HexTag {
    /// Its 64 digits.
    pub fn as_str(&self) -> &str {
        #[expect(clippy::expect_used, reason = "hex digits are ASCII")]
        std::str::from_utf8(&self.0).expect("hex digits are text")
    }
}

fn expand(key: &Prk, info: &[&[u8]], out: &mut [u8]) -> Result<(), Error> {
    key.expand(info, OutputLen(out.len()))
        .and_then(|output: hkdf::Okm<'_, OutputLen>| output.fill(out))
        .map_err(|_| Error::Exhausted)
}

/// The form in which the library wants to be told an output length.
struct OutputLen(usize);

impl KeyType for OutputLen {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{array, bytes, list, load};

    #[test]
    fn published_hmac_vectors() {
        let golden = load("wycheproof/hmac_sha256_test.json");
        let mut tests = 0;
        for group in list(&golden, "testGroups")
            .iter()
            .filter(|group| group["tagSize"] == 256)
        {
            for test in list(group, "tests") {
                let key = MacKey::new(&bytes(test, "key"));
                let (data, tag) = (bytes(test, "msg"), bytes(test, "tag"));
                let valid = test["result"] == "valid";
                assert_eq!(key.verify(&data, &tag), valid, "{}", test["tcId"]);
                assert_eq!(key.tag(&data).as_slice() == tag, valid, "{}", test["tcId"]);
                assert_eq!(
                    hmac_sha256(&bytes(test, "key"), &data).as_slice() == tag,
                    valid
                );
                tests += 1;
            }
        }
        assert!(tests > 10, "{tests}");
    }

    #[test]
    fn published_hkdf_vectors() {
        let golden = load("wycheproof/hkdf_sha256_test.json");
        let (mut tests, mut without_salt) = (0, 0);
        for test in list(&golden, "testGroups")
            .iter()
            .flat_map(|group| list(group, "tests"))
        {
            let (input, salt, info) =
                (bytes(test, "ikm"), bytes(test, "salt"), bytes(test, "info"));
            let mut out = vec![0; usize::try_from(test["size"].as_u64().unwrap()).unwrap()];
            let (left, right) = info.split_at(info.len() / 2);
            // Extracting is tagging under the salt.
            let extracted = hmac_sha256(&salt, &input);
            let done = expand_sha256(&extracted, &[left, right], &mut out);
            if test["result"] == "valid" {
                assert_eq!(
                    (done, &out),
                    (Ok(()), &bytes(test, "okm")),
                    "{}",
                    test["tcId"]
                );
            } else {
                assert_eq!(done, Err(Error::Exhausted), "{}", test["tcId"]);
            }
            if salt.is_empty() && done.is_ok() {
                hkdf_sha256(&input, &[&info], &mut out).unwrap();
                assert_eq!(out, bytes(test, "okm"), "{}", test["tcId"]);
                without_salt += 1;
            }
            tests += 1;
        }
        assert!(
            tests > 20 && without_salt > 2,
            "{tests}, {without_salt} without salt"
        );
    }

    #[test]
    fn golden_payload_keys() {
        let golden = load("cobblestone.json");
        for message in list(&golden, "messages")
            .iter()
            .filter(|m| m["context_hex"].is_string())
        {
            let (salt, context) = (bytes(message, "salt_hex"), bytes(message, "context_hex"));
            let info = [label::COBBLESTONE_256, &salt, &context];
            let mut out = [0; 76];
            expand_sha512(&array(message, "key_hex"), &info, &mut out).unwrap();
            assert_eq!(
                out[..32],
                bytes(message, "aead_key_hex"),
                "{}",
                message["name"]
            );
            assert_eq!(out[32..44], bytes(message, "base_nonce_hex"));
            assert_eq!(out[44..], bytes(message, "commitment_hex"));
        }
    }

    #[test]
    fn longest_outputs() {
        for (longest, expand) in [
            (
                8160,
                expand_sha256 as fn(&[u8; 32], &[&[u8]], &mut [u8]) -> Result<(), Error>,
            ),
            (16320, expand_sha512),
        ] {
            assert_eq!(expand(&[1; 32], &[], &mut vec![0; longest]), Ok(()));
            assert_eq!(
                expand(&[1; 32], &[], &mut vec![0; longest + 1]),
                Err(Error::Exhausted)
            );
        }
    }
}
