//! Signing and verifying, by the type of the key.

use keyfold_secret::Secret;

use super::key_type::Family;
use super::{Kdf, KeyType, ServiceKey, ecdsa, ed25519, hybrid, mac, ml_dsa, rsa};
use crate::digest::Digest;
use crate::error::Error;
use crate::kdf::hkdf_sha256;

/// How a signature is made. What a type of key has no use for is not looked at.
#[derive(Debug, Clone, Copy)]
pub struct Scheme {
    /// What hashes the input; `None` for nothing, where the input is signed as it is.
    pub hash: Option<Digest>,
    /// The input is a hash already.
    pub prehashed: bool,
    /// For RSA.
    pub padding: Padding,
    /// For ECDSA: the two halves stand side by side, as JWS has it, in place of DER.
    pub side_by_side: bool,
}

/// What RSA signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// RSASSA-PSS, its mask by the hash function of the signature.
    Pss(Salt),
    /// RSASSA-PKCS1-v1_5.
    Pkcs1,
}

/// The salt of RSASSA-PSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Salt {
    /// As long as there is room for; of any length when verifying.
    Auto,
    /// As long as the hash.
    Hash,
    /// Of so many bytes.
    Bytes(usize),
}

impl Scheme {
    /// What is signed: the hash, or the input itself.
    pub(super) fn hashed<'i>(&self, input: &'i [u8]) -> std::borrow::Cow<'i, [u8]> {
        match self.hash.filter(|_| !self.prehashed) {
            Some(hash) => hash.of(input).into(),
            None => input.into(),
        }
    }
}

impl ServiceKey {
    /// Signs. With a context, under the key derived for it.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] says which part of the request can't be: the `hash` that the input is to
    /// be, the `salt length`, the `private key` that is not there, a type that does not sign.
    pub fn sign(
        &self,
        input: &[u8],
        scheme: &Scheme,
        context: Option<(&[u8], Kdf)>,
    ) -> Result<Vec<u8>, Error> {
        if self.is_public_only() {
            return Err(Error::Malformed("private key"));
        }
        if let Some((context, kdf)) = context
            && self.kind().family() == Family::Ed25519
        {
            let derived = self.derived_signer(context, kdf)?;
            return ed25519::sign(derived.expose(), input);
        }
        sign(self.kind(), self.expose(), self.public(), input, scheme)
    }

    /// Whether a signature is one of the input.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`]: a `signature` that has not the form of one, and as [`ServiceKey::sign`].
    pub fn verify(
        &self,
        input: &[u8],
        scheme: &Scheme,
        context: Option<(&[u8], Kdf)>,
        signature: &[u8],
    ) -> Result<bool, Error> {
        if let Some((context, kdf)) = context
            && self.kind().family() == Family::Ed25519
        {
            let public = self.derived_public(context, kdf)?;
            return Ok(ed25519::verify(&public, input, signature));
        }
        verify(self.kind(), self.public(), input, scheme, signature)
    }

    /// The public key of the key derived for a context.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for a type whose public keys are not derived.
    pub fn derived_public(&self, context: &[u8], kdf: Kdf) -> Result<Vec<u8>, Error> {
        let derived = self.derived_signer(context, kdf)?;
        Ok(ed25519::halves(derived.expose())?.1.to_vec())
    }

    /// The HMAC of an input under the key that each version has for that.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when the version has none: only its public half is here.
    pub fn hmac(&self, hash: Digest, input: &[u8]) -> Result<Vec<u8>, Error> {
        match self.hmac_key() {
            [] => Err(Error::Malformed("HMAC key")),
            key => mac::hmac(hash, key, input),
        }
    }

    /// The AES-CMAC of an input, 16 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for another type of key.
    pub fn cmac(&self, input: &[u8]) -> Result<Vec<u8>, Error> {
        match self.kind().family() {
            Family::Cmac(_) => mac::cmac(self.expose(), input),
            _ => Err(Error::Malformed("key type")),
        }
    }

