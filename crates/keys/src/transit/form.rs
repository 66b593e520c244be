//! The forms in which keys leave: base64, PKCS#1, SEC 1, PKCS#8, `SubjectPublicKeyInfo`, PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_secret::Secret;

use super::key_type::Family;
use super::{ServiceKey, pkcs8, to_pem};

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
                let key = pkcs8::sec1(curve, self.expose(), self.public(), true);
                to_pem("EC PRIVATE KEY", key.expose())
            }
            (Family::Rsa(_), Form::Usual) => to_pem("RSA PRIVATE KEY", self.expose()),
            (Family::Ecdsa(_) | Family::Rsa(_), Form::Raw) => return None,
            (_, Form::Usual | Form::Raw) => return Some(base64(self.expose())),
            (_, Form::Der) => return Some(base64(self.pkcs8()?.expose())),
            (_, Form::Pem) => blocks("PRIVATE KEY", self.kind().family(), self.pkcs8()?.expose()),
        };
        Some(Secret::new(self.ended(text)))
    }

    /// The public key in a form; `None` where its type has no such form, or no public key.
    pub fn public_text(&self, form: Form) -> Option<String> {
        let spki = self.spki()?;
        let family = self.kind().family();
        Some(match (family, form) {
            (Family::Ed25519, Form::Usual | Form::Raw) => STANDARD.encode(self.public()),
            (Family::Ecdsa(_) | Family::Rsa(_), Form::Raw) => return None,
            (_, Form::Raw) => STANDARD.encode(self.public()),
            (_, Form::Der) => STANDARD.encode(spki),
            (_, Form::Usual | Form::Pem) => self.ended(blocks("PUBLIC KEY", family, &spki)),
        })
    }

    /// The public key as readers of the key are shown it.
    pub fn public_shown(&self) -> String {
        match (self.kind().family(), self.spki()) {
            (Family::Ed25519, _) => STANDARD.encode(self.public()),
            (family, Some(spki)) => blocks("PUBLIC KEY", family, &spki),
            (_, None) => String::new(),
        }
    }

    /// PEM as existing servers end it: RSA with a line break, others without.
    fn ended(&self, mut text: String) -> String {
        if !matches!(self.kind().family(), Family::Rsa(_)) {
            text.truncate(text.trim_end().len());
        }
        text
    }
}

/// The PEM of a key: one block, and of a hybrid one for each half.
fn blocks(label: &str, family: Family, der: &[u8]) -> String {
    let halves = match family {
        Family::Hybrid(..) => pkcs8::halves(der).ok(),
        _ => None,
    };
    match halves {
        Some(halves) => halves.map(|half| to_pem(label, half.expose())).concat(),
        None => to_pem(label, der),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transit::{KeyType, from_pem};

    #[test]
    fn every_form_of_every_type() {
        for kind in KeyType::all() {
            if matches!(kind, KeyType::Rsa3072 | KeyType::Rsa4096) {
                continue;
            }
            let key = ServiceKey::generate(kind, 32).unwrap();
            let raw = !matches!(kind.family(), Family::Ecdsa(_) | Family::Rsa(_));
            assert!(key.private_text(Form::Usual).is_some());
            assert_eq!(key.private_text(Form::Raw).is_some(), raw);
            for form in [Form::Der, Form::Pem] {
                assert_eq!(key.private_text(form).is_some(), kind.has_public());
                assert_eq!(key.public_text(form).is_some(), kind.has_public());
            }
            let public_raw = key.public_text(Form::Raw);
            assert_eq!(public_raw.is_some(), raw && kind.has_public());
            let Some(text) = key.public_text(Form::Pem) else {
                assert!(key.public_text(Form::Usual).is_none());
                continue;
            };
            let blocks = from_pem("PUBLIC KEY", &text).unwrap();
            let halves = usize::from(kind.curve_half().is_some());
            assert_eq!(blocks.len(), 1 + halves);
            let private = key.private_text(Form::Pem).unwrap();
            let blocks = from_pem("PRIVATE KEY", private.expose()).unwrap();
            assert_eq!(blocks.len(), 1 + halves);
            let again = ServiceKey::from_public_pem(kind, &text).unwrap();
            assert_eq!(again.public(), key.public());
            if kind != KeyType::Ed25519 {
                let shown = ServiceKey::from_public_pem(kind, &key.public_shown()).unwrap();
                assert_eq!(shown.public(), key.public());
            }
        }
        let error = ServiceKey::from_public_pem(KeyType::XWing, "x").err();
        assert_eq!(error, Some(crate::Error::Malformed("PEM")));
    }
}
