//! `keyfold transit import`, `import-version`: key material that was made elsewhere. It is wrapped
//! here for the server's wrapping key, so nobody on the way sees it.

use std::io::Read as _;

use clap::Args;
use keyfold_api::base64;
use keyfold_client::Request;
use keyfold_keys::digest::Digest;
use keyfold_keys::transit::{self, KeyType, ServiceKey, from_pem};
use keyfold_secret::Secret;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::CliError;
use crate::logical;
use crate::pairs;
use crate::session::Session;

/// Arguments of `transit import` and `import-version`.
#[derive(Args)]
pub(crate) struct ImportArgs {
    /// The key: transit/keys/NAME
    #[arg(value_name = "MOUNT/keys/NAME", value_parser = Place::parse)]
    key: Place,
    /// Where the material lies: @FILE, or - for standard input; or the material itself, which then
    /// stands in the shell's history. Base64 of the bytes of a symmetric key, of the PKCS#8 form (DER)
    /// of a private one; or PEM
    #[arg(value_name = "MATERIAL", allow_hyphen_values = true)]
    material: String,
    /// Settings: type=TYPE, hash_function=SHA256, exportable=true, …
    #[arg(value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

/// A key's mount and its path.
#[derive(Clone)]
struct Place {
    mount: String,
    key: String,
}

#[derive(Deserialize)]
struct WrappingKey {
    data: PublicKey,
}

#[derive(Deserialize)]
struct PublicKey {
    public_key: String,
}

/// Which of the two calls.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    /// A new key.
    Import,
    /// Another version of a key.
    ImportVersion,
}

/// Wraps and sends.
pub(crate) fn run(session: &Session, args: &ImportArgs, call: Call) -> Result<(), CliError> {
    let material = material(&args.material)?;
    let mut members = pairs::object(&args.settings, &mut std::io::empty())?;
    let hash = members
        .entry("hash_function")
        .or_insert_with(|| "SHA256".into());
    let hash = hash.as_str().and_then(digest).ok_or_else(|| {
        CliError::Usage("hash_function has to be SHA1, SHA224, SHA256, SHA384 or SHA512".into())
    })?;
    let holder = wrapping_key(session, &args.key.mount)?;
    let wrapped = transit::wrap(&holder, hash, material.expose());
    let wrapped = wrapped.map_err(|_| CliError::Answer("wrapping key"))?;
    members.insert("ciphertext".to_owned(), base64::encode(&wrapped).into());
    send(session, &args.key, call, &members)
}

fn send(
    session: &Session,
    place: &Place,
    call: Call,
    members: &Map<String, Value>,
) -> Result<(), CliError> {
    let (below, what) = match call {
        Call::Import => ("import", "Imported the key"),
        Call::ImportVersion => ("import_version", "Imported a version of the key"),
    };
    let path = format!("{}/keys/{}/{below}", place.mount, place.key);
    let answer = session.call(&Request::write(&path, members)?)?;
    let sentence = format!("Success! {what}: {}/keys/{}", place.mount, place.key);
    logical::shown(session, &answer, &sentence)
}

/// Whom the material is wrapped for.
fn wrapping_key(session: &Session, mount: &str) -> Result<ServiceKey, CliError> {
    let answer = session.ask(&Request::read(&format!("{mount}/wrapping_key")))?;
    let found: WrappingKey = answer.success()?.json()?;
    let keys = from_pem("PUBLIC KEY", &found.data.public_key);
    let first = keys.and_then(|keys| keys.into_iter().next());
    first
        .and_then(|key| ServiceKey::from_spki(KeyType::Rsa4096, &key).ok())
        .ok_or(CliError::Answer("wrapping key"))
}

/// The bytes of the key.
fn material(argument: &str) -> Result<Secret<Vec<u8>>, CliError> {
    let text = match argument.strip_prefix('@') {
        Some(file) => {
            let read = std::fs::read_to_string(file);
            read.map_err(CliError::io(file.to_owned()))?
        }
        None if argument == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(CliError::io("standard input"))?;
            text
        }
        None => argument.to_owned(),
    };
    let text = Secret::new(text);
    let pem = from_pem("PRIVATE KEY", text.expose()).and_then(|keys| keys.into_iter().next());
    let bytes = match pem {
        Some(bytes) => Some(bytes),
        None => base64::decode(text.expose().trim()).ok(),
    };
    let bytes = bytes.filter(|bytes| !bytes.is_empty());
    bytes.map(Secret::new).ok_or_else(|| {
        CliError::Usage("the material has to be base64, or a PEM text with a PRIVATE KEY".into())
    })
}

fn digest(name: &str) -> Option<Digest> {
    Some(match name.to_ascii_uppercase().replace('-', "").as_str() {
        "SHA1" => Digest::Sha1,
        "SHA224" => Digest::Sha2_224,
        "SHA256" => Digest::Sha2_256,
        "SHA384" => Digest::Sha2_384,
        "SHA512" => Digest::Sha2_512,
        _ => return None,
    })
}

impl Place {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (mount, key) = text
            .trim_matches('/')
            .rsplit_once("/keys/")
            .filter(|(mount, key)| !mount.is_empty() && !key.is_empty() && !key.contains('/'))
            .ok_or("it has to be MOUNT/keys/NAME")?;
        Ok(Self {
            mount: mount.to_owned(),
            key: key.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = Place::parse("/team/transit/keys/k").unwrap();
        assert_eq!(
            (place.mount.as_str(), place.key.as_str()),
            ("team/transit", "k")
        );
        for wrong in ["transit/k", "keys/k", "transit/keys/", "transit/keys/a/b"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn material_is_base64_or_pem() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k");
        std::fs::write(&file, "AAEC\n").unwrap();
        let at = format!("@{}", file.display());
        for argument in ["AAEC", " AAEC\n", &at] {
            assert_eq!(material(argument).ok().unwrap().expose(), &[0, 1, 2]);
        }
        let pem = "-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE KEY-----\n";
        assert_eq!(material(pem).ok().unwrap().expose(), &[0, 1, 2]);
        for wrong in ["", "nonsense!", "@/nonexistent"] {
            assert!(material(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hash_functions() {
        assert!(digest("sha2-256").is_none() && digest("sha256").is_some());
        assert!(digest("SHA-384").is_some() && digest("MD5").is_none());
    }
}
