//! RSA: OAEP, and signatures by both schemes with every hash function.
//!
//! ```text
//!   sign ──┬─ SHA-256, 384, 512 ─→ the library, in constant time
//!          └─ others ─→ emsa ─→ raw (blinded)
//!   verify ──────────→ raw (public) ─→ emsa
//! ```
//!
//! A private key is an `RSAPrivateKey` of PKCS#1, a public key an `RSAPublicKey`, in DER.

mod emsa;
mod raw;

use std::sync::LazyLock;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{
    KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384,
    OAEP_SHA512_MGF1SHA512, OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaPssSaltLength, RsaSignatureEncoding,
};
use keyfold_secret::Secret;

pub(super) use self::emsa::digest_info;
pub(super) use self::raw::{decimal_bytes, to_decimal};
use super::signature::{Padding, Salt};
use crate::der::{self, Reader, tag};
use crate::digest::Digest;
use crate::error::Error;

/// `rsaEncryption`.
pub(super) const RSA_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// `id-RSASSA-PSS`: what some programs name a key that is to make such signatures alone.
pub(super) const PSS_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];

const MALFORMED: Error = Error::Malformed("RSA key");

/// A new private key with a modulus of `len` bytes.
pub(super) fn generate(len: usize) -> Result<Secret<Vec<u8>>, Error> {
    let size = match len {
        256 => KeySize::Rsa2048,
        384 => KeySize::Rsa3072,
        512 => KeySize::Rsa4096,
        _ => return Err(MALFORMED),
    };
    let pair = KeyPair::generate(size).map_err(|_| Error::Exhausted)?;
    let key: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| Error::Exhausted)?;
    let key = Secret::new(key.as_ref().to_vec());
    let mut reader = Reader::new(key.expose()).sequence()?;
    reader.integer()?;
    reader.sequence()?;
    Ok(Secret::new(reader.take(tag::OCTETS)?.to_vec()))
}

/// The public half of a private key that is in order and has a modulus of `len` bytes.
pub(super) fn public(private: &[u8], len: usize) -> Result<Vec<u8>, Error> {
    KeyPair::from_der(private).map_err(|_| MALFORMED)?;
    let numbers = Numbers::of(private)?;
    let public = der::sequence(&[
        &der::integer(numbers.modulus),
        &der::integer(numbers.exponent),
    ]);
    split(&public, len)?;
    Ok(public)
}

/// Modulus and exponent of a public key whose modulus has `len` bytes, all bits of them.
pub(super) fn split(public: &[u8], len: usize) -> Result<(&[u8], &[u8]), Error> {
    let mut reader = Reader::new(public);
    let mut pair = reader.sequence()?;
    reader.end()?;
    let (modulus, exponent) = (pair.integer()?, pair.integer()?);
    pair.end()?;
    let whole = modulus.len() == len && modulus.first().is_some_and(|first| *first >= 0x80);
    if whole && exponent.last().is_some_and(|last| last % 2 == 1) && exponent.len() <= 4 {
        Ok((modulus, exponent))
    } else {
        Err(MALFORMED)
    }
}

/// A public key from its numbers, big-endian.
pub(super) fn public_of(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::integer(modulus), &der::integer(exponent)])
}

