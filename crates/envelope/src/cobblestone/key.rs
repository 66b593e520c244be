//! The key of one payload, and sealing and opening single chunks with it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use keyfold_keys::kdf;
use keyfold_secret::Protected;
use zeroize::Zeroizing;

use super::{CHUNK_LEN, COMMITMENT_LEN, MAX_CHUNKS, SALT_LEN, TAG_LEN};

const LABEL: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 12;
const DERIVED_LEN: usize = KEY_LEN + NONCE_LEN + COMMITMENT_LEN;

/// Chunk key, base nonce and commitment, derived from a DEK for one salt and context.
///
/// Each (key, nonce) pair must seal one chunk only: a writer draws a fresh salt for each message
/// and seals each chunk once.
pub struct PayloadKey {
    key: LessSafeKey,
    base_nonce: [u8; NONCE_LEN],
    commitment: [u8; COMMITMENT_LEN],
}

/// Why a chunk was not sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The chunk does not authenticate under this key at this place.
    #[error("the chunk does not authenticate")]
    NotAuthentic,
    /// The caller's buffers do not fit each other or the format, or the chunk's number is 2^38 or
    /// more.
    #[error("the chunk's length or number is outside the format")]
    Shape,
}

impl PayloadKey {
    /// Derives the key of the message with this `salt` and `context`.
    #[must_use]
    pub fn derive(dek: &Protected<KEY_LEN>, salt: &[u8; SALT_LEN], context: &[u8]) -> Self {
        let mut derived = Zeroizing::new([0u8; DERIVED_LEN]);
        expand(dek, salt, context, derived.as_mut_slice());
        Self::from_derived(&derived)
    }

    fn from_derived(derived: &[u8; DERIVED_LEN]) -> Self {
        let (key, rest) = split_array::<KEY_LEN>(derived);
        let (base_nonce, rest) = split_array::<NONCE_LEN>(rest);
        let (commitment, _) = split_array::<COMMITMENT_LEN>(rest);
        Self {
            key: aes_256_gcm(key),
            base_nonce: *base_nonce,
            commitment: *commitment,
        }
    }

    /// What the message says about its key.
    #[must_use]
    pub fn commitment(&self) -> &[u8; COMMITMENT_LEN] {
        &self.commitment
    }

    /// True where a message with this commitment was made with this key, salt and context. To be
    /// asked before the first chunk is opened. Constant time.
    #[must_use]
    pub fn commits_to(&self, commitment: &[u8; COMMITMENT_LEN]) -> bool {
        verify_slices_are_equal(&self.commitment, commitment).is_ok()
    }

    /// Seals chunk `index`. `sealed` is exactly [`TAG_LEN`] longer than `plain`.
    pub fn seal_chunk(
        &self,
        index: u64,
        plain: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), ChunkError> {
        if plain.len() > CHUNK_LEN || sealed.len() != plain.len().saturating_add(TAG_LEN) {
            return Err(ChunkError::Shape);
        }
        let nonce = self.nonce(index)?;
        let (out, tag) = sealed
            .split_at_mut_checked(plain.len())
            .ok_or(ChunkError::Shape)?;
        self.key
            .seal_out_of_place_scatter(nonce, Aad::empty(), plain, out, &[], tag)
            .map_err(|_| ChunkError::Shape)
    }

    /// Opens chunk `index` into the first bytes of `plain` and returns how many. On failure `plain`
    /// holds no plaintext.
    pub fn open_chunk(
        &self,
        index: u64,
        sealed: &[u8],
        plain: &mut [u8],
    ) -> Result<usize, ChunkError> {
        let (body, tag) = sealed
            .len()
            .checked_sub(TAG_LEN)
            .and_then(|body_len| sealed.split_at_checked(body_len))
            .ok_or(ChunkError::NotAuthentic)?;
        if body.len() > CHUNK_LEN {
            return Err(ChunkError::Shape);
        }
        let out = plain.get_mut(..body.len()).ok_or(ChunkError::Shape)?;
        let nonce = self.nonce(index)?;
        let opened = self
            .key
            .open_separate_gather(nonce, Aad::empty(), body, tag, out);
        if opened.is_err() {
            // The library leaves nothing there either; this does not depend on it.
            out.fill(0);
            return Err(ChunkError::NotAuthentic);
        }
        Ok(body.len())
    }

    /// The base nonce with the chunk's number XORed into its end.
    fn nonce(&self, index: u64) -> Result<Nonce, ChunkError> {
        if index >= MAX_CHUNKS {
            return Err(ChunkError::Shape);
        }
        let mut nonce = self.base_nonce;
        for (byte, number) in nonce.iter_mut().rev().zip(index.to_le_bytes()) {
            *byte ^= number;
        }
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

#[expect(
    clippy::expect_used,
    reason = "76 bytes is far below HKDF's limit of 255 blocks"
)]
fn expand(dek: &Protected<KEY_LEN>, salt: &[u8; SALT_LEN], context: &[u8], out: &mut [u8]) {
    kdf::expand_sha512(dek.expose(), &[LABEL, salt, context], out).expect("HKDF gives 76 bytes");
}

