//! Wraps and unwraps inside the HSM.

use cryptoki::mechanism::Mechanism as Call;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsOaepParams, PkcsOaepSource};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use keyfold_core::ports::seal::{Blob, SealError};
use keyfold_keys::{Share, rng};
use keyfold_secret::Secret;

use super::fault::{of, of_decryption};
use super::terms::{Hash, Mechanism, Terms};
use super::token::Open;

/// The first byte of what an AES key wrapped.
const GCM: u8 = 1;
const NONCE_LEN: usize = 12;
const TAG_BITS: u64 = 128;

pub(super) fn wrap(open: &Open, terms: &Terms, share: &Share) -> Result<Blob, SealError> {
    let (handle, mechanism) = encryptor(open, terms)?;
    let key_id = open.name(handle)?;
    let bytes = match mechanism {
        Mechanism::AesGcm => {
            let mut nonce = rng::bytes::<NONCE_LEN>();
            let sealed = gcm(&mut nonce, |call| {
                open.session
                    .encrypt(call, handle, share.as_bytes())
                    .map_err(|e| of(&e))
            })?;
            [&[GCM], nonce.as_slice(), &sealed].concat()
        }
        Mechanism::RsaOaep => {
            let call = oaep(terms.hash);
            let sealed = open.session.encrypt(&call, handle, share.as_bytes());
            [&[terms.hash.byte()], sealed.map_err(|e| of(&e))?.as_slice()].concat()
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
        let handle = open.find(terms, ObjectClass::SECRET_KEY)?;
        gcm(&mut nonce.to_owned(), |call| {
            open.session
                .decrypt(call, handle, sealed)
                .map_err(|e| of_decryption(&e))
        })?
    } else {
        let call = oaep(Hash::of_byte(kind).ok_or_else(foreign)?);
        let handle = open.find(terms, ObjectClass::PRIVATE_KEY)?;
        let opened = open.session.decrypt(&call, handle, rest);
        opened.map_err(|e| of_decryption(&e))?
    };
    let plain = Secret::new(plain);
    Share::from_bytes(plain.expose()).map_err(|_| foreign())
}

/// Calls with the parameters of AES-GCM, which borrow the nonce.
fn gcm(
    nonce: &mut [u8; NONCE_LEN],
    act: impl FnOnce(&Call<'_>) -> Result<Vec<u8>, SealError>,
) -> Result<Vec<u8>, SealError> {
    let params = GcmParams::new(nonce, &[], TAG_BITS.into()).map_err(|e| of(&e))?;
    act(&Call::AesGcm(params))
}

fn oaep(hash: Hash) -> Call<'static> {
    let (hash, mask) = hash.parts();
    Call::RsaPkcsOaep(PkcsOaepParams::new(hash, mask, PkcsOaepSource::empty()))
}

/// The key that wraps: as the mechanism says, else whichever there is.
fn encryptor(open: &Open, terms: &Terms) -> Result<(ObjectHandle, Mechanism), SealError> {
    let aes = || {
        Ok((
            open.find(terms, ObjectClass::SECRET_KEY)?,
            Mechanism::AesGcm,
        ))
    };
    let rsa = || {
        Ok((
            open.find(terms, ObjectClass::PUBLIC_KEY)?,
            Mechanism::RsaOaep,
        ))
    };
    match terms.mechanism {
        Some(Mechanism::AesGcm) => aes(),
        Some(Mechanism::RsaOaep) => rsa(),
        None => aes().or_else(|_: SealError| rsa()),
    }
}

impl Open {
    /// The one key of a class with the label and the id that are configured.
    fn find(&self, terms: &Terms, class: ObjectClass) -> Result<ObjectHandle, SealError> {
        let kind = match class {
            ObjectClass::SECRET_KEY => KeyType::AES,
            _ => KeyType::RSA,
        };
        let mut wanted = vec![Attribute::Class(class), Attribute::KeyType(kind)];
        if let Some(label) = &terms.label {
            wanted.push(Attribute::Label(label.clone().into_bytes()));
        }
        if let Some(id) = &terms.id {
            wanted.push(Attribute::Id(id.clone()));
        }
        let found = self.session.find_objects(&wanted).map_err(|e| of(&e))?;
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(SealError::Refused("the token has no such key".into())),
            _ => Err(SealError::Refused(
                "the token has several such keys: name it by id".into(),
            )),
        }
    }

    /// `label:id` of a key, the id in hex.
    fn name(&self, key: ObjectHandle) -> Result<String, SealError> {
        let wanted = [AttributeType::Label, AttributeType::Id];
        let found = self
            .session
            .get_attributes(key, &wanted)
            .map_err(|e| of(&e))?;
        let (mut label, mut id) = (String::new(), String::new());
        for attribute in found {
            match attribute {
                Attribute::Label(bytes) => label = String::from_utf8_lossy(&bytes).into_owned(),
                Attribute::Id(bytes) => id = hex::encode(bytes),
                _ => {}
            }
        }
        Ok(format!("{label}:{id}"))
    }
}
