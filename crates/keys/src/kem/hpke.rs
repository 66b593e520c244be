//! HPKE (RFC 9180) in its base mode, for one message: what is sealed to a public key only the holder
//! of the private key opens. Nothing in it tells who sent it.
//!
//! ```text
//!   encapsulation │ ciphertext │ tag 16
//! ```
//!
//! The suite is HKDF-SHA-256 and AES-256-GCM, after a [`Kem`] by its number of
//! draft-ietf-hpke-pq: 0x0041 or 0x647a. So any library with these opens it.

use keyfold_secret::Secret;

use super::{Kem, SECRET_LEN};
use crate::aead::{Algorithm, Key, NONCE_LEN, TAG_LEN};
use crate::error::Error;
use crate::kdf::{expand_sha256, hmac_sha256};

/// HKDF-SHA-256.
const KDF: u16 = 0x0001;

/// Seals `plaintext` for the holder of a public key. `info` says what for; `aad` belongs to the
/// message and is not sent.
///
/// # Errors
///
/// [`Error::Malformed`] when the public key is none; [`Error::Exhausted`] when the plaintext is longer
/// than 64 GiB.
pub fn seal(
    kem: Kem,
    public: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let (mut sealed, secret) = kem.encapsulate(public)?;
    let (key, nonce) = schedule(kem, Algorithm::Aes256Gcm, secret.expose(), info)?.ready()?;
    let start = sealed.len();
    sealed.reserve_exact(plaintext.len() + TAG_LEN);
    sealed.extend_from_slice(plaintext);
    let (_, body) = sealed.split_at_mut(start);
    let tag = key.seal_detached(nonce, aad, body)?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Opens what [`seal`] gave.
///
/// # Errors
///
/// [`Error::Malformed`] when it is too short, or the seed is none; [`Error::WrongKey`] when it does
/// not authenticate under this seed, this `info` and this `aad`.
pub fn open(
    kem: Kem,
    seed: &[u8],
    info: &[u8],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, Error> {
    let parts = sealed.split_at_checked(kem.encapsulation_len());
    let (encapsulation, body) = parts
        .filter(|(_, body)| body.len() >= TAG_LEN)
        .ok_or(Error::Malformed("ciphertext"))?;
    let secret = kem.decapsulate(seed, encapsulation)?;
    let (key, nonce) = schedule(kem, Algorithm::Aes256Gcm, secret.expose(), info)?.ready()?;
    let mut data = Secret::new(body.to_vec());
    let len = key.open(nonce, aad, data.expose_mut())?.len();
    data.expose_mut().truncate(len);
    Ok(data)
}

/// Key and nonce of the first message.
struct Schedule {
    algorithm: Algorithm,
    key: Secret<Vec<u8>>,
    nonce: [u8; NONCE_LEN],
}

impl Schedule {
    fn ready(self) -> Result<(Key, [u8; NONCE_LEN]), Error> {
        Ok((Key::new(self.algorithm, self.key.expose())?, self.nonce))
    }
}

/// The key schedule of the base mode (RFC 9180, 5.1).
fn schedule(kem: Kem, algorithm: Algorithm, secret: &[u8], info: &[u8]) -> Result<Schedule, Error> {
    let suite = Suite::of(kem, algorithm);
    let context = [
        &[0][..],
        suite.extract(&[], b"psk_id_hash", &[]).expose(),
        suite.extract(&[], b"info_hash", info).expose(),
    ]
    .concat();
    let secret = suite.extract(secret, b"secret", &[]);
    let mut key = Secret::new(vec![0; algorithm.key_len()]);
    suite.expand(&secret, b"key", &context, key.expose_mut())?;
    let mut nonce = [0; NONCE_LEN];
    suite.expand(&secret, b"base_nonce", &context, &mut nonce)?;
    Ok(Schedule {
        algorithm,
        key,
        nonce,
    })
}

/// What every derivation is labelled with (RFC 9180, 4).
struct Suite([u8; 10]);

impl Suite {
    fn of(kem: Kem, algorithm: Algorithm) -> Self {
        let aead: u16 = match algorithm {
            Algorithm::Aes128Gcm => 1,
            Algorithm::Aes256Gcm => 2,
            Algorithm::ChaCha20Poly1305 => 3,
        };
        let [k0, k1] = kem.id().to_be_bytes();
        let [f0, f1] = KDF.to_be_bytes();
        let [a0, a1] = aead.to_be_bytes();
        Self([b'H', b'P', b'K', b'E', k0, k1, f0, f1, a0, a1])
    }

    fn extract(&self, salt: &[u8], label: &[u8], input: &[u8]) -> Secret<[u8; SECRET_LEN]> {
        let labelled = Secret::new([b"HPKE-v1", &self.0[..], label, input].concat());
        Secret::new(hmac_sha256(salt, labelled.expose()))
    }

    fn expand(
        &self,
        key: &Secret<[u8; SECRET_LEN]>,
        label: &[u8],
        context: &[u8],
        out: &mut [u8],
    ) -> Result<(), Error> {
        let len = u16::try_from(out.len()).map_err(|_| Error::Exhausted)?;
        let len = len.to_be_bytes();
        let info = [&len[..], b"HPKE-v1", &self.0, label, context];
        expand_sha256(key.expose(), &info, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{array, bytes, data};

    const KEMS: [Kem; 2] = [Kem::MlKem768, Kem::XWing];

    fn kem(vector: &serde_json::Value) -> Kem {
        let id = vector["kem_id"].as_u64().unwrap();
        KEMS.into_iter()
            .find(|kem| u64::from(kem.id()) == id)
            .unwrap()
    }

    /// Vectors of draft-ietf-hpke-pq: of the suites with HKDF-SHA-256, whose ciphers are others.
    #[test]
    fn published_schedules() {
        let vectors = data("hpke.json");
        for vector in vectors["published"].as_array().unwrap() {
            let kem = kem(vector);
            let seed = bytes(vector, "skRm");
            assert_eq!(kem.public(&seed).unwrap(), bytes(vector, "pkRm"));
            let secret = kem.decapsulate(&seed, &bytes(vector, "enc")).unwrap();
            assert_eq!(secret.expose(), &bytes(vector, "shared_secret"));
            let algorithm = match vector["aead_id"].as_u64() {
                Some(1) => Algorithm::Aes128Gcm,
                _ => Algorithm::ChaCha20Poly1305,
            };
            let info = bytes(vector, "info");
            let schedule = schedule(kem, algorithm, secret.expose(), &info).unwrap();
            assert_eq!(schedule.key.expose(), &bytes(vector, "key"));
            assert_eq!(schedule.nonce, array(vector, "base_nonce"));
            let (key, nonce) = schedule.ready().unwrap();
            let mut sealed = bytes(vector, "ct");
            let opened = key.open(nonce, &bytes(vector, "aad"), &mut sealed);
            assert_eq!(opened.unwrap(), bytes(vector, "pt"));
        }
    }

    /// What the library of another language sealed.
    #[test]
    fn made_elsewhere() {
        let vectors = data("hpke.json");
        for vector in vectors["made_elsewhere"].as_array().unwrap() {
            let (info, aad) = (bytes(vector, "info"), bytes(vector, "aad"));
            let sealed = bytes(vector, "sealed");
            let opened = open(kem(vector), &bytes(vector, "seed"), &info, &aad, &sealed);
            assert_eq!(opened.unwrap().expose(), &bytes(vector, "plaintext"));
        }
    }

    #[test]
    fn what_is_sealed_opens_as_it_was_sealed_only() {
        for kem in KEMS {
            let seed = vec![7; kem.seed_len()];
            let public = kem.public(&seed).unwrap();
            for plaintext in [&b""[..], b"hello", &[9; 5000]] {
                let sealed = seal(kem, &public, b"info", b"aad", plaintext).unwrap();
                let len = kem.encapsulation_len() + plaintext.len() + TAG_LEN;
                assert_eq!(sealed.len(), len);
                let opened = open(kem, &seed, b"info", b"aad", &sealed).unwrap();
                assert_eq!(opened.expose(), plaintext);
                let wrong = |seed: &[u8], info: &[u8], aad: &[u8], sealed: &[u8]| {
                    open(kem, seed, info, aad, sealed).err().unwrap()
                };
                let other = vec![8; kem.seed_len()];
                assert_eq!(wrong(&other, b"info", b"aad", &sealed), Error::WrongKey);
                assert_eq!(wrong(&seed, b"", b"aad", &sealed), Error::WrongKey);
                assert_eq!(wrong(&seed, b"info", b"", &sealed), Error::WrongKey);
                for at in [0, kem.encapsulation_len() - 2, len - 17, len - 1] {
                    let mut changed = sealed.clone();
                    changed[at] ^= 1;
                    assert_eq!(wrong(&seed, b"info", b"aad", &changed), Error::WrongKey);
                }
            }
            let short = vec![0; kem.encapsulation_len() + TAG_LEN - 1];
            for len in [0, 31, short.len()] {
                let error = open(kem, &seed, b"", b"", &short[..len]).err();
                assert_eq!(error, Some(Error::Malformed("ciphertext")));
            }
            assert!(seal(kem, &public[1..], b"", b"", b"x").is_err());
        }
    }
}
