//! export: key material in clear, for keys that allow it, and public keys for all.

use std::collections::BTreeMap;

use keyfold_api::{base64, weak};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::{Family, Form, ServiceKey};
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize, Serializer};

use super::decrypt::NO_PRIVATE_HALF;
use super::key::Settings;
use super::{Transit, chains, key_name};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::string")]
    format: Option<String>,
}

#[derive(Serialize)]
struct Exported<'a> {
    keys: BTreeMap<String, Text>,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// Material as text.
struct Text(Secret<String>);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.expose())
    }
}

/// What of a key is exported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Encryption,
    Signing,
    Hmac,
    Public,
    Chain,
}

impl Part {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "encryption-key" => Self::Encryption,
            "signing-key" => Self::Signing,
            "hmac-key" => Self::Hmac,
            "public-key" => Self::Public,
            "certificate-chain" => Self::Chain,
            _ => return None,
        })
    }

    fn allowed(self, settings: &Settings) -> Result<(), Error> {
        let kind = settings.kind;
        let secret = matches!(self, Self::Encryption | Self::Signing | Self::Hmac);
        if secret {
            settings.here("export")?;
            settings.unmarked()?;
        }
        if secret && !settings.exportable {
            return Err(Error::bad("private key material is not exportable"));
        }
        match self {
            Self::Encryption if !kind.encrypts() => {
                Err(Error::bad("encryption not supported for the key"))
            }
            Self::Signing if !kind.signs() => Err(Error::bad("signing not supported for the key")),
            Self::Public if !kind.has_public() => Err(Error::bad(format!(
                "unknown key type {} for export type public-key",
                kind.name()
            ))),
            Self::Chain if !kind.signs() => Err(Error::bad(
                "certificate chain not supported for keys that do not support signing",
            )),
            _ => Ok(()),
        }
    }

    fn text(self, key: &ServiceKey, form: Form) -> Result<Text, Error> {
        let text = match self {
            Self::Encryption | Self::Signing if key.is_public_only() => {
                return Err(Error::bad(NO_PRIVATE_HALF));
            }
            Self::Encryption | Self::Signing => key.private_text(form),
            Self::Hmac if key.hmac_key().is_empty() => return Err(Error::bad(NO_PRIVATE_HALF)),
            Self::Hmac => matches!(form, Form::Usual | Form::Raw)
                .then(|| Secret::new(base64::encode(key.hmac_key()))),
            Self::Public => key.public_text(form).map(Secret::new),
            Self::Chain => None,
        };
        text.map(Text).ok_or_else(|| self.formless(key))
    }

    /// What is answered where the key has no such form.
    fn formless(self, key: &ServiceKey) -> Error {
        let (what, forms) = match key.kind().family() {
            Family::Rsa(_) if self != Self::Hmac => ("rsa", "``, `der`, or `pem`"),
            Family::Ecdsa(_) if self != Self::Hmac => ("ec", "``, `der`, or `pem`"),
            _ => ("symmetric", "`` or `raw`"),
        };
        Error::bad(format!(
            "format: unknown format for {what} key; supported values are {forms}"
        ))
    }
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let asked = call.decode::<Ask>()?;
    let part = call.param("kind");
    let part =
        Part::named(part).ok_or_else(|| Error::bad(format!("invalid export type: {part}")))?;
    let form = asked.format.unwrap_or_default();
    let form = Form::named(&form).ok_or_else(|| Error::bad(format!("invalid format: {form}")))?;
    let key = transit.cache.key(name).await?.ok_or(Error::NotFound)?;
    let settings = &key.settings;
    settings.usable()?;
    part.allowed(settings)?;
    let (from, to) = match call.param("version") {
        "" => (settings.oldest(), settings.latest_version),
        one => {
            let one = version(settings, one)?;
            (one, one)
        }
    };
    let mut keys = BTreeMap::new();
    for version in from..=to {
        let text = match part {
            Part::Chain => {
                let chain = chains::pem(&transit.view, settings, version).await?;
                Text(Secret::new(chain))
            }
            part => part.text(&*transit.cache.version(&key, version).await?, form)?,
        };
        keys.insert(version.to_string(), text);
    }
    if part == Part::Chain && keys.values().all(|chain| chain.0.expose().is_empty()) {
        return Err(Error::bad("no certificate chain is set for the key"));
    }
    Reply::data(&Exported {
        keys,
        name,
        kind: settings.type_name(),
    })
}

/// The version that a path names: `latest`, `5` or `v5`.
pub(super) fn version(settings: &Settings, named: &str) -> Result<u32, Error> {
    if named == "latest" {
        return Ok(settings.latest_version);
    }
    let number = named.strip_prefix('v').unwrap_or(named);
    let number: i64 = number
        .parse()
        .map_err(|_| Error::bad("invalid key version"))?;
    if number < i64::from(settings.oldest()) {
        return Err(Error::bad(
            "version for export is below minimum decryption version",
        ));
    }
    u32::try_from(number)
        .ok()
        .filter(|version| *version <= settings.latest_version)
        .ok_or_else(|| Error::bad("version does not exist or cannot be found"))
}
