//! [`ServiceKey`]: one version of a service's key.

use keyfold_secret::Secret;

use super::cipher::{Cipher, Nonces};
use super::key_bytes::KeyBytes;
use super::key_type::{Family, Nonces as NonceKind};
use super::{Kdf, KeyType, ServiceCipher, ecdsa, ed25519, hybrid, ml_dsa, rsa};
use crate::aead;
use crate::error::Error;
use crate::kdf::MacKey;
use crate::{kdf, rng};

/// Bytes of the key that each version has for HMAC.
const HMAC_LEN: usize = 32;
/// What the HMAC key of a version is derived with that was stored without one.
const HMAC_LABEL: &[u8] = b"keyfold/transit/hmac-key/1";
/// Lengths of keys for HMAC alone.
pub const HMAC_SIZES: std::ops::RangeInclusive<usize> = 32..=512;

/// First byte of a record that is the material of a cipher and nothing else.
const MATERIAL: u8 = 1;
/// First byte of a record of every type: `2 | u16 | u16 | material | HMAC key | public key`, the
/// two numbers the lengths of the first two, big-endian.
const PARTS: u8 = 2;
/// All of a record of a key without public half that lies in a device.
const ELSEWHERE: u8 = 3;

/// One version of a service's key: its material, in protected pages.
pub struct ServiceKey {
    kind: KeyType,
    /// The material, then the key for HMAC.
    bytes: KeyBytes,
    /// Bytes of the material; none where only the public half is here.
    material: usize,
    /// For types that have one: what the private key stands for.
    public: Box<[u8]>,
}

impl ServiceKey {
    /// A new random key. `size` is the bytes of a key for HMAC alone; other types know theirs.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for a size that is not in [`HMAC_SIZES`].
    pub fn generate(kind: KeyType, size: usize) -> Result<Self, Error> {
        match kind.family() {
            Family::Aead(_) | Family::Cmac(_) => {
                Self::random(kind, kind.key_len().unwrap_or_default())
            }
            Family::Hmac if HMAC_SIZES.contains(&size) => Self::random(kind, size),
            Family::Hmac => Err(Error::Malformed("key size")),
            Family::Ed25519 => {
                let mut seed = Secret::new([0; ed25519::LEN]);
                rng::fill(seed.expose_mut());
                Self::new(kind, ed25519::from_seed(seed.expose())?.expose(), None)
            }
            Family::Ecdsa(curve) => {
                let (private, _) = ecdsa::generate(curve)?;
                Self::new(kind, private.expose(), None)
            }
            Family::Rsa(len) => Self::new(kind, rsa::generate(len)?.expose(), None),
            Family::MlDsa(_) | Family::Kem(_) => {
                let mut seed = Secret::new(vec![0; kind.key_len().unwrap_or_default()]);
                rng::fill(seed.expose_mut());
                Self::new(kind, seed.expose(), None)
            }
            Family::Hybrid(set, curve) => {
                let lattice = Self::generate(KeyType::MlDsa(set), 0)?;
                let curve = Self::generate(curve.kind(), 0)?;
                let both = Secret::new([lattice.expose(), curve.expose()].concat());
                Self::new(kind, both.expose(), None)
            }
        }
    }

    /// The key with this material, and with this key for HMAC or a new one. The material is: of
    /// ciphers and tags the key itself; of Ed25519 seed and public key, of ECDSA the number, of RSA
    /// an `RSAPrivateKey` in DER, of ML-DSA and KEMs the seed, of a hybrid the material of both.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it can't be material of the type.
    pub fn new(kind: KeyType, material: &[u8], hmac: Option<&[u8]>) -> Result<Self, Error> {
        let fits = match kind.family() {
            Family::Hmac => HMAC_SIZES.contains(&material.len()),
            _ => kind.key_len().is_none_or(|len| len == material.len()),
        };
        if !fits || hmac.is_some_and(|hmac| hmac.len() > *HMAC_SIZES.end()) {
            return Err(Error::Malformed("service key"));
        }
        let public = public_half(kind, material)?;
        match hmac.filter(|_| kind.family() != Family::Hmac) {
            Some(hmac) => Self::of(kind, material, hmac, public),
            None => {
                let mut fresh = Secret::new([0; HMAC_LEN]);
                rng::fill(fresh.expose_mut());
                Self::of(kind, material, fresh.expose(), public)
            }
        }
    }

