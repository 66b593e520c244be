//! hmac and cmac: input in, tag out.

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_keys::Error as KeyError;
use keyfold_keys::digest::Digest;
use keyfold_keys::transit::{Ciphertext, Family, ServiceKey};
use serde::Serialize;

use super::census::Kind;
use super::ciphers::Ciphers;
use super::decrypt::NO_PRIVATE_HALF;
use super::key::Settings;
use super::{Transit, inputs, key_name, scheme};

/// Bytes of a CMAC when nobody says, which is all of it.
const CMAC_LEN: usize = 16;

#[derive(Serialize, Default)]
struct Made {
    #[serde(skip_serializing_if = "Option::is_none")]
    hmac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmac: Option<String>,
}

/// A kind of tag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// Every key has one for it.
    Hmac,
    /// For keys that are made for it.
    Cmac,
}

impl Tag {
    /// Its name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hmac => "HMAC",
            Self::Cmac => "CMAC",
        }
    }

    /// Members beside the inputs.
    fn used(self) -> [&'static str; 2] {
        match self {
            Self::Hmac => ["algorithm", "key_version"],
            Self::Cmac => ["mac_length", "key_version"],
        }
    }

    /// What the census calls one that was made.
    pub fn kind(self) -> Kind {
        match self {
            Self::Hmac => Kind::Hmac,
            Self::Cmac => Kind::Cmac,
        }
    }

    /// What an input that is left out is answered.
    pub fn missing(self) -> &'static str {
        match self {
            Self::Hmac => "missing input for HMAC",
            Self::Cmac => "missing input for CMAC",
        }
    }
}

/// How tags of one request are made.
pub(super) enum Maker {
    Hmac(Digest),
    Cmac(usize),
}

impl Maker {
    /// A way that the key allows.
    pub fn of(tag: Tag, settings: &Settings, algorithm: &str, length: i64) -> Result<Self, Error> {
        if tag == Tag::Hmac {
            let hash = scheme::hash(algorithm).map(Self::Hmac);
            return hash.ok_or_else(|| Error::bad(format!("unsupported algorithm {algorithm:?}")));
        }
        if !matches!(settings.kind.family(), Family::Cmac(_)) {
            return Err(Error::bad(format!(
                "key type {} does not support CMAC",
                settings.kind.name()
            )));
        }
        let length = match length {
            0 => Some(CMAC_LEN),
            length => usize::try_from(length)
                .ok()
                .filter(|length| *length <= CMAC_LEN),
        };
        let length = length.ok_or_else(|| Error::field("mac_length", "must be from 1 to 16"))?;
        Ok(Self::Cmac(length))
    }

    /// The tag of an input.
    pub fn make(&self, key: &ServiceKey, input: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Hmac(hash) => key.hmac(*hash, input).map_err(|error| match error {
                KeyError::Malformed(_) => Error::bad(NO_PRIVATE_HALF),
                other => other.into(),
            }),
            Self::Cmac(length) => {
                let mut tag = key.cmac(input)?;
                tag.truncate(*length);
                Ok(tag)
            }
        }
    }
}

pub(super) async fn hmac(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    run(transit, call, Tag::Hmac).await
}

pub(super) async fn cmac(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    run(transit, call, Tag::Cmac).await
}

async fn run(transit: &Transit, call: &Call<'_>, tag: Tag) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let (inputs, options) = inputs::decode(call, &tag.used())?;
    let key = transit.key(name).await?;
    let settings = &key.settings;
    let algorithm = match (call.param("algorithm"), &*options.algorithm) {
        ("", "") => scheme::USUAL_HASH,
        ("", algorithm) => algorithm,
        (in_path, _) => in_path,
    };
    let maker = Maker::of(tag, settings, algorithm, options.mac_length)?;
    let version = version(tag, settings, options.key_version)?;
    let versions = std::iter::once(version);
    let mut ciphers = Ciphers::load(transit, call, &key, versions).await?;
    inputs
        .answer(|input| {
            let bytes = input.bytes(tag.missing())?;
            let made = maker.make(ciphers.key(version)?, bytes.expose())?;
            ciphers.note(version, tag.kind(), bytes.expose().len());
            let text = Some(Ciphertext::format(version, &made));
            Ok(match tag {
                Tag::Hmac => Made {
                    hmac: text,
                    cmac: None,
                },
                Tag::Cmac => Made {
                    hmac: None,
                    cmac: text,
                },
            })
        })
        .await
}

/// The version that a call asks for; 0 asks for the latest.
fn version(tag: Tag, settings: &Settings, asked: i64) -> Result<u32, Error> {
    settings.makes()?;
    let latest = settings.latest_version;
    if asked == 0 {
        settings.uncompromised(latest)?;
        return Ok(latest);
    }
    if asked > i64::from(latest) {
        return Err(Error::bad(format!(
            "key version does not exist; latest key version is {latest}"
        )));
    }
    let oldest = settings.min_encryption_version.max(settings.oldest());
    let version = u32::try_from(asked).ok();
    let version = version.filter(|version| *version >= oldest);
    let version = version.ok_or_else(|| {
        Error::bad(format!(
            "cannot generate {}: version is too old (disallowed by policy)",
            tag.name()
        ))
    })?;
    settings.uncompromised(version)?;
    Ok(version)
}
