//! Private keys in PKCS#8 (RFC 5958) and public keys as a `SubjectPublicKeyInfo`, written and read.
//!
//! ML-DSA and ML-KEM have the forms of RFC 9881 and RFC 9935, of which the seed is written; X-Wing
//! that of its draft, the bare seed. A hybrid, which has no standard form, is a sequence of the two
//! keys, and in PEM two blocks.

use keyfold_secret::Secret;

use super::key_type::Family;
use super::{Curve, KeyType, ServiceKey, ecdsa, ed25519, from_pem, hybrid, ml_dsa, rsa};
use crate::der::{self, Reader, tag};
use crate::error::Error;
use crate::kem::{Kem, ml_kem_private};

/// `id-Ed25519`.
const ED25519_KEY: &[u8] = &[0x2b, 0x65, 0x70];
/// `id-alg-ml-kem-768`, 2.16.840.1.101.3.4.4.2.
const ML_KEM_KEY: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 0x02];
/// `id-XWing`, 1.3.6.1.4.1.62253.25722.
const X_WING_KEY: &[u8] = &[
    0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xe6, 0x2d, 0x81, 0xc8, 0x7a,
];

const OTHER: Error = Error::Malformed("key of another type");

impl ServiceKey {
    /// The private key in PKCS#8; `None` for types without a public half.
    pub fn pkcs8(&self) -> Option<Secret<Vec<u8>>> {
        write(self.kind(), self.expose(), self.public())
    }

    /// The public key as a `SubjectPublicKeyInfo`; `None` for types without one.
    pub fn spki(&self) -> Option<Vec<u8>> {
        spki(self.kind(), self.public())
    }

    /// A key from PKCS#8.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is none, or of another type; it says `seed` where a key was
    /// expanded and its seed is not with it.
    pub fn from_pkcs8(kind: KeyType, key: &[u8]) -> Result<Self, Error> {
        Self::new(kind, material(kind, key)?.expose(), None)
    }

    /// A public key alone, from a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// As [`ServiceKey::from_pkcs8`].
    pub fn from_spki(kind: KeyType, key: &[u8]) -> Result<Self, Error> {
        Self::public_only(kind, &public(kind, key)?)
    }

    /// The same from PEM; of a hybrid, the block of ML-DSA first.
    ///
    /// # Errors
    ///
    /// As [`ServiceKey::from_pkcs8`]; it says `PEM` where the text holds no block.
    pub fn from_public_pem(kind: KeyType, text: &str) -> Result<Self, Error> {
        let blocks = from_pem("PUBLIC KEY", text).unwrap_or_default();
        match (kind.family(), &*blocks) {
            (_, []) => Err(Error::Malformed("PEM")),
            (Family::Hybrid(..), [first, second]) => {
                Self::from_spki(kind, &der::sequence(&[first, second]))
            }
            (Family::Hybrid(..), _) => Err(OTHER),
            (_, [first, ..]) => Self::from_spki(kind, first),
        }
    }
}

fn write(kind: KeyType, material: &[u8], public: &[u8]) -> Option<Secret<Vec<u8>>> {
    let octets = |bytes: &[u8]| Secret::new(der::element(tag::OCTETS, bytes));
    let (name, inner) = match kind.family() {
        Family::Ed25519 => {
            let (seed, _) = ed25519::halves(material).ok()?;
            (named(ED25519_KEY), octets(seed))
        }
        Family::Ecdsa(curve) => (ec_name(curve), sec1(curve, material, public, false)),
        Family::Rsa(_) => return Some(rsa::pkcs8(material)),
        Family::MlDsa(set) => (named(set.oid()), seed_choice(material)),
        Family::Kem(Kem::MlKem768) => (named(ML_KEM_KEY), seed_choice(material)),
        Family::Kem(Kem::XWing) => (named(X_WING_KEY), Secret::new(material.to_vec())),
        Family::Hybrid(set, curve) => {
            let (seed, private) = hybrid::private(material).ok()?;
            let (lattice, point) = hybrid::public(set, public).ok()?;
            let first = write(KeyType::MlDsa(set), seed, lattice)?;
            let second = write(curve.kind(), private, point)?;
            let both = der::sequence(&[first.expose(), second.expose()]);
            return Some(Secret::new(both));
        }
        Family::Aead(_) | Family::Hmac | Family::Cmac(_) => return None,
    };
    let inner = octets(inner.expose());
    let version = der::integer(&[]);
    Some(Secret::new(der::sequence(&[
        &version,
        &name,
        inner.expose(),
    ])))
}