    /// A public key alone: it encrypts and verifies, and does nothing else.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is no public key of the type.
    pub fn public_only(kind: KeyType, public: &[u8]) -> Result<Self, Error> {
        match is_public(kind, public) {
            true => Self::of(kind, &[], &[], public.into()),
            false => Err(Error::Malformed("public key")),
        }
    }

    /// A secret key that lies in a device: nothing of it is here, and it does nothing here.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for a type that has a public half: that is here, see
    /// [`ServiceKey::public_only`].
    pub fn elsewhere(kind: KeyType) -> Result<Self, Error> {
        match kind.has_public() {
            true => Err(Error::Malformed("key type")),
            false => Self::of(kind, &[], &[], Box::default()),
        }
    }

    /// The key that a record holds.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is none of this type.
    pub fn from_record(kind: KeyType, record: &[u8]) -> Result<Self, Error> {
        const MALFORMED: Error = Error::Malformed("service key");
        match record.split_first() {
            Some((&MATERIAL, material)) => {
                let cipher = matches!(kind.family(), Family::Aead(_));
                if !cipher || kind.key_len() != Some(material.len()) {
                    return Err(MALFORMED);
                }
                let mut hmac = Secret::new([0; HMAC_LEN]);
                kdf::hkdf_sha256(material, &[HMAC_LABEL], hmac.expose_mut())?;
                Self::of(kind, material, hmac.expose(), Box::default())
            }
            Some((&PARTS, rest)) => {
                let (material, rest) = rest.split_first_chunk().ok_or(MALFORMED)?;
                let (hmac, rest) = rest.split_first_chunk().ok_or(MALFORMED)?;
                let (material, hmac) = (u16::from_be_bytes(*material), u16::from_be_bytes(*hmac));
                let (material, rest) = rest.split_at_checked(material.into()).ok_or(MALFORMED)?;
                let (hmac, public) = rest.split_at_checked(hmac.into()).ok_or(MALFORMED)?;
                let private = kind.key_len().is_none_or(|len| len == material.len());
                let public_only = material.is_empty() && !public.is_empty();
                if (!private && !public_only) || public.is_empty() == kind.has_public() {
                    return Err(MALFORMED);
                }
                Self::of(kind, material, hmac, public.into())
            }
            Some((&ELSEWHERE, [])) => Self::elsewhere(kind),
            _ => Err(MALFORMED),
        }
    }

    /// The record of the key, to be stored under a DEK.
    pub fn to_record(&self) -> Secret<Vec<u8>> {
        let bytes = self.bytes.expose();
        if bytes.is_empty() && self.public.is_empty() {
            return Secret::new(vec![ELSEWHERE]);
        }
        let length = |len: usize| u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        let mut record = Vec::with_capacity(5 + bytes.len() + self.public.len());
        record.push(PARTS);
        record.extend_from_slice(&length(self.material));
        record.extend_from_slice(&length(bytes.len() - self.material));
        record.extend_from_slice(bytes);
        record.extend_from_slice(&self.public);
        Secret::new(record)
    }

    /// What it is made for.
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// The material; empty where only the public half is here.
    pub fn expose(&self) -> &[u8] {
        let bytes = self.bytes.expose();
        bytes.get(..self.material).unwrap_or_default()
    }

    /// The key for HMAC; of keys made for that, the material.
    pub fn hmac_key(&self) -> &[u8] {
        match self.kind.family() {
            Family::Hmac => self.expose(),
            _ => self.bytes.expose().get(self.material..).unwrap_or_default(),
        }
    }

    /// The public half: of Ed25519 its 32 bytes, of ECDSA the point, uncompressed, of RSA an
    /// `RSAPublicKey` in DER, of ML-DSA and KEMs the bytes of their standard, of a hybrid those of
    /// both. Empty for types without one.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Only the public half is here.
    pub fn is_public_only(&self) -> bool {
        self.material == 0
    }

    /// The cipher of the key itself.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for a type that does not encrypt.
    pub fn cipher(&self) -> Result<ServiceCipher, Error> {
        let cipher = match self.kind.family() {
            Family::Rsa(len) => Cipher::Rsa {
                len,
                public: self.public.clone(),
                private: Secret::new(self.expose().to_vec()),
            },
            Family::Kem(kem) => Cipher::Kem {
                kem,
                public: self.public.clone(),
                seed: Secret::new(self.expose().to_vec()),
            },
            _ => self.ready(self.expose())?,
        };
        Ok(ServiceCipher::new(cipher, None))
    }

