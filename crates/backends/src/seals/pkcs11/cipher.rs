//! Wraps and unwraps inside the HSM.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use keyfold_core::ports::seal::{Blob, SealError};
use keyfold_keys::{Share, rng};
use keyfold_secret::Secret;

use super::fault::told;
use super::terms::{Mechanism, Terms};
use crate::pkcs11::{Fault, Hash, NONCE_LEN, Open, gcm, oaep, of, of_decryption};

/// The first byte of what an AES key wrapped.
const GCM: u8 = 1;

pub(super) fn wrap(open: &Open, terms: &Terms, share: &Share) -> Result<Blob, SealError> {
    let (handle, mechanism) = encryptor(open, terms).map_err(told)?;
    let key_id = name(open, handle).map_err(told)?;
    let bytes = match mechanism {
        Mechanism::AesGcm => {
            let mut nonce = rng::bytes::<NONCE_LEN>();
            let sealed = gcm(&mut nonce, &[], |call| {
                let sealed = open.session.encrypt(call, handle, share.as_bytes());
                sealed.map_err(|e| of(&e))
            });
            let sealed = sealed.map_err(told)?;
            [&[GCM], nonce.as_slice(), &sealed].concat()
        }
        Mechanism::RsaOaep => {
            let call = oaep(terms.hash);
            let sealed = open.session.encrypt(&call, handle, share.as_bytes());
            let sealed = sealed.map_err(|e| told(of(&e)))?;
            [&[terms.hash.byte()], sealed.as_slice()].concat()
        }
    };
    Ok(Blob { key_id, bytes })
}

pub(super) fn unwrap(open: &Open, terms: &Terms, bytes: &[u8]) -> Result<Share, SealError> {
    let foreign = || SealError::Foreign("the wrap is none of an HSM".into());
    let Some((&kind, rest)) = bytes.split_first() else {
        return Err(foreign());
    };
    let plain = if kind == GCM {
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(foreign)?;
        let handle = open.needed(&terms.named, ObjectClass::SECRET_KEY, KeyType::AES);
        let handle = handle.map_err(told)?;
        let opened = gcm(&mut nonce.to_owned(), &[], |call| {
            let opened = open.session.decrypt(call, handle, sealed);
            opened.map_err(|e| of_decryption(&e))
        });
        opened.map_err(told)?
    } else {
        let call = oaep(Hash::of_byte(kind).ok_or_else(foreign)?);
        let handle = open.needed(&terms.named, ObjectClass::PRIVATE_KEY, KeyType::RSA);
        let opened = open.session.decrypt(&call, handle.map_err(told)?, rest);
        opened.map_err(|e| told(of_decryption(&e)))?
    };
    let plain = Secret::new(plain);
    Share::from_bytes(plain.expose()).map_err(|_| foreign())
}

/// The key that wraps: as the mechanism says, else whichever there is.
fn encryptor(open: &Open, terms: &Terms) -> Result<(ObjectHandle, Mechanism), Fault> {
    let aes = || {
        let key = open.needed(&terms.named, ObjectClass::SECRET_KEY, KeyType::AES);
        Ok((key?, Mechanism::AesGcm))
    };
    let rsa = || {
        let key = open.needed(&terms.named, ObjectClass::PUBLIC_KEY, KeyType::RSA);
        Ok((key?, Mechanism::RsaOaep))
    };
    match terms.mechanism {
        Some(Mechanism::AesGcm) => aes(),
        Some(Mechanism::RsaOaep) => rsa(),
        None => aes().or_else(|_: Fault| rsa()),
    }
}

/// `label:id` of a key, the id in hex.
fn name(open: &Open, key: ObjectHandle) -> Result<String, Fault> {
    let (mut label, mut id) = (String::new(), String::new());
    for attribute in open.told(key, &[AttributeType::Label, AttributeType::Id])? {
        match attribute {
            Attribute::Label(bytes) => label = String::from_utf8_lossy(&bytes).into_owned(),
            Attribute::Id(bytes) => id = hex::encode(bytes),
            _ => {}
        }
    }
    Ok(format!("{label}:{id}"))
}
