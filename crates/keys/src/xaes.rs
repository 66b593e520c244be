//! XAES-256-GCM (C2SP): AES-256-GCM with a nonce of 24 bytes, which may be random without end.
//!
//! ```text
//!   derived key = AES(K, K1 ⊕ (00 01 'X' 00 ‖ N[0..12])) ‖ AES(K, K1 ⊕ (00 02 'X' 00 ‖ N[0..12]))
//!   message     = AES-256-GCM(derived key, N[12..24])
//! ```
//!
//! That is AES-CMAC in counter mode on one block, whose subkey `K1` depends on `K` alone: it is
//! worked out once for a key.

use keyfold_secret::Guarded;
use zeroize::Zeroizing;

use crate::aead::{self, Algorithm, BLOCK_LEN, BlockCipher, TAG_LEN};
use crate::error::Error;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Bytes of a nonce.
pub const NONCE_LEN: usize = 24;

/// A key made ready, in protected pages.
pub struct Key(Guarded<Schedule>);

struct Schedule {
    cipher: BlockCipher,
    k1: u128,
}

impl Key {
    /// Makes `key` ready.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "AES-256 takes any 32 bytes for a key and any block: `key` and `l` are arrays"
        )]
        let schedule = Guarded::try_new(|| {
            let cipher = BlockCipher::new(key)?;
            let mut l = [[0; BLOCK_LEN]];
            cipher.encrypt(&mut l)?;
            let [l] = l;
            Ok::<_, Error>(Schedule {
                cipher,
                k1: double(u128::from_be_bytes(l)),
            })
        })
        .expect("AES-256 takes any 32 bytes");
        Self(schedule)
    }

    /// Encrypts `data` in place and returns the tag. `nonce` must never be used twice: draw it at
    /// random.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when `data` is 64 GiB or longer.
    pub fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Error> {
        let (key, nonce) = self.derive(nonce)?;
        key.seal_detached(nonce, aad, data)
    }

    /// Decrypts `data`, ciphertext and tag, in place and returns the plaintext at its start.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKey`] when it does not authenticate; `data` then holds nothing of use.
    pub fn open<'a>(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &'a mut [u8],
    ) -> Result<&'a mut [u8], Error> {
        let (key, nonce) = self.derive(nonce)?;
        key.open(nonce, aad, data)
    }

    /// The AES-256-GCM key and nonce of one message.
    fn derive(&self, nonce: &[u8; NONCE_LEN]) -> Result<(aead::Key, [u8; aead::NONCE_LEN]), Error> {
        let schedule = self.0.expose();
        let (n, gcm_nonce) = halves(nonce);
        let [a, b, c, d, e, f, g, h, i, j, k, l] = n;
        let block = |counter| {
            let m = [0, counter, b'X', 0, a, b, c, d, e, f, g, h, i, j, k, l];
            (u128::from_be_bytes(m) ^ schedule.k1).to_be_bytes()
        };
        let mut derived = Zeroizing::new([block(1), block(2)]);
        schedule.cipher.encrypt(&mut derived)?;
        let key = aead::Key::new(Algorithm::Aes256Gcm, derived.as_flattened())?;
        Ok((key, gcm_nonce))
    }
}

/// Doubling in GF(2^128): CMAC's way from `AES(K, 0)` to `K1`. No branch depends on the value.
fn double(l: u128) -> u128 {
    (l << 1) ^ (0x87 * (l >> 127))
}

