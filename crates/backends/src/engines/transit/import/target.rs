//! What is imported: a wrapped key, or a public key in clear.

use keyfold_api::base64;
use keyfold_core::error::Error;
use keyfold_keys::Error as KeyError;
use keyfold_keys::digest::Digest;
use keyfold_keys::transit::{KeyType, ServiceKey, unwrap};
use keyfold_secret::Secret;

use super::wrapping;
use crate::engines::transit::{Transit, pace};

/// Key material that a caller sent.
pub(super) enum Material {
    /// Under the wrapping key.
    Wrapped { blob: Vec<u8>, hash: Digest },
    /// In PEM.
    Public(String),
}

/// A hash function of OAEP by its name.
pub(in crate::engines::transit) fn hash(name: &str) -> Result<Digest, Error> {
    match name.to_ascii_uppercase().as_str() {
        "" | "SHA256" | "SHA-256" => Ok(Digest::Sha2_256),
        "SHA1" | "SHA-1" => Ok(Digest::Sha1),
        "SHA224" | "SHA-224" => Ok(Digest::Sha2_224),
        "SHA384" | "SHA-384" => Ok(Digest::Sha2_384),
        "SHA512" | "SHA-512" => Ok(Digest::Sha2_512),
        _ => Err(Error::bad(format!("unknown hash function: {name}"))),
    }
}

impl Material {
    /// One of the two, and not both.
    pub fn of(
        ciphertext: Option<Secret<String>>,
        public_key: Option<String>,
        hash_function: Option<&str>,
    ) -> Result<Self, Error> {
        let hash = hash(hash_function.unwrap_or_default())?;
        let ciphertext = ciphertext.filter(|text| !text.expose().is_empty());
        let public_key = public_key.filter(|text| !text.is_empty());
        match (ciphertext, public_key) {
            (Some(text), None) => {
                let blob = base64::decode(text.expose());
                let blob = blob.map_err(|error| Error::field("ciphertext", error))?;
                Ok(Self::Wrapped { blob, hash })
            }
            (None, Some(pem)) => Ok(Self::Public(pem)),
            (None, None) => Err(Error::bad("neither ciphertext nor public_key was given")),
            (Some(_), Some(_)) => Err(Error::bad(
                "ciphertext and public_key were both given: a private key brings its public key",
            )),
        }
    }

    /// The key in it.
    pub async fn open(&self, transit: &Transit, kind: KeyType) -> Result<ServiceKey, Error> {
        let (blob, hash) = match self {
            Self::Public(_) if !kind.has_public() => {
                return Err(Error::bad(
                    "provided type does not support public_key import",
                ));
            }
            Self::Public(pem) => {
                return ServiceKey::from_public_pem(kind, pem).map_err(|error| match error {
                    KeyError::Malformed("PEM") => Error::field("public_key", "not in PEM format"),
                    _ => Error::field("public_key", format!("no {} key", kind.full_name())),
                });
            }
            Self::Wrapped { blob, hash } => (blob, *hash),
        };
        let wrapping = wrapping::key(transit).await?;
        pace::slow(wrapping.kind(), || {
            let target = unwrap(&wrapping, hash, blob).map_err(refused)?;
            let target = target.expose();
            let key = match kind.has_public() {
                true => ServiceKey::from_pkcs8(kind, target),
                false => ServiceKey::new(kind, target, None),
            };
            key.map_err(|error| match kind.has_public() {
                true if error == KeyError::Malformed("seed") => Error::field(
                    "ciphertext",
                    "holds an expanded key without the seed that it was made from, which is what is \
                     kept here",
                ),
                true => Error::field(
                    "ciphertext",
                    format!("holds no {} key in PKCS#8", kind.full_name()),
                ),
                false => Error::bad(format!(
                    "error importing key: invalid key size {} bytes for key type {}",
                    target.len(),
                    kind.name()
                )),
            })
        })
    }
}

/// A blob that does not open is the caller's mistake.
fn refused(error: KeyError) -> Error {
    match error {
        KeyError::Malformed("ciphertext") => Error::bad("provided ciphertext is too short"),
        KeyError::Malformed("ephemeral key") => {
            Error::bad("expected ephemeral AES key to be 256-bit")
        }
        _ => Error::field(
            "ciphertext",
            "does not open: it was made for another wrapping key, or with another hash_function",
        ),
    }
}