#[expect(
    clippy::expect_used,
    reason = "the algorithm takes exactly the 32 bytes it is given"
)]
fn aes_256_gcm(key: &[u8; KEY_LEN]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("an AES-256 key has 32 bytes"))
}

#[expect(
    clippy::expect_used,
    reason = "the three lengths add up to DERIVED_LEN"
)]
fn split_array<const N: usize>(bytes: &[u8]) -> (&[u8; N], &[u8]) {
    bytes
        .split_first_chunk::<N>()
        .expect("the derived bytes hold three fields")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::digest;

    fn key() -> PayloadKey {
        PayloadKey::derive(
            &Protected::init_with(|key| key.fill(7)),
            &[1; SALT_LEN],
            b"context",
        )
    }

    #[test]
    fn a_failed_chunk_leaves_no_plaintext() {
        let (key, mut sealed, mut plain) = (key(), [0u8; 20], [0u8; 4]);
        key.seal_chunk(3, b"text", &mut sealed).unwrap();
        assert_eq!(key.open_chunk(3, &sealed, &mut plain), Ok(4));
        assert_eq!(&plain, b"text");
        sealed[19] ^= 1;
        assert_eq!(
            key.open_chunk(3, &sealed, &mut plain),
            Err(ChunkError::NotAuthentic)
        );
        assert_eq!(plain, [0; 4]);
    }

    #[test]
    fn refuses_shapes_outside_the_format() {
        let key = key();
        let mut sealed = vec![0u8; CHUNK_LEN + TAG_LEN + 1];
        assert_eq!(
            key.seal_chunk(0, &[0; CHUNK_LEN + 1], &mut sealed),
            Err(ChunkError::Shape)
        );
        assert_eq!(
            key.seal_chunk(0, b"text", &mut [0; 19]),
            Err(ChunkError::Shape)
        );
        assert_eq!(
            key.seal_chunk(MAX_CHUNKS, b"", &mut [0; 16]),
            Err(ChunkError::Shape)
        );
        assert_eq!(key.seal_chunk(MAX_CHUNKS - 1, b"", &mut [0; 16]), Ok(()));
        assert_eq!(
            key.open_chunk(0, &[0; 15], &mut []),
            Err(ChunkError::NotAuthentic)
        );
        assert_eq!(
            key.open_chunk(0, &[0; 20], &mut [0; 3]),
            Err(ChunkError::Shape)
        );
    }

    /// Recorded chunks up to number 2^38 - 1, under a key that is given as derived.
    #[test]
    fn chunks_far_into_a_message() {
        const GOLDEN: &str = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../shared/golden/cobblestone.json"
        );
        let golden: serde_json::Value =
            serde_json::from_slice(&std::fs::read(GOLDEN).unwrap()).unwrap();
        let bytes = |name: &str| hex::decode(golden[name].as_str().unwrap()).unwrap();
        let (chunk_key, base_nonce) = (
            bytes("single_chunk_key_hex"),
            bytes("single_chunk_base_nonce_hex"),
        );
        let derived = [&chunk_key[..], &base_nonce, &[0; COMMITMENT_LEN]].concat();
        let key = PayloadKey::from_derived(derived[..].try_into().unwrap());

        let cases = golden["single_chunks"].as_array().unwrap();
        assert_eq!(cases.len(), 33);
        for case in cases {
            let len = case["plaintext_len"].as_u64().unwrap() as usize;
            let plain = filler(case["plaintext_seed"].as_str().unwrap(), len);
            let index = case["index"].as_u64().unwrap();
            let mut sealed = vec![0; len + TAG_LEN];
            key.seal_chunk(index, &plain, &mut sealed).unwrap();
            assert_eq!(
                sha256(&sealed),
                case["ciphertext_sha256"].as_str().unwrap(),
                "{index}"
            );
            let mut opened = vec![0; len];
            assert_eq!(key.open_chunk(index, &sealed, &mut opened), Ok(len));
            assert_eq!(opened, plain, "{index}");
        }
    }

    fn sha256(bytes: &[u8]) -> String {
        hex::encode(digest::digest(&digest::SHA256, bytes))
    }

    fn filler(seed: &str, len: usize) -> Vec<u8> {
        let block = |n: u64| {
            let input = [seed.as_bytes(), &n.to_be_bytes()].concat();
            digest::digest(&digest::SHA256, &input).as_ref().to_vec()
        };
        (0u64..).flat_map(block).take(len).collect()
    }
}
