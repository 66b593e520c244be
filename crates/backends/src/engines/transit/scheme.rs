//! How a caller wants a signature to be made, read from the members of sign and verify.

use keyfold_core::error::Error;
use keyfold_keys::digest::Digest;
use keyfold_keys::transit::{Family, Padding, Salt, Scheme};

use super::key::Settings;

/// The members; empty where they were left out.
#[derive(Default)]
pub(super) struct Options {
    pub key_version: i64,
    pub mac_length: i64,
    pub algorithm: String,
    pub hash_algorithm: String,
    pub prehashed: bool,
    pub signature_algorithm: String,
    pub marshaling_algorithm: String,
    pub salt_length: String,
}

/// The hash function when nobody says.
pub(super) const USUAL_HASH: &str = "sha2-256";
const PKCS1: &str = "pkcs1v15";

/// A hash function for signatures and tags.
pub(super) fn hash(name: &str) -> Option<Digest> {
    match name {
        "sha1" => Some(Digest::Sha1),
        name => Digest::named(name),
    }
}

impl Options {
    /// The name of the hash function; that of the path comes first.
    pub fn hash_name<'o>(&'o self, in_path: &'o str) -> &'o str {
        match (in_path, &*self.hash_algorithm) {
            ("", "") => USUAL_HASH,
            ("", named) => named,
            (in_path, _) => in_path,
        }
    }

    /// The scheme for a key.
    pub fn scheme(&self, in_path: &str, settings: &Settings) -> Result<Scheme, Error> {
        let name = self.hash_name(in_path);
        let prehashed = self.prehashed;
        let algorithm = &*self.signature_algorithm;
        let family = settings.kind.family();
        if prehashed && matches!(family, Family::MlDsa(_) | Family::Hybrid(..)) {
            return Err(Error::field(
                "prehashed",
                format!(
                    "keys of type {} sign the input itself, never a hash of it",
                    settings.kind.name()
                ),
            ));
        }
        let hash = match name {
            "none" if matches!(family, Family::MlDsa(_)) => None,
            "none" if prehashed && algorithm == PKCS1 => None,
            "none" => {
                return Err(Error::bad(
                    "hash_algorithm=none requires both prehashed=true and \
                     signature_algorithm=pkcs1v15",
                ));
            }
            name => Some(
                hash(name).ok_or_else(|| Error::bad(format!("invalid hash algorithm {name:?}")))?,
            ),
        };
        let salt = self.salt()?;
        let padding = match algorithm {
            PKCS1 => Padding::Pkcs1,
            "" | "pss" => Padding::Pss(salt),
            other if matches!(family, Family::Rsa(_)) => {
                return Err(Error::bad(format!(
                    "unsupported rsa signature algorithm {other}"
                )));
            }
            _ => Padding::Pss(salt),
        };
        Ok(Scheme {
            hash,
            prehashed,
            padding,
            side_by_side: self.jws()?,
        })
    }

    /// The signature is written as JWS has it.
    fn jws(&self) -> Result<bool, Error> {
        match &*self.marshaling_algorithm {
            "" | "asn1" => Ok(false),
            "jws" => Ok(true),
            other => Err(Error::bad(format!("invalid marshaling type {other:?}"))),
        }
    }

    fn salt(&self) -> Result<Salt, Error> {
        let text = match &*self.salt_length {
            "" | "auto" => return Ok(Salt::Auto),
            "hash" => return Ok(Salt::Hash),
            text => text,
        };
        let number: i64 = text.parse().map_err(|_| {
            Error::bad(format!(
                "salt length neither 'auto', 'hash', nor an int: {text}"
            ))
        })?;
        match number {
            0 => Ok(Salt::Auto),
            -1 => Ok(Salt::Hash),
            number => usize::try_from(number)
                .map(Salt::Bytes)
                .map_err(|_| Error::bad(format!("salt length is invalid: {number}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyfold_keys::transit::KeyType;

    #[test]
    fn salts() {
        let salt = |text: &str| {
            let options = Options {
                salt_length: text.to_owned(),
                ..Options::default()
            };
            let scheme = options.scheme("", &Settings::new(KeyType::Rsa2048));
            scheme
                .map(|scheme| scheme.padding)
                .map_err(|error| error.to_string())
        };
        for (text, expected) in [
            ("", Salt::Auto),
            ("auto", Salt::Auto),
            ("0", Salt::Auto),
            ("hash", Salt::Hash),
            ("-1", Salt::Hash),
            ("20", Salt::Bytes(20)),
        ] {
            assert_eq!(salt(text), Ok(Padding::Pss(expected)), "{text}");
        }
        assert!(salt("-2").unwrap_err().contains("invalid: -2"));
        assert!(salt("lots").unwrap_err().contains("nor an int: lots"));
    }
}
