//! Keys that lie in a device: what is handed to it to be signed, what its signature is on the wire,
//! and its public half in the form that a [`ServiceKey`] has.
//!
//! ```text
//!   input ─ Block::of ─→ hash, padding ──→ device ──→ raw signature ─ signature_of ─→ wire
//! ```

use super::key_type::Family;
use super::signature::{Padding, Scheme};
use super::{Curve, KeyType, ServiceKey, ecdsa, rsa};
use crate::digest::Digest;
use crate::error::Error;

/// What a device signs with one private operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A hash, cut to what counts for the curve.
    Ecdsa(Vec<u8>),
    /// A hash that the device pads as RSASSA-PSS has it.
    Pss {
        /// The function that made it, which makes the mask too.
        hash: Digest,
        /// The hash.
        hashed: Vec<u8>,
        /// Bytes of salt.
        salt: usize,
    },
    /// Bytes that the device pads as RSASSA-PKCS1-v1_5 has it: a `DigestInfo`, or what the caller
    /// sent.
    Pkcs1(Vec<u8>),
}

impl Block {
    /// What is to be signed of an input.
    ///
    /// # Errors
    ///
    /// As [`ServiceKey::sign`]; [`Error::Malformed`] for a type that no device signs with.
    pub fn of(kind: KeyType, scheme: &Scheme, input: &[u8]) -> Result<Self, Error> {
        let hashed = scheme.hashed(input).into_owned();
        let fits = |hash: Digest| match hashed.len() == hash.size() {
            true => Ok(()),
            false => Err(Error::Malformed("hash")),
        };
        match kind.family() {
            Family::Ecdsa(curve) => {
                // As in software: see the length of P-521 there.
                if curve == Curve::P521 && hashed.len() > 64 {
                    return Err(Error::Malformed("hash"));
                }
                let counts = hashed.get(..curve.scalar_len()).unwrap_or(&hashed);
                Ok(Self::Ecdsa(counts.to_vec()))
            }
            Family::Rsa(len) => match scheme.padding {
                Padding::Pss(salt) => {
                    let hash = scheme.hash.ok_or(Error::Malformed("hash"))?;
                    fits(hash)?;
                    let room = len.checked_sub(hash.size() + 2);
                    let salt = rsa::salt_len(salt, hash, len);
                    let salt = salt.filter(|salt| room.is_some_and(|room| *salt <= room));
                    Ok(Self::Pss {
                        hash,
                        salt: salt.ok_or(Error::Malformed("salt length"))?,
                        hashed,
                    })
                }
                Padding::Pkcs1 => {
                    scheme.hash.map_or(Ok(()), fits)?;
                    let info = rsa::digest_info(scheme.hash, &hashed);
                    match info.len() + 11 <= len {
                        true => Ok(Self::Pkcs1(info)),
                        false => Err(Error::Malformed("hash")),
                    }
                }
            },
            _ => Err(Error::Malformed("key type")),
        }
    }
}

/// The signature on the wire of what a device gives: of ECDSA its two halves side by side, which
/// become DER unless the caller wants them so.
///
/// # Errors
///
/// [`Error::Malformed`] when it can't be one of the type.
pub fn signature_of(kind: KeyType, scheme: &Scheme, raw: Vec<u8>) -> Result<Vec<u8>, Error> {
    match kind.family() {
        Family::Ecdsa(curve) if raw.len() != 2 * curve.scalar_len() => {
            Err(Error::Malformed("signature"))
        }
        Family::Ecdsa(curve) if !scheme.side_by_side => ecdsa::from_fixed(curve, &raw),
        _ => Ok(raw),
    }
}

/// The type of keys over a curve that is named by its object identifier, a whole element in DER.
pub fn curve_of(identifier: &[u8]) -> Option<KeyType> {
    [
        (Curve::P256, KeyType::EcdsaP256),
        (Curve::P384, KeyType::EcdsaP384),
        (Curve::P521, KeyType::EcdsaP521),
    ]
    .into_iter()
    .find(|(curve, _)| crate::der::element(crate::der::tag::OID, curve.oid()) == identifier)
    .map(|(_, kind)| kind)
}