/// The material of a key in PKCS#8.
fn material(kind: KeyType, key: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    if let Family::Hybrid(set, curve) = kind.family() {
        let [first, second] = halves(key)?;
        let first = material(KeyType::MlDsa(set), first.expose())?;
        let second = material(curve.kind(), second.expose())?;
        let both = [first.expose().as_slice(), second.expose()].concat();
        return Ok(Secret::new(both));
    }
    let mut whole = Reader::new(key);
    let mut outer = whole.sequence()?;
    whole.end()?;
    outer.integer()?;
    let mut name = outer.sequence()?;
    let oid = name.take(tag::OID)?;
    let inner = outer.take(tag::OCTETS)?;
    match kind.family() {
        Family::Ed25519 if oid == ED25519_KEY || names_ed25519(oid, &mut name) => {
            ed25519::from_seed(seed(inner)?)
        }
        Family::Ecdsa(curve) if oid == ecdsa::EC_KEY => {
            let named = match name.peek() {
                Some(tag::OID) => Some(name.take(tag::OID)?),
                _ => None,
            };
            scalar(curve, named, inner)
        }
        Family::Rsa(_) if oid == rsa::RSA_KEY || oid == rsa::PSS_KEY => {
            Ok(Secret::new(inner.to_vec()))
        }
        Family::MlDsa(set) if oid == set.oid() => {
            chosen_seed(inner, |seed| ml_dsa::private(set, seed))
        }
        Family::Kem(Kem::MlKem768) if oid == ML_KEM_KEY => chosen_seed(inner, ml_kem_private),
        Family::Kem(Kem::XWing) if oid == X_WING_KEY => Ok(Secret::new(inner.to_vec())),
        _ => Err(OTHER),
    }
}

/// The public key of a type as a `SubjectPublicKeyInfo`.
fn spki(kind: KeyType, public: &[u8]) -> Option<Vec<u8>> {
    let name = match kind.family() {
        Family::Ed25519 => named(ED25519_KEY),
        Family::Ecdsa(curve) => ec_name(curve),
        Family::Rsa(_) => return Some(rsa::spki(public)),
        Family::MlDsa(set) => named(set.oid()),
        Family::Kem(Kem::MlKem768) => named(ML_KEM_KEY),
        Family::Kem(Kem::XWing) => named(X_WING_KEY),
        Family::Hybrid(set, curve) => {
            let (lattice, point) = hybrid::public(set, public).ok()?;
            let first = spki(KeyType::MlDsa(set), lattice)?;
            return Some(der::sequence(&[&first, &spki(curve.kind(), point)?]));
        }
        Family::Aead(_) | Family::Hmac | Family::Cmac(_) => return None,
    };
    Some(der::sequence(&[&name, &der::bits(public)]))
}

/// The public key in a `SubjectPublicKeyInfo`.
fn public(kind: KeyType, key: &[u8]) -> Result<Vec<u8>, Error> {
    if let Family::Hybrid(set, curve) = kind.family() {
        let [first, second] = halves(key)?;
        let mut both = public(KeyType::MlDsa(set), first.expose())?;
        // Halves of other lengths would be taken apart at another place.
        if both.len() != set.public_len() {
            return Err(OTHER);
        }
        both.extend(public(curve.kind(), second.expose())?);
        return Ok(both);
    }
    let mut whole = Reader::new(key);
    let mut outer = whole.sequence()?;
    whole.end()?;
    let mut name = outer.sequence()?;
    let oid = name.take(tag::OID)?;
    let public = outer.bits()?;
    let fits = match kind.family() {
        Family::Ed25519 => oid == ED25519_KEY,
        Family::Ecdsa(curve) => oid == ecdsa::EC_KEY && name.take(tag::OID)? == curve.oid(),
        Family::Rsa(_) => oid == rsa::RSA_KEY || oid == rsa::PSS_KEY,
        Family::MlDsa(set) => oid == set.oid(),
        Family::Kem(Kem::MlKem768) => oid == ML_KEM_KEY,
        Family::Kem(Kem::XWing) => oid == X_WING_KEY,
        Family::Aead(_) | Family::Hmac | Family::Cmac(_) | Family::Hybrid(..) => false,
    };
    match fits {
        true => Ok(public.to_vec()),
        false => Err(OTHER),
    }
}

/// The two structures in a sequence of two.
pub(super) fn halves(both: &[u8]) -> Result<[Secret<Vec<u8>>; 2], Error> {
    let mut whole = Reader::new(both);
    let mut outer = whole.sequence()?;
    whole.end()?;
    let mut half = || {
        let content = outer.take(tag::SEQUENCE)?;
        Ok::<_, Error>(Secret::new(der::element(tag::SEQUENCE, content)))
    };
    let halves = [half()?, half()?];
    outer.end()?;
    Ok(halves)
}

