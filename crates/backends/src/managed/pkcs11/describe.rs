//! What a key of a token is: its type, and its public half.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use keyfold_keys::der::{Reader, tag};
use keyfold_keys::transit::{KeyType as Kind, ServiceKey, curve_of};

use super::key::Target;
use super::terms::Mechanism;
use crate::pkcs11::{Fault, Open};

/// The key, if the token has it.
pub(super) fn find(open: &Open, target: &Target) -> Result<Option<ServiceKey>, Fault> {
    match target.stored.mechanism {
        Mechanism::AesGcm => secret(open, target),
        Mechanism::Ecdsa => curve(open, target),
        Mechanism::RsaOaep | Mechanism::RsaPss | Mechanism::RsaPkcs1 => rsa(open, target),
    }
}

fn secret(open: &Open, target: &Target) -> Result<Option<ServiceKey>, Fault> {
    let found = open.find(&target.named, ObjectClass::SECRET_KEY, KeyType::AES)?;
    let Some(found) = found else {
        return Ok(None);
    };
    let mut kind = None;
    for attribute in open.told(found, &[AttributeType::ValueLen])? {
        if let Attribute::ValueLen(len) = attribute {
            kind = match *len {
                16 => Some(Kind::Aes128Gcm96),
                32 => Some(Kind::Aes256Gcm96),
                _ => None,
            };
        }
    }
    let kind = kind.ok_or_else(|| odd("its AES key has not 128 or 256 bits"))?;
    ServiceKey::elsewhere(kind)
        .map(Some)
        .map_err(|_| odd("it is no key"))
}

fn rsa(open: &Open, target: &Target) -> Result<Option<ServiceKey>, Fault> {
    let private = open.find(&target.named, ObjectClass::PRIVATE_KEY, KeyType::RSA)?;
    let Some(private) = private else {
        return Ok(None);
    };
    // Either object tells, where a token keeps both.
    let public = open.find(&target.named, ObjectClass::PUBLIC_KEY, KeyType::RSA)?;
    let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
    let (mut modulus, mut exponent) = (Vec::new(), Vec::new());
    for attribute in open.told(public.unwrap_or(private), &wanted)? {
        match attribute {
            Attribute::Modulus(bytes) => modulus = bytes,
            Attribute::PublicExponent(bytes) => exponent = bytes,
            _ => {}
        }
    }
    let key = ServiceKey::rsa_public(&modulus, &exponent);
    key.map(Some)
        .map_err(|_| odd("its RSA key has not 2048, 3072 or 4096 bits"))
}

fn curve(open: &Open, target: &Target) -> Result<Option<ServiceKey>, Fault> {
    let private = open.find(&target.named, ObjectClass::PRIVATE_KEY, KeyType::EC)?;
    if private.is_none() {
        return Ok(None);
    }
    let public = open.find(&target.named, ObjectClass::PUBLIC_KEY, KeyType::EC)?;
    let public = public.ok_or_else(|| odd("the token has no public key beside the private one"))?;
    let wanted = [AttributeType::EcParams, AttributeType::EcPoint];
    let (mut kind, mut point) = (None, Vec::new());
    for attribute in open.told(public, &wanted)? {
        match attribute {
            Attribute::EcParams(bytes) => kind = curve_of(&bytes),
            Attribute::EcPoint(bytes) => point = unwrapped(bytes),
            _ => {}
        }
    }
    let kind = kind.ok_or_else(|| odd("its curve is not P-256, P-384 or P-521"))?;
    let key = ServiceKey::public_only(kind, &point);
    key.map(Some)
        .map_err(|_| odd("its public key is no point of the curve"))
}

/// The point: the standard has it in an octet string, and some tokens give it bare.
fn unwrapped(bytes: Vec<u8>) -> Vec<u8> {
    let mut reader = Reader::new(&bytes);
    match reader.take(tag::OCTETS) {
        Ok(point) if reader.is_empty() => point.to_vec(),
        _ => bytes,
    }
}

fn odd(what: &str) -> Fault {
    Fault::Refused(what.to_owned())
}
