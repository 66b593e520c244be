//! [`Statement`]: something that is said, signed with Ed25519, so that it holds without whoever said it.
//!
//! The form is DSSE 1.0 (Dead Simple Signing Envelope), which other tools verify too:
//!
//! ```text
//!   { "payload": base64, "payloadType": kind, "signatures": [{ "keyid": …, "sig": base64 }] }
//!
//!   signed:  "DSSEv1 " length(kind) " " kind " " length(payload) " " payload
//! ```
//!
//! What is signed are the bytes of the payload, not a form of them: nothing has to be written anew to
//! be verified, and the kind keeps a statement from being taken for one of another kind.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;
use crate::transit::{Padding, Scheme, ServiceKey};

/// The kind of a receipt for a transit key that was destroyed.
pub const SHRED_RECEIPT: &str = "application/vnd.keyfold.shred-receipt.v1+json";

/// Ed25519 signs the bytes themselves; the rest has no effect.
const SCHEME: Scheme = Scheme {
    hash: None,
    prehashed: false,
    padding: Padding::Pkcs1,
    side_by_side: false,
};

/// A payload with its kind and its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    #[serde(with = "base64_bytes")]
    payload: Vec<u8>,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Signature {
    #[serde(default)]
    keyid: String,
    #[serde(with = "base64_bytes")]
    sig: Vec<u8>,
}

impl Statement {
    /// Signs a payload with an Ed25519 key.
    ///
    /// # Errors
    ///
    /// As [`ServiceKey::sign`].
    pub fn sign(key: &ServiceKey, kind: &str, payload: Vec<u8>) -> Result<Self, Error> {
        let sig = key.sign(&signed(kind, &payload), &SCHEME, None)?;
        Ok(Self {
            payload,
            payload_type: kind.to_owned(),
            signatures: vec![Signature {
                keyid: key_id(key.public()),
                sig,
            }],
        })
    }

    /// Reads one. Nothing is verified.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where it has not the form of one.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(json).map_err(|_| Error::Malformed("statement"))
    }

    /// What was said, if it is of that kind and an Ed25519 key has signed it.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for a statement of another kind; [`Error::WrongKey`] where no signature is
    /// of the key over these bytes.
    pub fn verified(&self, key: &ServiceKey, kind: &str) -> Result<&[u8], Error> {
        if self.payload_type != kind {
            return Err(Error::Malformed("kind of statement"));
        }
        let signed = signed(kind, &self.payload);
        let mut signatures = self.signatures.iter();
        let holds = |s: &Signature| key.verify(&signed, &SCHEME, None, &s.sig) == Ok(true);
        match signatures.any(holds) {
            true => Ok(&self.payload),
            false => Err(Error::WrongKey),
        }
    }

    /// What is said, whoever says it: for those who trust the place where they read it.
    pub fn unverified(&self) -> &[u8] {
        &self.payload
    }
}

/// What a public key is called beside a signature: SHA-256 of its bytes, in hex. Nobody has to believe
/// it; it tells which key to look for.
pub fn key_id(public: &[u8]) -> String {
    hex::encode(Digest::Sha2_256.of(public))
}

fn signed(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        let bytes = STANDARD.decode(&*text);
        bytes.map_err(|_| serde::de::Error::custom("no base64"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transit::KeyType;

    fn key() -> ServiceKey {
        ServiceKey::generate(KeyType::Ed25519, 0).unwrap()
    }

    /// The example of the specification.
    #[test]
    fn what_is_signed() {
        let signed = signed("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            signed,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn whoever_has_the_public_key_can_tell() {
        let (key, other) = (key(), key());
        let made = Statement::sign(&key, "k", b"said".to_vec()).unwrap();
        let json = serde_json::to_vec(&made).unwrap();
        let read = Statement::parse(&json).unwrap();
        assert_eq!(read, made);
        let public = ServiceKey::public_only(KeyType::Ed25519, key.public()).unwrap();
        assert_eq!(read.verified(&public, "k"), Ok(&b"said"[..]));
        assert_eq!(read.verified(&other, "k"), Err(Error::WrongKey));
        assert_eq!(
            read.verified(&public, "l"),
            Err(Error::Malformed("kind of statement"))
        );
        // Of one kind made into one of another.
        let mut turned = read.clone();
        turned.payload_type = "l".to_owned();
        assert_eq!(turned.verified(&public, "l"), Err(Error::WrongKey));
        let mut unsigned = read;
        unsigned.signatures.clear();
        assert_eq!(unsigned.verified(&public, "k"), Err(Error::WrongKey));
    }

    proptest! {
        #[test]
        fn no_changed_byte_and_no_bytes_get_through(at in 0usize..400, to: u8, noise: Vec<u8>) {
            let _no_panic = Statement::parse(&noise);
            let key = key();
            let made = Statement::sign(&key, "kind", b"what is said".to_vec()).unwrap();
            let mut json = serde_json::to_vec(&made).unwrap();
            let place = at % json.len();
            json[place] = to;
            if let Ok(read) = Statement::parse(&json)
                && let Ok(payload) = read.verified(&key, "kind")
            {
                prop_assert_eq!(payload, b"what is said");
            }
        }
    }
}