    /// The cipher of the key derived for a context; `convergent` where its nonces are to follow
    /// from what is encrypted. Whether the key is used so is a setting of the service's key.
    ///
    /// # Errors
    ///
    /// As [`ServiceKey::cipher`]; [`Error::Exhausted`] for a convergent key of [`Kdf::Counter`].
    pub fn derive(
        &self,
        context: &[u8],
        kdf: Kdf,
        convergent: bool,
    ) -> Result<ServiceCipher, Error> {
        // The cipher's key, the key of nonces, that of nonces with associated data.
        let mut derived = Secret::new([0; 96]);
        let len = self.kind.key_len().unwrap_or_default();
        let wanted = if convergent { len + 64 } else { len };
        let derived = derived.expose_mut().get_mut(..wanted);
        let derived = derived.ok_or(Error::Malformed("key type"))?;
        kdf.derive(self.expose(), context, derived)?;
        let (key, nonces) = derived.split_at(len);
        let nonces = nonces.split_at_checked(32).map(|(plain, bound)| Nonces {
            plain: MacKey::new(plain),
            bound: MacKey::new(bound),
        });
        Ok(ServiceCipher::new(self.ready(key)?, nonces))
    }

    fn ready(&self, key: &[u8]) -> Result<Cipher, Error> {
        match self.kind.family() {
            Family::Aead(NonceKind::Short(algorithm)) => {
                aead::Key::new(algorithm, key).map(Cipher::Short)
            }
            Family::Aead(NonceKind::Long) => {
                let key = key.try_into().map_err(|_| Error::Malformed("key"))?;
                Ok(Cipher::Long(Secret::new(key)))
            }
            _ => Err(Error::Malformed("key type")),
        }
    }

    fn random(kind: KeyType, len: usize) -> Result<Self, Error> {
        let hmac = if kind.family() == Family::Hmac {
            0
        } else {
            HMAC_LEN
        };
        let bytes = KeyBytes::try_init_with(len + hmac, |bytes| {
            rng::fill(bytes);
            Ok(())
        })?;
        Ok(Self {
            kind,
            bytes,
            material: len,
            public: Box::default(),
        })
    }

    fn of(kind: KeyType, material: &[u8], hmac: &[u8], public: Box<[u8]>) -> Result<Self, Error> {
        let hmac = if kind.family() == Family::Hmac {
            &[]
        } else {
            hmac
        };
        let bytes = KeyBytes::try_init_with(material.len() + hmac.len(), |bytes| {
            for (to, from) in bytes.iter_mut().zip(material.iter().chain(hmac)) {
                *to = *from;
            }
            Ok(())
        })?;
        Ok(Self {
            kind,
            bytes,
            material: material.len(),
            public,
        })
    }
}

/// The public half of material, which is looked at for that.
fn public_half(kind: KeyType, material: &[u8]) -> Result<Box<[u8]>, Error> {
    Ok(match kind.family() {
        Family::Aead(_) | Family::Hmac | Family::Cmac(_) => Box::default(),
        Family::Ed25519 => {
            let (seed, public) = ed25519::halves(material)?;
            let whole = ed25519::from_seed(seed)?;
            if ed25519::halves(whole.expose())?.1 != public {
                return Err(Error::Malformed("private key"));
            }
            public.into()
        }
        Family::Ecdsa(curve) => ecdsa::public(curve, material)?.into(),
        Family::Rsa(len) => rsa::public(material, len)?.into(),
        Family::MlDsa(set) => ml_dsa::public(set, material)?.into(),
        Family::Hybrid(set, curve) => {
            let (seed, private) = hybrid::private(material)?;
            let mut both = ml_dsa::public(set, seed)?;
            both.extend(public_half(curve.kind(), private)?);
            both.into()
        }
        Family::Kem(kem) => kem.public(material)?.into(),
    })
}

/// Whether these bytes are a public key of the type.
fn is_public(kind: KeyType, public: &[u8]) -> bool {
    match kind.family() {
        Family::Aead(_) | Family::Hmac | Family::Cmac(_) => false,
        Family::Ed25519 => public.len() == ed25519::LEN,
        Family::Ecdsa(curve) => ecdsa::is_point(curve, public),
        Family::Rsa(len) => rsa::split(public, len).is_ok(),
        Family::MlDsa(set) => ml_dsa::is_public(set, public),
        Family::Hybrid(set, curve) => hybrid::public(set, public).is_ok_and(|(lattice, point)| {
            ml_dsa::is_public(set, lattice) && is_public(curve.kind(), point)
        }),
        Family::Kem(kem) => kem.is_public(public),
    }
}

#[cfg(test)]
mod tests;
