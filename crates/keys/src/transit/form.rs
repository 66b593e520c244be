//! The forms in which keys leave and come: PKCS#1, SEC 1, PKCS#8, `SubjectPublicKeyInfo`, PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_secret::Secret;

use super::key_type::Family;
use super::{Curve, KeyType, ServiceKey, ecdsa, ed25519, rsa};
use crate::der::{self, Reader, tag};
use crate::error::Error;

/// A form that a caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The one that keys of the type usually have: base64 of the bytes, or PEM of PKCS#1 or SEC 1.
    Usual,
    /// Base64 of the bytes.
    Raw,
    /// Base64 of PKCS#8 or of a `SubjectPublicKeyInfo`.
    Der,
    /// The same as PEM.
    Pem,
}

/// `id-Ed25519`.
const ED25519_KEY: &[u8] = &[0x2b, 0x65, 0x70];

impl Form {
    /// The form of that name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "" => Self::Usual,
            "raw" => Self::Raw,
            "der" => Self::Der,
            "pem" => Self::Pem,
            _ => return None,
        })
    }
}

impl ServiceKey {
    /// The private key, or the secret one, in a form; `None` where its type has no such form.
    pub fn private_text(&self, form: Form) -> Option<Secret<String>> {
        let base64 = |bytes: &[u8]| Secret::new(STANDARD.encode(bytes));
        let text = match (self.kind().family(), form) {
            (Family::Ecdsa(curve), Form::Usual) => {
                let key = self.sec1(curve, true);
                pem("EC PRIVATE KEY", key.expose())
            }
            (Family::Rsa(_), Form::Usual) => pem("RSA PRIVATE KEY", self.expose()),
            (Family::Ecdsa(_) | Family::Rsa(_), Form::Raw) => return None,
            (_, Form::Usual | Form::Raw) => return Some(base64(self.expose())),
            (_, Form::Der) => return Some(base64(self.pkcs8()?.expose())),
            (_, Form::Pem) => pem("PRIVATE KEY", self.pkcs8()?.expose()),
        };
        Some(Secret::new(self.ended(text)))
    }

    /// The public key in a form; `None` where its type has no such form, or no public key.
    pub fn public_text(&self, form: Form) -> Option<String> {
        let spki = self.spki()?;
        Some(match (self.kind().family(), form) {
            (Family::Ed25519, Form::Usual | Form::Raw) => STANDARD.encode(self.public()),
            (_, Form::Raw) => return None,
            (_, Form::Der) => STANDARD.encode(spki),
            (_, Form::Usual | Form::Pem) => self.ended(to_pem("PUBLIC KEY", &spki)),
        })
    }

    /// The public key as readers of the key are shown it.
    pub fn public_shown(&self) -> String {
        match (self.kind().family(), self.spki()) {
            (Family::Ed25519, _) => STANDARD.encode(self.public()),
            (_, Some(spki)) => to_pem("PUBLIC KEY", &spki),
            (_, None) => String::new(),
        }
    }

    /// The private key in PKCS#8; `None` for types without a public half.
    pub fn pkcs8(&self) -> Option<Secret<Vec<u8>>> {
        let (name, inner) = match self.kind().family() {
            Family::Ed25519 => {
                let (seed, _) = ed25519::halves(self.expose()).ok()?;
                (ed25519_name(), der::element(tag::OCTETS, seed))
            }
            Family::Ecdsa(curve) => (ec_name(curve), self.sec1(curve, false).into_inner()),
            Family::Rsa(_) => return Some(rsa::pkcs8(self.expose())),
            Family::Aead(_) | Family::Hmac | Family::Cmac(_) => return None,
        };
        let inner = Secret::new(inner);
        let inner = Secret::new(der::element(tag::OCTETS, inner.expose()));
        Some(Secret::new(der::sequence(&[
            &der::integer(&[]),
            &name,
            inner.expose(),
        ])))
    }

    /// The public key as a `SubjectPublicKeyInfo`; `None` for types without one.
    pub fn spki(&self) -> Option<Vec<u8>> {
        spki(self.kind(), self.public())
    }

    /// A key from PKCS#8.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is none, or of another type.
    pub fn from_pkcs8(kind: KeyType, key: &[u8]) -> Result<Self, Error> {
        let mut whole = Reader::new(key);
        let mut outer = whole.sequence()?;
        whole.end()?;
        outer.integer()?;
        let mut name = outer.sequence()?;
        let oid = name.take(tag::OID)?;
        let inner = outer.take(tag::OCTETS)?;
        let other = Error::Malformed("key of another type");
        match kind.family() {
            Family::Ed25519 if oid == ED25519_KEY || names_ed25519(oid, &mut name) => {
                Self::new(kind, ed25519::from_seed(seed(inner)?)?.expose(), None)
            }
            Family::Ecdsa(curve) if oid == ecdsa::EC_KEY => {
                let named = match name.peek() {
                    Some(tag::OID) => Some(name.take(tag::OID)?),
                    _ => None,
                };
                let scalar = scalar(curve, named, inner)?;
                Self::new(kind, scalar.expose(), None)
            }
            Family::Rsa(_) if oid == rsa::RSA_KEY || oid == rsa::PSS_KEY => {
                Self::new(kind, inner, None)
            }
            _ => Err(other),
        }
    }