/// An ECDSA key in SEC 1, with the name of its curve or without.
pub(super) fn sec1(curve: Curve, scalar: &[u8], public: &[u8], named: bool) -> Secret<Vec<u8>> {
    let scalar = Secret::new(der::element(tag::OCTETS, scalar));
    let name = match named {
        true => der::element(tag::FIRST, &der::element(tag::OID, curve.oid())),
        false => Vec::new(),
    };
    let public = der::element(tag::SECOND, &der::bits(public));
    let one = der::integer(&[1]);
    Secret::new(der::sequence(&[&one, scalar.expose(), &name, &public]))
}

/// A seed as RFC 9881 and RFC 9935 have it.
fn seed_choice(seed: &[u8]) -> Secret<Vec<u8>> {
    Secret::new(der::element(tag::FIRST_BARE, seed))
}

/// The seed in what these allow: the seed, the expanded key, or both, which have to be of one key.
fn chosen_seed(
    inner: &[u8],
    expand: impl FnOnce(&[u8]) -> Result<Secret<Vec<u8>>, Error>,
) -> Result<Secret<Vec<u8>>, Error> {
    let mut reader = Reader::new(inner);
    let seed = match reader.peek() {
        Some(tag::FIRST_BARE) => reader.take(tag::FIRST_BARE)?,
        Some(tag::SEQUENCE) => {
            let mut both = reader.sequence()?;
            let seed = both.take(tag::OCTETS)?;
            let expanded = both.take(tag::OCTETS)?;
            both.end()?;
            if !expand(seed)?.ct_eq(expanded) {
                return Err(Error::Malformed("private key"));
            }
            seed
        }
        Some(tag::OCTETS) => return Err(Error::Malformed("seed")),
        _ => return Err(Error::Malformed("private key")),
    };
    reader.end()?;
    Ok(Secret::new(seed.to_vec()))
}

/// Ed25519 named as a curve, as NSS does.
fn names_ed25519(oid: &[u8], name: &mut Reader<'_>) -> bool {
    /// What GnuPG and NSS call the curve.
    const CURVE: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01];
    oid == ecdsa::EC_KEY
        && name
            .take(tag::OID)
            .is_ok_and(|curve| curve == CURVE || curve == ED25519_KEY)
}

/// The name of an algorithm without parameters.
fn named(oid: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::element(tag::OID, oid)])
}

fn ec_name(curve: Curve) -> Vec<u8> {
    der::sequence(&[
        &der::element(tag::OID, ecdsa::EC_KEY),
        &der::element(tag::OID, curve.oid()),
    ])
}

/// The seed inside PKCS#8: an octet string in it (RFC 8410), or, as NSS writes it, a structure as of
/// an ECDSA key.
fn seed(inner: &[u8]) -> Result<&[u8], Error> {
    let mut reader = Reader::new(inner);
    match reader.peek() {
        Some(tag::SEQUENCE) => {
            let mut structure = reader.sequence()?;
            structure.integer()?;
            structure.take(tag::OCTETS)
        }
        _ => reader.take(tag::OCTETS),
    }
}

