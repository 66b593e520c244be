//! RSA as the numbers that it is: what the library's bindings do not offer. The one file that calls
//! the `rsa` crate.
//!
//! The operation with a public key serves all verifying, since the bindings want to be told the
//! length of a salt before they look. The one with a private key, whose time the crate does not
//! hide, is blinded, and serves only hash functions that the bindings do not know: SHA-1, SHA-224,
//! SHA-3.

use keyfold_secret::Secret;
use rsa::hazmat::{rsa_decrypt_and_check, rsa_encrypt};
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey};
use rsa::{BigUint, Oaep, RsaPrivateKey, RsaPublicKey};

use crate::error::Error;
use crate::rng::Chance;

/// The operation with a public key on a block as long as its modulus; `None` where the block is
/// none.
pub(super) fn public(modulus: &[u8], exponent: &[u8], block: &[u8]) -> Option<Vec<u8>> {
    let number = BigUint::from_bytes_be(block);
    let modulus_number = BigUint::from_bytes_be(modulus);
    if block.len() != modulus.len() || number >= modulus_number {
        return None;
    }
    let key = RsaPublicKey::new(modulus_number, BigUint::from_bytes_be(exponent)).ok()?;
    padded(&rsa_encrypt(&key, &number).ok()?, modulus.len())
}

/// The operation with a private key in PKCS#1.
pub(super) fn private(key: &[u8], block: &[u8]) -> Result<Vec<u8>, Error> {
    let number = BigUint::from_bytes_be(block);
    let done = rsa_decrypt_and_check(&parse(key)?, Some(&mut Chance), &number);
    padded(&done.map_err(|_| Error::Exhausted)?, block.len()).ok_or(Error::Exhausted)
}

/// Decrypts OAEP with SHA-224, which the bindings do not know.
pub(super) fn oaep_sha224(key: &[u8], ciphertext: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    let padding = Oaep::new::<rsa::sha2::Sha224>();
    parse(key)?
        .decrypt_blinded(&mut Chance, padding, ciphertext)
        .map(Secret::new)
        .map_err(|_| Error::WrongKey)
}

/// Encrypts OAEP with SHA-224.
pub(super) fn oaep_sha224_seal(
    modulus: &[u8],
    exponent: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let number = BigUint::from_bytes_be;
    RsaPublicKey::new(number(modulus), number(exponent))
        .and_then(|key| key.encrypt(&mut Chance, Oaep::new::<rsa::sha2::Sha224>(), plaintext))
        .map_err(|_| Error::Exhausted)
}

/// A private key in PKCS#1 from its numbers in decimal: modulus, exponents, two primes.
pub(super) fn from_decimals(
    modulus: &str,
    exponent: &str,
    private: &str,
    primes: [&str; 2],
) -> Result<Secret<Vec<u8>>, Error> {
    const MALFORMED: Error = Error::Malformed("RSA key");
    let number = |text| from_decimal(text).ok_or(MALFORMED);
    let primes = primes.into_iter().map(number).collect::<Result<_, _>>()?;
    let (modulus, exponent) = (number(modulus)?, number(exponent)?);
    RsaPrivateKey::from_components(modulus, exponent, number(private)?, primes)
        .map_err(|_| MALFORMED)?
        .to_pkcs1_der()
        .map(|key| Secret::new(key.as_bytes().to_vec()))
        .map_err(|_| MALFORMED)
}

/// A number in decimal.
pub(in crate::transit) fn to_decimal(number: &[u8]) -> String {
    BigUint::from_bytes_be(number).to_str_radix(10)
}

/// Big-endian bytes of a number in decimal, `len` of them.
pub(in crate::transit) fn decimal_bytes(text: &str, len: usize) -> Option<Vec<u8>> {
    padded(&from_decimal(text)?, len)
}

/// Bytes of a number in decimal, without zeros before it.
pub(super) fn shortest(text: &str) -> Option<Vec<u8>> {
    Some(from_decimal(text)?.to_bytes_be())
}

/// The longest number of a key has 1,233 digits.
const MOST_DIGITS: usize = 1300;

fn from_decimal(text: &str) -> Option<BigUint> {
    let digits = !text.is_empty()
        && text.len() <= MOST_DIGITS
        && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| BigUint::parse_bytes(text.as_bytes(), 10))?
}

fn parse(key: &[u8]) -> Result<RsaPrivateKey, Error> {
    RsaPrivateKey::from_pkcs1_der(key).map_err(|_| Error::Malformed("RSA key"))
}

fn padded(number: &BigUint, len: usize) -> Option<Vec<u8>> {
    let bytes = number.to_bytes_be();
    let zeros = len.checked_sub(bytes.len())?;
    Some([&vec![0; zeros][..], &bytes].concat())
}