/// The numbers of a private key, big-endian.
pub struct Numbers<'k> {
    pub modulus: &'k [u8],
    pub exponent: &'k [u8],
    pub private: &'k [u8],
    pub primes: [&'k [u8]; 2],
    pub exponents: [&'k [u8]; 2],
    pub coefficient: &'k [u8],
}

impl<'k> Numbers<'k> {
    /// Reads a private key.
    pub fn of(private: &'k [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(private).sequence()?;
        if !reader.integer()?.is_empty() {
            return Err(MALFORMED);
        }
        let numbers = Self {
            modulus: reader.integer()?,
            exponent: reader.integer()?,
            private: reader.integer()?,
            primes: [reader.integer()?, reader.integer()?],
            exponents: [reader.integer()?, reader.integer()?],
            coefficient: reader.integer()?,
        };
        reader.end()?;
        Ok(numbers)
    }
}

/// A private key from its numbers in decimal.
pub(super) fn from_decimals(
    modulus: &str,
    exponent: &str,
    private: &str,
    primes: [&str; 2],
) -> Result<Secret<Vec<u8>>, Error> {
    raw::from_decimals(modulus, exponent, private, primes)
}

/// A public key from its numbers in decimal.
pub(super) fn public_from_decimals(modulus: &str, exponent: &str) -> Result<Vec<u8>, Error> {
    let number = |text| raw::shortest(text).ok_or(MALFORMED);
    Ok(der::sequence(&[
        &der::integer(&number(modulus)?),
        &der::integer(&number(exponent)?),
    ]))
}

/// Signs a hash; without a hash function, bytes as they are. `len` is that of the modulus.
///
/// # Errors
///
/// [`Error::Malformed`] when the hash has not the length of its function, or has no room with its
/// salt.
pub(super) fn sign(
    private: &[u8],
    len: usize,
    padding: Padding,
    hash: Option<Digest>,
    hashed: &[u8],
) -> Result<Vec<u8>, Error> {
    if hash.is_some_and(|hash| hash.size() != hashed.len()) {
        return Err(Error::Malformed("hash"));
    }
    if let Some((encoding, digest)) = encoding(padding, hash, len)? {
        let digest = digest::Digest::import_less_safe(hashed, digest);
        let digest = digest.map_err(|_| Error::Malformed("hash"))?;
        let mut signature = vec![0; len];
        let pair = KeyPair::from_der(private).map_err(|_| MALFORMED)?;
        pair.sign_digest(encoding, &digest, &mut signature)
            .map_err(|_| Error::Malformed("salt length"))?;
        return Ok(signature);
    }
    let block = match (padding, hash) {
        (Padding::Pkcs1, hash) => emsa::pkcs1(hash, hashed, len).ok_or(Error::Malformed("hash"))?,
        (Padding::Pss(salt), Some(hash)) => salt_len(salt, hash, len)
            .and_then(|salt| emsa::pss(hash, hashed, salt, len))
            .ok_or(Error::Malformed("salt length"))?,
        (Padding::Pss(_), None) => return Err(Error::Malformed("hash")),
    };
    raw::private(private, &block)
}

/// Whether a signature is one of a hash.
pub(super) fn verify(
    public: &[u8],
    len: usize,
    padding: Padding,
    hash: Option<Digest>,
    hashed: &[u8],
    signature: &[u8],
) -> Result<bool, Error> {
    let (modulus, exponent) = split(public, len)?;
    let Some(block) = raw::public(modulus, exponent, signature) else {
        return Ok(false);
    };
    Ok(match (padding, hash) {
        (Padding::Pkcs1, hash) => emsa::is_pkcs1(hash, hashed, &block),
        (Padding::Pss(Salt::Auto), Some(hash)) => emsa::is_pss(hash, hashed, None, &block),
        (Padding::Pss(salt), Some(hash)) => {
            emsa::is_pss(hash, hashed, salt_len(salt, hash, len), &block)
        }
        (Padding::Pss(_), None) => false,
    })
}

/// The longest plaintext that OAEP with SHA-256 takes.
pub const fn longest(len: usize) -> usize {
    len - 2 * 32 - 2
}

/// Encrypts with OAEP, the same hash function twice and no label.
pub(super) fn seal(
    public: &[u8],
    len: usize,
    hash: Digest,
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let Some(algorithm) = oaep(hash)? else {
        let (modulus, exponent) = split(public, len)?;
        return raw::oaep_sha224_seal(modulus, exponent, plaintext);
    };
    let key = PublicEncryptingKey::from_der(&spki(public))
        .ok()
        .and_then(|key| OaepPublicEncryptingKey::new(key).ok());
    let mut sealed = vec![0; len];
    key.ok_or(MALFORMED)?
        .encrypt(algorithm, plaintext, &mut sealed, None)
        .map_err(|_| Error::Exhausted)?;
    Ok(sealed)
}

/// Decrypts what [`seal`] gave.
pub(super) fn open(
    private: &[u8],
    len: usize,
    hash: Digest,
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, Error> {
    let Some(algorithm) = oaep(hash)? else {
        return raw::oaep_sha224(private, sealed);
    };
    let key = PrivateDecryptingKey::from_pkcs8(pkcs8(private).expose())
        .ok()
        .and_then(|key| OaepPrivateDecryptingKey::new(key).ok());
    let mut opened = Secret::new(vec![0; len]);
    let plaintext = key
        .ok_or(MALFORMED)?
        .decrypt(algorithm, sealed, opened.expose_mut(), None)
        .map_err(|_| Error::WrongKey)?
        .len();
    opened.expose_mut().truncate(plaintext);
    Ok(opened)
}

/// A private key in PKCS#8.
pub(super) fn pkcs8(private: &[u8]) -> Secret<Vec<u8>> {
    let octets = Secret::new(der::element(tag::OCTETS, private));
    Secret::new(der::sequence(&[
        &der::integer(&[]),
        &algorithm(),
        octets.expose(),
    ]))
}

/// A public key as a `SubjectPublicKeyInfo`.
pub(super) fn spki(public: &[u8]) -> Vec<u8> {
    der::sequence(&[&algorithm(), &der::bits(public)])
}

fn algorithm() -> Vec<u8> {
    der::sequence(&[
        &der::element(tag::OID, RSA_KEY),
        &der::element(tag::NULL, &[]),
    ])
}

/// The library's OAEP; `None` for SHA-224, which it lacks.
fn oaep(hash: Digest) -> Result<Option<&'static OaepAlgorithm>, Error> {
    Ok(Some(match hash {
        Digest::Sha1 => &OAEP_SHA1_MGF1SHA1,
        Digest::Sha2_224 => return Ok(None),
        Digest::Sha2_256 => &OAEP_SHA256_MGF1SHA256,
        Digest::Sha2_384 => &OAEP_SHA384_MGF1SHA384,
        Digest::Sha2_512 => &OAEP_SHA512_MGF1SHA512,
        _ => return Err(Error::Malformed("hash")),
    }))
}

/// The length of a salt that is made.
pub(super) fn salt_len(salt: Salt, hash: Digest, len: usize) -> Option<usize> {
    match salt {
        Salt::Auto => emsa::pss_room(hash, len),
        Salt::Hash => Some(hash.size()),
        Salt::Bytes(count) => Some(count),
    }
}

/// Salts that have room at all: those of a modulus of 4,096 bits with SHA-256.
const SALTS: u16 = 512;

/// The library's encoding, where it has one. It wants encodings that live for ever, so those of
/// every salt are made once.
fn encoding(
    padding: Padding,
    hash: Option<Digest>,
    len: usize,
) -> Result<Option<(&'static RsaSignatureEncoding, &'static digest::Algorithm)>, Error> {
    static SALTED: LazyLock<[Vec<RsaSignatureEncoding>; 3]> = LazyLock::new(|| {
        let salted = |make: fn(RsaPssSaltLength) -> RsaSignatureEncoding| {
            (0..SALTS)
                .map(|count| make(RsaPssSaltLength::Custom(count)))
                .collect()
        };
        [
            salted(|salt| RSA_PSS_SHA256.with_pss_salt_length(salt)),
            salted(|salt| RSA_PSS_SHA384.with_pss_salt_length(salt)),
            salted(|salt| RSA_PSS_SHA512.with_pss_salt_length(salt)),
        ]
    });
    let Some(hash) = hash else {
        return Ok(None);
    };
    let (pkcs1, index, digest): (&'static RsaSignatureEncoding, _, _) = match hash {
        Digest::Sha2_256 => (&RSA_PKCS1_SHA256, 0, &digest::SHA256),
        Digest::Sha2_384 => (&RSA_PKCS1_SHA384, 1, &digest::SHA384),
        Digest::Sha2_512 => (&RSA_PKCS1_SHA512, 2, &digest::SHA512),
        _ => return Ok(None),
    };
    let Padding::Pss(salt) = padding else {
        return Ok(Some((pkcs1, digest)));
    };
    let count = salt_len(salt, hash, len)
        .filter(|count| emsa::pss_room(hash, len).is_some_and(|room| *count <= room));
    let salted = count.and_then(|count| SALTED.get(index)?.get(count));
    let salted = salted.ok_or(Error::Malformed("salt length"))?;
    Ok(Some((salted, digest)))
}

#[cfg(test)]
mod tests;
