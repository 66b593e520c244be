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
