//! [`ServiceCipher`]: a version of a key, ready to encrypt.

use chacha20::{R20, hchacha};
use keyfold_secret::Secret;

use super::rsa;
use crate::aead::{self, Algorithm, NONCE_LEN, TAG_LEN};
use crate::digest::Digest;
use crate::error::Error;
use crate::kdf::{MacKey, label};
use crate::kem::{Kem, hpke};
use crate::rng;

/// Bytes of a long nonce.
const LONG: usize = 24;
/// Random nonces that are drawn at once, from the second on.
const DRAW: usize = 20;

/// A version of a key, ready for the calls of one request. Its round keys lie in ordinary memory
/// until it is dropped, so it is made for each request and not kept; that costs a fraction of a
/// microsecond.
pub struct ServiceCipher {
    cipher: Cipher,
    /// What nonces are made with in place of chance.
    nonces: Option<Box<Nonces>>,
    drawn: Drawn,
}

pub(super) enum Cipher {
    Short(aead::Key),
    /// XChaCha20-Poly1305.
    Long(Secret<[u8; 32]>),
    /// RSA-OAEP; the private half is empty where it is not here.
    Rsa {
        len: usize,
        public: Box<[u8]>,
        private: Secret<Vec<u8>>,
    },
    /// HPKE; the seed is empty where it is not here.
    Kem {
        kem: Kem,
        public: Box<[u8]>,
        seed: Secret<Vec<u8>>,
    },
}

/// Nonces that follow from what is encrypted, so that equal plaintexts have equal ciphertexts.
///
/// Version 3, that of existing servers, is a tag of the plaintext. With associated data it would
/// give one plaintext the same nonce under two of them, which breaks GCM: the tags of both can then
/// be forged. So there a nonce is of version 4, a tag of both under a key of its own; as the nonce
/// stands in the ciphertext, either opens everywhere.
pub(super) struct Nonces {
    pub plain: MacKey,
    pub bound: MacKey,
}

impl Nonces {
    fn of(&self, aad: &[u8], plaintext: &[u8]) -> [u8; 32] {
        if aad.is_empty() {
            return self.plain.tag(plaintext);
        }
        let length = u64::try_from(aad.len()).unwrap_or(u64::MAX).to_be_bytes();
        let both = Secret::new([&length[..], aad, plaintext].concat());
        self.bound.tag(both.expose())
    }
}

/// Random nonces. A call of the generator costs as much as all the rest of a short plaintext, so a
/// cipher that is used again draws several at once. Those that wait are for plaintexts of the same
/// request, which lie in memory by then: where the machine is copied meanwhile, both copies make
/// the same ciphertexts, and no nonce meets two plaintexts.
#[derive(Default)]
struct Drawn {
    used: bool,
    waiting: Vec<u8>,
}

impl Drawn {
    fn nonce<const N: usize>(&mut self) -> [u8; N] {
        if !std::mem::replace(&mut self.used, true) {
            return rng::bytes();
        }
        if self.waiting.is_empty() {
            self.waiting.resize(DRAW * N, 0);
            rng::fill(&mut self.waiting);
        }
        let Some((rest, nonce)) = self.waiting.split_last_chunk::<N>() else {
            return rng::bytes();
        };
        let (nonce, rest) = (*nonce, rest.len());
        self.waiting.truncate(rest);
        nonce
    }
}

impl ServiceCipher {
    pub(super) fn new(cipher: Cipher, nonces: Option<Nonces>) -> Self {
        Self {
            cipher,
            nonces: nonces.map(Box::new),
            drawn: Drawn::default(),
        }
    }

    /// Encrypts: `nonce | ciphertext | tag 16`, for RSA the ciphertext alone, for KEMs
    /// `encapsulation | ciphertext | tag 16`. The nonce is random, or follows from the rest where
    /// the key is convergent.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] for a plaintext that is too long: 64 GiB, or
    /// [`ServiceCipher::longest`] bytes.
    pub fn encrypt(&mut self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let Self {
            cipher,
            nonces,
            drawn,
        } = self;
        let nonces = nonces.as_deref();
        match cipher {
            Cipher::Short(key) => {
                let nonce = nonce::<NONCE_LEN>(nonces, drawn, aad, plaintext);
                seal(key, &nonce, nonce, aad, plaintext)
            }
            Cipher::Long(key) => {
                let nonce = nonce::<LONG>(nonces, drawn, aad, plaintext);
                let (key, short) = long(key, &nonce)?;
                seal(&key, &nonce, short, aad, plaintext)
            }
            Cipher::Rsa { len, public, .. } => rsa::seal(public, *len, Digest::Sha2_256, plaintext),
            Cipher::Kem { kem, public, .. } => {
                hpke::seal(*kem, public, label::TRANSIT_KEM, aad, plaintext)
            }
        }
    }

    /// The longest plaintext, where the cipher and not the request bounds it.
    pub fn longest(&self) -> Option<usize> {
        match &self.cipher {
            Cipher::Rsa { len, .. } => Some(rsa::longest(*len)),
            Cipher::Short(_) | Cipher::Long(_) | Cipher::Kem { .. } => None,
        }
    }