    /// A key that this one and another agree on: HKDF-SHA-256 over the shared secret of ECDH, without
    /// salt and info. `peer` is the other's public half.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when one of them is not of ECDSA, they are of two curves, or the type has
    /// no key that bytes make.
    pub fn agree(&self, peer: &Self, kind: KeyType) -> Result<Self, Error> {
        let Family::Ecdsa(curve) = self.kind().family() else {
            return Err(Error::Malformed("key type"));
        };
        if peer.kind() != self.kind() || self.is_public_only() {
            return Err(Error::Malformed("key type"));
        }
        let shared = ecdsa::agree(curve, self.expose(), peer.public())?;
        let len = kind.key_len().filter(|_| kind.is_symmetric());
        let mut key = Secret::new(vec![0; len.ok_or(Error::Malformed("key type"))?]);
        hkdf_sha256(shared.expose(), &[], key.expose_mut())?;
        Self::new(kind, key.expose(), None)
    }

    fn derived_signer(&self, context: &[u8], kdf: Kdf) -> Result<Secret<Vec<u8>>, Error> {
        if self.kind().family() != Family::Ed25519 || self.is_public_only() {
            return Err(Error::Malformed("key type"));
        }
        let mut seed = Secret::new([0; ed25519::LEN]);
        kdf.derive(self.expose(), context, seed.expose_mut())?;
        ed25519::from_seed(seed.expose())
    }
}

/// Signs with key material of a type.
pub(super) fn sign(
    kind: KeyType,
    material: &[u8],
    public: &[u8],
    input: &[u8],
    scheme: &Scheme,
) -> Result<Vec<u8>, Error> {
    match kind.family() {
        Family::Ed25519 => ed25519::sign(material, input),
        Family::Ecdsa(curve) => {
            let hashed = scheme.hashed(input);
            let signature = ecdsa::sign(curve, material, public, &hashed)?;
            match scheme.side_by_side {
                true => ecdsa::to_fixed(curve, &signature),
                false => Ok(signature),
            }
        }
        Family::Rsa(len) => {
            let hashed = scheme.hashed(input);
            rsa::sign(material, len, scheme.padding, scheme.hash, &hashed)
        }
        Family::MlDsa(set) => ml_dsa::sign(set, material, input),
        Family::Hybrid(set, curve) => hybrid::sign((set, curve), material, public, input, scheme),
        Family::Aead(_) | Family::Hmac | Family::Cmac(_) | Family::Kem(_) => {
            Err(Error::Malformed("key type"))
        }
    }
}

/// Whether a signature is one of the input under a public key of a type.
pub(super) fn verify(
    kind: KeyType,
    public: &[u8],
    input: &[u8],
    scheme: &Scheme,
    signature: &[u8],
) -> Result<bool, Error> {
    match kind.family() {
        Family::Ed25519 => Ok(ed25519::verify(public, input, signature)),
        Family::Ecdsa(curve) => {
            let hashed = scheme.hashed(input);
            let whole;
            let signature = match scheme.side_by_side {
                true => {
                    whole = ecdsa::from_fixed(curve, signature)?;
                    &whole
                }
                false => {
                    ecdsa::halves(signature).map_err(|_| Error::Malformed("signature"))?;
                    signature
                }
            };
            ecdsa::verify(curve, public, &hashed, signature)
        }
        Family::Rsa(len) => {
            let hashed = scheme.hashed(input);
            let (padding, hash) = (scheme.padding, scheme.hash);
            rsa::verify(public, len, padding, hash, &hashed, signature)
        }
        Family::MlDsa(set) => Ok(ml_dsa::verify(set, public, input, signature)),
        Family::Hybrid(set, curve) => {
            hybrid::verify((set, curve), public, input, scheme, signature)
        }
        Family::Aead(_) | Family::Hmac | Family::Cmac(_) | Family::Kem(_) => {
            Err(Error::Malformed("key type"))
        }
    }
}