fn halves(nonce: &[u8; NONCE_LEN]) -> ([u8; 12], [u8; 12]) {
    let (mut first, mut second) = ([0; 12], [0; 12]);
    let (left, right) = nonce.split_at(12);
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{array, bytes, list, load};
    use serde_json::Value;
    use sha3::digest::{ExtendableOutput, Update, XofReader};
    use sha3::{Shake128, Shake128Reader};

    /// Ciphertext and tag, as the vectors have them.
    fn seal(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut data = plaintext.to_vec();
        let tag = Key::new(key).seal(nonce, aad, &mut data).unwrap();
        data.extend_from_slice(&tag);
        data
    }

    #[test]
    fn golden_vectors_seal_and_open() {
        let golden = load("xaes256gcm.json");
        let vectors = list(&golden, "vectors");
        assert_eq!(vectors.len(), 50);
        for vector in vectors {
            let (key, nonce) = (array(vector, "key_hex"), array(vector, "nonce_hex"));
            let (aad, plaintext) = (bytes(vector, "aad_hex"), bytes(vector, "plaintext_hex"));
            let ciphertext = bytes(vector, "ciphertext_hex");
            assert_eq!(
                seal(&key, &nonce, &aad, &plaintext),
                ciphertext,
                "{}",
                vector["name"]
            );
            let mut data = ciphertext;
            assert_eq!(
                Key::new(&key).open(&nonce, &aad, &mut data).unwrap(),
                plaintext
            );
        }
    }

    #[test]
    fn golden_steps_on_the_way() {
        let golden = load("xaes256gcm.json");
        let mut published = 0;
        for vector in list(&golden, "vectors") {
            let key = Key::new(&array(vector, "key_hex"));
            if vector["K1_hex"].is_string() {
                let l = u128::from_be_bytes(array(vector, "L_hex"));
                assert_eq!(double(l).to_be_bytes(), array(vector, "K1_hex"));
                assert_eq!(key.0.expose().k1.to_be_bytes(), array(vector, "K1_hex"));
                published += 1;
            }
            let (derived, gcm_nonce) = key.derive(&array(vector, "nonce_hex")).unwrap();
            assert_eq!(gcm_nonce, array(vector, "gcm_nonce_hex"));
            // Keys are equal when they seal equally.
            let expected =
                aead::Key::new(Algorithm::Aes256Gcm, &bytes(vector, "derived_key_hex")).unwrap();
            let tag = |key: &aead::Key| key.seal_detached([0; 12], b"", &mut [0; 16]).unwrap();
            assert_eq!(tag(&derived), tag(&expected), "{}", vector["name"]);
        }
        assert_eq!(published, 2, "with the first bit of L set, and not set");
    }

    #[test]
    fn golden_damage_is_refused() {
        let golden = load("xaes256gcm.json");
        let damaged = list(&golden, "damaged");
        assert_eq!(damaged.len(), 18);
        for case in damaged {
            let opened = open_case(case);
            assert_eq!(opened, None, "{}", case["name"]);
        }
    }

    /// A key or nonce of a wrong length can't even be given to [`Key`].
    fn open_case(case: &Value) -> Option<Vec<u8>> {
        let key: [u8; 32] = bytes(case, "key_hex").try_into().ok()?;
        let nonce: [u8; 24] = bytes(case, "nonce_hex").try_into().ok()?;
        let mut data = bytes(case, "ciphertext_hex");
        let opened = Key::new(&key).open(&nonce, &bytes(case, "aad_hex"), &mut data);
        opened.ok().map(|plaintext| plaintext.to_vec())
    }

    #[test]
    fn accumulated_rounds() {
        fn draw<const N: usize>(rng: &mut Shake128Reader) -> [u8; N] {
            let mut out = [0; N];
            rng.read(&mut out);
            out
        }
        fn draw_string(rng: &mut Shake128Reader) -> Vec<u8> {
            let mut out = vec![0; usize::from(draw::<1>(rng)[0])];
            rng.read(&mut out);
            out
        }
        let golden = load("xaes256gcm.json");
        let mut rng = Shake128::default().finalize_xof();
        let mut all = Shake128::default();
        for round in 1..=10_000 {
            let (key, nonce) = (draw(&mut rng), draw(&mut rng));
            let (plaintext, aad) = (draw_string(&mut rng), draw_string(&mut rng));
            let ciphertext = seal(&key, &nonce, &aad, &plaintext);
            all.update(&ciphertext);
            let mut data = ciphertext;
            assert_eq!(
                Key::new(&key).open(&nonce, &aad, &mut data).unwrap(),
                plaintext
            );
            if round == 100 || round == 10_000 {
                let expected = &golden["accumulated"]["expected_hex"];
                let hash: [u8; 32] = draw(&mut all.clone().finalize_xof());
                assert_eq!(hash, array(expected, &round.to_string()), "after {round}");
            }
        }
    }
}