/// The number of an ECDSA key inside PKCS#8, filled up with zeros. The curve stands outside or
/// inside.
fn scalar(curve: Curve, named: Option<&[u8]>, inner: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
    let mut structure = Reader::new(inner).sequence()?;
    structure.integer()?;
    let number = structure.take(tag::OCTETS)?;
    let inside = match structure.peek() {
        Some(tag::FIRST) => Some(Reader::new(structure.take(tag::FIRST)?).take(tag::OID)?),
        _ => None,
    };
    if named.or(inside) != Some(curve.oid()) {
        return Err(Error::Malformed("key of another curve"));
    }
    let number = der::strip(number);
    let zeros = curve.scalar_len().checked_sub(number.len());
    let zeros = zeros.ok_or(Error::Malformed("private key"))?;
    Ok(Secret::new([&vec![0; zeros][..], number].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        for kind in KeyType::all() {
            if matches!(kind, KeyType::Rsa3072 | KeyType::Rsa4096) {
                continue;
            }
            let key = ServiceKey::generate(kind, 32).unwrap();
            assert_eq!(key.pkcs8().is_some(), kind.has_public());
            let Some(pkcs8) = key.pkcs8() else {
                assert!(key.spki().is_none());
                continue;
            };
            let again = ServiceKey::from_pkcs8(kind, pkcs8.expose()).unwrap();
            assert_eq!(again.expose(), key.expose());
            let spki = key.spki().unwrap();
            let public = ServiceKey::from_spki(kind, &spki).unwrap();
            assert_eq!(public.public(), key.public());
            for other in KeyType::all().filter(|other| *other != kind) {
                let error = ServiceKey::from_pkcs8(other, pkcs8.expose()).err();
                assert!(error.is_some(), "{kind:?} as {other:?}");
                assert!(ServiceKey::from_spki(other, &spki).is_err());
            }
            for cut in 0..pkcs8.expose().len() {
                assert!(ServiceKey::from_pkcs8(kind, &pkcs8.expose()[..cut]).is_err());
            }
        }
    }

    /// The forms beside the seed that the standards allow.
    #[test]
    fn expanded_keys() {
        let set = super::super::ParameterSet::MlDsa44;
        for (kind, oid) in [
            (KeyType::MlDsa(set), set.oid()),
            (KeyType::MlKem768, ML_KEM_KEY),
        ] {
            let key = ServiceKey::generate(kind, 0).unwrap();
            let expanded = match kind {
                KeyType::MlKem768 => ml_kem_private(key.expose()),
                _ => ml_dsa::private(set, key.expose()),
            };
            let expanded = der::element(tag::OCTETS, expanded.unwrap().expose());
            let whole = |inner: &[u8]| {
                let inner = der::element(tag::OCTETS, inner);
                der::sequence(&[&der::integer(&[]), &named(oid), &inner])
            };
            let seed = der::element(tag::OCTETS, key.expose());
            let both = whole(&der::sequence(&[&seed, &expanded]));
            let again = ServiceKey::from_pkcs8(kind, &both).unwrap();
            assert_eq!(again.expose(), key.expose());
            let other = vec![7; key.expose().len()];
            let other = der::element(tag::OCTETS, &other);
            let mixed = whole(&der::sequence(&[&other, &expanded]));
            assert!(ServiceKey::from_pkcs8(kind, &mixed).is_err());
            let error = ServiceKey::from_pkcs8(kind, &whole(&expanded)).err();
            assert_eq!(error, Some(Error::Malformed("seed")));
            assert!(ServiceKey::from_pkcs8(kind, &whole(&[])).is_err());
        }
    }

    #[test]
    fn ed25519_as_nss_writes_it() {
        let seed = [7; 32];
        let structure = der::sequence(&[&der::integer(&[1]), &der::element(tag::OCTETS, &seed)]);
        let name = der::sequence(&[
            &der::element(tag::OID, ecdsa::EC_KEY),
            &der::element(tag::OID, ED25519_KEY),
        ]);
        let key = der::sequence(&[
            &der::integer(&[]),
            &name,
            &der::element(tag::OCTETS, &structure),
        ]);
        let key = ServiceKey::from_pkcs8(KeyType::Ed25519, &key).unwrap();
        assert_eq!(key.expose()[..32], seed);
    }

    /// As OpenSSL writes one that is for RSASSA-PSS alone: without parameters.
    #[test]
    fn rsa_keys_that_are_named_for_pss() {
        let key = ServiceKey::generate(KeyType::Rsa2048, 0).unwrap();
        let named = der::sequence(&[&der::element(tag::OID, rsa::PSS_KEY)]);
        let private = der::element(tag::OCTETS, key.expose());
        let whole = der::sequence(&[&der::integer(&[]), &named, &private]);
        let read = ServiceKey::from_pkcs8(KeyType::Rsa2048, &whole).unwrap();
        assert_eq!(read.expose(), key.expose());
        let public = der::sequence(&[&named, &der::bits(key.public())]);
        let read = ServiceKey::from_spki(KeyType::Rsa2048, &public).unwrap();
        assert_eq!(read.public(), key.public());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, at in 0..200_usize, byte: u8) {
            let key = ServiceKey::generate(KeyType::EcdsaP256, 0).unwrap();
            let changed = |mut whole: Vec<u8>| {
                let len = whole.len();
                whole[at % len] = byte;
                whole
            };
            let pkcs8 = changed(key.pkcs8().unwrap().expose().clone());
            let spki = changed(key.spki().unwrap());
            for kind in KeyType::all() {
                for bytes in [&bytes, &pkcs8, &spki] {
                    let _ = ServiceKey::from_pkcs8(kind, bytes);
                    let _ = ServiceKey::from_spki(kind, bytes);
                    let _ = ServiceKey::from_record(kind, bytes);
                }
            }
        }
    }
}