    /// Decrypts what [`ServiceCipher::encrypt`] gave.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is shorter than a nonce, or an encapsulation; [`Error::WrongKey`] when it does not
    /// authenticate under this key and this `aad`; [`Error::UnknownVersion`] when only the public
    /// half of the key is here.
    pub fn decrypt(&self, aad: &[u8], sealed: Vec<u8>) -> Result<Secret<Vec<u8>>, Error> {
        match &self.cipher {
            Cipher::Short(key) => {
                open::<NONCE_LEN>(sealed, |nonce, body| Ok(key.open(*nonce, aad, body)?.len()))
            }
            Cipher::Long(key) => open::<LONG>(sealed, |nonce, body| {
                let (key, short) = long(key, nonce)?;
                Ok(key.open(short, aad, body)?.len())
            }),
            Cipher::Rsa { private, .. } if private.expose().is_empty() => {
                Err(Error::UnknownVersion(0))
            }
            Cipher::Kem { seed, .. } if seed.expose().is_empty() => Err(Error::UnknownVersion(0)),
            Cipher::Kem { kem, seed, .. } => {
                hpke::open(*kem, seed.expose(), label::TRANSIT_KEM, aad, &sealed)
            }
            Cipher::Rsa { len, private, .. } => {
                rsa::open(private.expose(), *len, Digest::Sha2_256, &sealed)
            }
        }
    }
}

fn nonce<const N: usize>(
    nonces: Option<&Nonces>,
    drawn: &mut Drawn,
    aad: &[u8],
    plaintext: &[u8],
) -> [u8; N] {
    let Some(nonces) = nonces else {
        return drawn.nonce();
    };
    let mut nonce = [0; N];
    for (to, from) in nonce.iter_mut().zip(nonces.of(aad, plaintext)) {
        *to = from;
    }
    nonce
}

fn seal(
    key: &aead::Key,
    written: &[u8],
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut sealed = Vec::with_capacity(written.len() + plaintext.len() + TAG_LEN);
    sealed.extend_from_slice(written);
    sealed.extend_from_slice(plaintext);
    let body = sealed.get_mut(written.len()..).unwrap_or_default();
    let tag = key.seal_detached(nonce, aad, body)?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

fn open<const N: usize>(
    sealed: Vec<u8>,
    decrypt: impl FnOnce(&[u8; N], &mut [u8]) -> Result<usize, Error>,
) -> Result<Secret<Vec<u8>>, Error> {
    let mut sealed = Secret::new(sealed);
    let buffer = sealed.expose_mut();
    let (nonce, body) = buffer
        .split_first_chunk_mut::<N>()
        .ok_or(Error::Malformed("ciphertext"))?;
    let length = decrypt(nonce, body)?;
    buffer.copy_within(N..N + length, 0);
    buffer.truncate(length);
    Ok(sealed)
}

/// XChaCha20-Poly1305: the key and the nonce of ChaCha20-Poly1305 that a long nonce stands for.
fn long(key: &Secret<[u8; 32]>, nonce: &[u8; LONG]) -> Result<(aead::Key, [u8; NONCE_LEN]), Error> {
    let (head, tail) = nonce
        .split_first_chunk::<16>()
        .ok_or(Error::Malformed("nonce"))?;
    let subkey = Secret::new(hchacha::<R20>(&(*key.expose()).into(), &(*head).into()).0);
    let mut short = [0; NONCE_LEN];
    for (to, from) in short.iter_mut().skip(4).zip(tail) {
        *to = *from;
    }
    Ok((
        aead::Key::new(Algorithm::ChaCha20Poly1305, subkey.expose())?,
        short,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{bytes, list, load};

    #[test]
    fn published_vectors_with_long_nonces() {
        let golden = load("wycheproof/xchacha20_poly1305_test.json");
        let mut tests = 0;
        for group in list(&golden, "testGroups") {
            if group["ivSize"] != 192 || group["keySize"] != 256 || group["tagSize"] != 128 {
                continue;
            }
            for test in list(group, "tests") {
                let key = Secret::new(bytes(test, "key").try_into().unwrap());
                let nonce: [u8; LONG] = bytes(test, "iv").try_into().unwrap();
                let (cipher, short) = long(&key, &nonce).unwrap();
                let (aad, plaintext) = (bytes(test, "aad"), bytes(test, "msg"));
                let sealed = [&nonce[..], &bytes(test, "ct"), &bytes(test, "tag")].concat();
                let valid = test["result"] == "valid";
                let made = seal(&cipher, &nonce, short, &aad, &plaintext).unwrap();
                assert_eq!(made == sealed, valid, "{}", test["tcId"]);
                let whole = ServiceCipher::new(Cipher::Long(key), None);
                let opened = whole.decrypt(&aad, sealed);
                assert_eq!(opened.is_ok(), valid, "{}", test["tcId"]);
                tests += 1;
            }
        }
        assert!(tests > 20, "{tests}");
    }

    #[test]
    fn drawn_nonces_are_used_once() {
        let (mut short, mut long) = (Drawn::default(), Drawn::default());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..5 * DRAW {
            assert!(seen.insert(short.nonce::<NONCE_LEN>().to_vec()));
            assert!(seen.insert(long.nonce::<LONG>().to_vec()));
        }
        let zeros = seen.iter().flatten().filter(|byte| **byte == 0).count();
        assert!(zeros < 100, "{zeros} of 3,600 bytes are zero");
    }

    #[test]
    fn nonces_of_convergent_keys() {
        let nonces = Nonces {
            plain: MacKey::new(&[1; 32]),
            bound: MacKey::new(&[2; 32]),
        };
        assert_eq!(nonces.of(b"", b"p"), nonces.of(b"", b"p"));
        assert_eq!(nonces.of(b"a", b"p"), nonces.of(b"a", b"p"));
        let others = [
            nonces.of(b"", b"p"),
            nonces.of(b"a", b"p"),
            nonces.of(b"b", b"p"),
            nonces.of(b"ap", b""),
            nonces.of(b"", b"ap"),
        ];
        for (index, one) in others.iter().enumerate() {
            assert!(!others[index + 1..].contains(one), "{index}");
        }
    }
}