    /// A public key alone, from a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    ///
    /// As [`ServiceKey::from_pkcs8`].
    pub fn from_spki(kind: KeyType, key: &[u8]) -> Result<Self, Error> {
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
            Family::Aead(_) | Family::Hmac | Family::Cmac(_) => false,
        };
        match fits {
            true => Self::public_only(kind, public),
            false => Err(Error::Malformed("key of another type")),
        }
    }

    /// An ECDSA key in SEC 1, with the name of its curve or without.
    fn sec1(&self, curve: Curve, named: bool) -> Secret<Vec<u8>> {
        let scalar = Secret::new(der::element(tag::OCTETS, self.expose()));
        let name = match named {
            true => der::element(tag::FIRST, &der::element(tag::OID, curve.oid())),
            false => Vec::new(),
        };
        let public = der::element(tag::SECOND, &der::bits(self.public()));
        let one = der::integer(&[1]);
        Secret::new(der::sequence(&[&one, scalar.expose(), &name, &public]))
    }

    /// PEM as existing servers end it: RSA with a line break, others without.
    fn ended(&self, mut text: String) -> String {
        if !matches!(self.kind().family(), Family::Rsa(_)) {
            text.truncate(text.trim_end().len());
        }
        text
    }
}

/// The public key of a type as a `SubjectPublicKeyInfo`.
pub(super) fn spki(kind: KeyType, public: &[u8]) -> Option<Vec<u8>> {
    Some(match kind.family() {
        Family::Ed25519 => der::sequence(&[&ed25519_name(), &der::bits(public)]),
        Family::Ecdsa(curve) => der::sequence(&[&ec_name(curve), &der::bits(public)]),
        Family::Rsa(_) => rsa::spki(public),
        Family::Aead(_) | Family::Hmac | Family::Cmac(_) => return None,
    })
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

fn ed25519_name() -> Vec<u8> {
    der::sequence(&[&der::element(tag::OID, ED25519_KEY)])
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

/// PEM (RFC 7468) with a line break at its end.
pub fn to_pem(label: &str, bytes: &[u8]) -> String {
    pem(label, bytes)
}

fn pem(label: &str, bytes: &[u8]) -> String {
    let body = Secret::new(STANDARD.encode(bytes));
    let body = body.expose();
    let mut text = String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The blocks of PEM with this label that a text holds; `None` where one does not decode, or there
/// is none.
pub fn from_pem(label: &str, text: &str) -> Option<Vec<Vec<u8>>> {
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(&begin) {
        let (body, after) = after.split_once(&end)?;
        let compact: String = body.split_ascii_whitespace().collect();
        blocks.push(STANDARD.decode(compact).ok()?);
        rest = after;
    }
    (!blocks.is_empty()).then_some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        for kind in KeyType::ALL {
            if matches!(kind, KeyType::Rsa3072 | KeyType::Rsa4096) {
                continue;
            }
            let key = ServiceKey::generate(kind, 32).unwrap();
            assert_eq!(key.private_text(Form::Der).is_some(), kind.has_public());
            let Some(pkcs8) = key.pkcs8() else {
                assert!(key.public_text(Form::Usual).is_none());
                continue;
            };
            let again = ServiceKey::from_pkcs8(kind, pkcs8.expose()).unwrap();
            assert_eq!(again.expose(), key.expose());
            let public = ServiceKey::from_spki(kind, &key.spki().unwrap()).unwrap();
            assert_eq!(public.public(), key.public());
            let text = key.public_text(Form::Pem).unwrap();
            assert_eq!(
                from_pem("PUBLIC KEY", &text).unwrap(),
                [key.spki().unwrap()]
            );
            for other in KeyType::ALL.into_iter().filter(|other| *other != kind) {
                assert!(
                    ServiceKey::from_pkcs8(other, pkcs8.expose()).is_err(),
                    "{other:?}"
                );
                assert!(ServiceKey::from_spki(other, &key.spki().unwrap()).is_err());
            }
            for cut in 0..pkcs8.expose().len() {
                assert!(ServiceKey::from_pkcs8(kind, &pkcs8.expose()[..cut]).is_err());
            }
        }
    }

    #[test]
    fn pem_of_several_blocks() {
        let text = format!("words\n{}{}", to_pem("A", &[1; 100]), to_pem("A", &[2; 3]));
        assert_eq!(from_pem("A", &text).unwrap(), [vec![1; 100], vec![2; 3]]);
        for none in [
            "",
            "-----BEGIN A-----",
            "-----BEGIN A-----\n!!\n-----END A-----\n",
        ] {
            assert!(from_pem("A", none).is_none());
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
            for kind in KeyType::ALL {
                for bytes in [&bytes, &pkcs8, &spki] {
                    let _ = ServiceKey::from_pkcs8(kind, bytes);
                    let _ = ServiceKey::from_spki(kind, bytes);
                    let _ = ServiceKey::from_record(kind, bytes);
                }
            }
        }
    }
}