impl ServiceKey {
    /// The public half of an RSA key, by its numbers, big-endian.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when the modulus has not 2,048, 3,072 or 4,096 bits, or they are no
    /// numbers of a public key.
    pub fn rsa_public(modulus: &[u8], exponent: &[u8]) -> Result<Self, Error> {
        let modulus = crate::der::strip(modulus);
        let kind = match modulus.len() {
            256 => KeyType::Rsa2048,
            384 => KeyType::Rsa3072,
            512 => KeyType::Rsa4096,
            _ => return Err(Error::Malformed("RSA key")),
        };
        Self::public_only(kind, &rsa::public_of(modulus, exponent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transit::Salt;

    fn scheme(padding: Padding) -> Scheme {
        Scheme {
            hash: Some(Digest::Sha2_256),
            prehashed: false,
            padding,
            side_by_side: false,
        }
    }

    #[test]
    fn what_is_handed_out() {
        let pss = scheme(Padding::Pss(Salt::Auto));
        let hash = Digest::Sha2_256.of(b"x");
        assert_eq!(
            Block::of(KeyType::EcdsaP256, &pss, b"x").unwrap(),
            Block::Ecdsa(hash.clone())
        );
        let Block::Pss { salt, hashed, .. } = Block::of(KeyType::Rsa2048, &pss, b"x").unwrap()
        else {
            panic!("another padding");
        };
        assert_eq!((salt, &hashed), (256 - 32 - 2, &hash));
        let Block::Pkcs1(info) =
            Block::of(KeyType::Rsa2048, &scheme(Padding::Pkcs1), b"x").unwrap()
        else {
            panic!("another padding");
        };
        assert!(info.ends_with(&hash) && info.len() == 51);
        let long = scheme(Padding::Pss(Salt::Bytes(223)));
        assert!(Block::of(KeyType::Rsa2048, &long, b"x").is_err());
        assert!(Block::of(KeyType::Aes256Gcm96, &pss, b"x").is_err());
        let short = Scheme {
            prehashed: true,
            ..pss
        };
        assert!(Block::of(KeyType::Rsa2048, &short, b"x").is_err());
    }

    #[test]
    fn a_key_elsewhere_does_nothing_here() {
        let key = ServiceKey::elsewhere(KeyType::Aes256Gcm96).unwrap();
        let record = key.to_record();
        let read = ServiceKey::from_record(KeyType::Aes256Gcm96, record.expose()).unwrap();
        assert!(read.cipher().is_err() && read.expose().is_empty() && read.hmac_key().is_empty());
        assert!(ServiceKey::elsewhere(KeyType::Rsa2048).is_err());
        assert!(ServiceKey::from_record(KeyType::Rsa2048, record.expose()).is_err());
    }

    #[test]
    fn signatures_of_a_device() {
        let scheme = scheme(Padding::Pkcs1);
        let key = ServiceKey::generate(KeyType::EcdsaP256, 0).unwrap();
        let jws = Scheme {
            side_by_side: true,
            ..scheme
        };
        let raw = key.sign(b"x", &jws, None).unwrap();
        let wire = signature_of(KeyType::EcdsaP256, &scheme, raw.clone()).unwrap();
        assert!(key.verify(b"x", &scheme, None, &wire).unwrap());
        assert_eq!(
            signature_of(KeyType::EcdsaP256, &jws, raw).unwrap().len(),
            64
        );
        assert!(signature_of(KeyType::EcdsaP256, &scheme, vec![1; 63]).is_err());
    }

    #[test]
    fn public_halves() {
        let key = ServiceKey::generate(KeyType::Rsa2048, 0).unwrap();
        let (modulus, exponent) = rsa::split(key.public(), 256).unwrap();
        let same = ServiceKey::rsa_public(modulus, exponent).unwrap();
        assert_eq!(same.public(), key.public());
        assert!(ServiceKey::rsa_public(&[1; 128], exponent).is_err());
        let oid = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        assert_eq!(curve_of(&oid), Some(KeyType::EcdsaP256));
        assert_eq!(curve_of(&oid[1..]), None);
    }
}
