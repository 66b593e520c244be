//! Ciphers: the one file that calls the crypto library for encryption.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};

use crate::error::Error;

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 12;
/// Bytes of the tag that follows the ciphertext.
pub const TAG_LEN: usize = 16;
/// Bytes of an AES block.
pub(crate) const BLOCK_LEN: usize = 16;

/// An authenticated cipher with 12-byte nonces and 16-byte tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// AES-128 in Galois/counter mode.
    Aes128Gcm,
    /// AES-256 in Galois/counter mode.
    Aes256Gcm,
    /// ChaCha20 with Poly1305 (RFC 8439).
    ChaCha20Poly1305,
}

impl Algorithm {
    /// Bytes of a key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }
}

/// A key made ready for one algorithm.
///
/// The library keeps its round keys in ordinary memory and wipes them on drop. So this type is for
/// the time of a call or of a file; a key that stays is kept in protected pages, and made ready
/// when it is used.
pub struct Key(LessSafeKey);

impl Key {
    /// Makes `key` ready for `algorithm`.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when the key is not [`Algorithm::key_len`] bytes long.
    pub fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, Error> {
        let algorithm = match algorithm {
            Algorithm::Aes128Gcm => &AES_128_GCM,
            Algorithm::Aes256Gcm => &AES_256_GCM,
            Algorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| Error::Malformed("key"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Encrypts `data` in place and appends the tag. A nonce must never be used twice.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when `data` is longer than one nonce can carry (64 GiB for GCM).
    pub fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        data: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let tag = self.seal_detached(nonce, aad, data)?;
        data.extend_from_slice(&tag);
        Ok(())
    }

    /// Encrypts `data` in place and returns the tag. A nonce must never be used twice.
    ///
    /// # Errors
    ///
    /// As [`Key::seal`].
    pub fn seal_detached(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Error> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), data)
            .map_err(|_| Error::Exhausted)?;
        tag.as_ref().try_into().map_err(|_| Error::Exhausted)
    }

    /// Decrypts `data`, ciphertext and tag, in place and returns the plaintext at its start.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKey`] when it does not authenticate or is shorter than a tag; `data` then holds
    /// nothing of use.
    pub fn open<'a>(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        data: &'a mut [u8],
    ) -> Result<&'a mut [u8], Error> {
        self.0
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), data)
            .map_err(|_| Error::WrongKey)
    }
}

/// AES-256 on single blocks: the building stone of [`xaes`](crate::xaes), of no use by itself.
pub(crate) struct BlockCipher(EncryptingKey);

impl BlockCipher {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, Error> {
        UnboundCipherKey::new(&AES_256, key)
            .and_then(EncryptingKey::ecb)
            .map(Self)
            .map_err(|_| Error::Malformed("key"))
    }

    /// Encrypts each block by itself.
    pub(crate) fn encrypt<const BLOCKS: usize>(
        &self,
        blocks: &mut [[u8; BLOCK_LEN]; BLOCKS],
    ) -> Result<(), Error> {
        self.0
            .less_safe_encrypt(blocks.as_flattened_mut(), EncryptionContext::None)
            .map(drop)
            .map_err(|_| Error::Malformed("block"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{bytes, list, load};

    /// Runs the groups of a Wycheproof file that have 12-byte nonces and 16-byte tags; returns how
    /// many tests that were.
    fn wycheproof(file: &str, key_bits: u64, algorithm: Algorithm) -> usize {
        let golden = load(&format!("wycheproof/{file}"));
        let mut count = 0;
        for group in list(&golden, "testGroups") {
            if group["ivSize"] != 96 || group["tagSize"] != 128 || group["keySize"] != key_bits {
                continue;
            }
            for test in list(group, "tests") {
                let key = Key::new(algorithm, &bytes(test, "key")).ok().unwrap();
                let nonce = bytes(test, "iv").try_into().unwrap();
                let (aad, plaintext) = (bytes(test, "aad"), bytes(test, "msg"));
                let ciphertext = [bytes(test, "ct"), bytes(test, "tag")].concat();
                let mut data = ciphertext.clone();
                let opened = key.open(nonce, &aad, &mut data);
                if test["result"] == "valid" {
                    assert_eq!(opened.unwrap(), plaintext, "{}", test["tcId"]);
                    let mut data = plaintext;
                    key.seal(nonce, &aad, &mut data).unwrap();
                    assert_eq!(data, ciphertext, "{}", test["tcId"]);
                } else {
                    assert_eq!(opened, Err(Error::WrongKey), "{}", test["tcId"]);
                }
                count += 1;
            }
        }
        count
    }

    #[test]
    fn published_vectors() {
        for (file, key_bits, algorithm) in [
            ("aes_gcm_test.json", 128, Algorithm::Aes128Gcm),
            ("aes_gcm_test.json", 256, Algorithm::Aes256Gcm),
            (
                "chacha20_poly1305_test.json",
                256,
                Algorithm::ChaCha20Poly1305,
            ),
        ] {
            let count = wycheproof(file, key_bits, algorithm);
            assert!(count > 5, "{file}, {key_bits} bits: {count} tests");
        }
    }

    #[test]
    fn keys_of_a_wrong_length() {
        for algorithm in [
            Algorithm::Aes128Gcm,
            Algorithm::Aes256Gcm,
            Algorithm::ChaCha20Poly1305,
        ] {
            for len in 0..70 {
                let taken = Key::new(algorithm, &vec![0; len]).is_ok();
                assert_eq!(
                    taken,
                    len == algorithm.key_len(),
                    "{algorithm:?}, {len} bytes"
                );
            }
        }
    }

    #[test]
    fn data_shorter_than_a_tag() {
        let key = Key::new(Algorithm::Aes256Gcm, &[0; 32]).ok().unwrap();
        for len in 0..TAG_LEN {
            assert_eq!(
                key.open([0; 12], b"", &mut vec![0; len]),
                Err(Error::WrongKey)
            );
        }
    }
}
