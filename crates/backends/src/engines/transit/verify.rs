//! verify: whether a signature, an HMAC or a CMAC is one of an input.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyfold_api::base64;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::{Ciphertext, CiphertextError};
use serde::Serialize;

use super::census::Kind;
use super::ciphers::Ciphers;
use super::inputs::{self, Input, Inputs};
use super::key::Settings;
use super::scheme::Options;
use super::sign::{derivation, refused};
use super::tag::{self, Tag};
use super::{Transit, key_name, pace};

/// Members beside the inputs.
const USED: [&str; 10] = [
    "context",
    "signature",
    "hmac",
    "cmac",
    "mac_length",
    "hash_algorithm",
    "prehashed",
    "signature_algorithm",
    "marshaling_algorithm",
    "salt_length",
];

#[derive(Serialize, Default)]
struct Verified {
    valid: bool,
}

/// What is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Signature,
    Tag(Tag),
}

impl Proof {
    /// The one that an input comes with; a signature before a tag.
    fn of(input: &Input) -> Option<Self> {
        if input.signature.is_some() {
            Some(Self::Signature)
        } else if input.hmac.is_some() {
            Some(Self::Tag(Tag::Hmac))
        } else {
            input.cmac.is_some().then_some(Self::Tag(Tag::Cmac))
        }
    }

    fn text(self, input: &Input) -> &str {
        let text = match self {
            Self::Signature => &input.signature,
            Self::Tag(Tag::Hmac) => &input.hmac,
            Self::Tag(Tag::Cmac) => &input.cmac,
        };
        text.as_deref().unwrap_or_default()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Tag(tag) => tag.name(),
        }
    }

    /// The version that a text names.
    fn version(self, text: &str, settings: &Settings) -> Result<u32, Error> {
        let name = self.name();
        let parsed = Ciphertext::parse(text).map_err(|error| {
            let what = match (self, error) {
                (Self::Tag(_), CiphertextError::Prefix) => " to verify: no prefix",
                (_, CiphertextError::Prefix) => ": no prefix",
                (_, CiphertextError::Fields) => ": wrong number of fields",
                (_, CiphertextError::Version | CiphertextError::Base64) => {
                    ": version number could not be decoded"
                }
            };
            Error::bad(format!("invalid {name}{what}"))
        })?;
        if parsed.version > i64::from(settings.latest_version) {
            return Err(Error::bad(format!("invalid {name}: version is too new")));
        }
        let version = settings
            .decryption_version(parsed.version)
            .map_err(|error| match self {
                Self::Signature => error,
                Self::Tag(_) => Error::bad(format!(
                    "cannot verify {name}: version is too old (disallowed by policy)"
                )),
            })?;
        // Somebody else may have made it.
        settings.uncompromised(version)?;
        Ok(version)
    }
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let (inputs, options) = inputs::decode(call, &USED)?;
    let proof = proof(&inputs)?;
    let key = transit
        .key_or(name, "signature verification key not found")
        .await?;
    let settings = &key.settings;
    let idle = transit.idle(inputs.have_context(), settings.derived)?;
    let in_path = call.param("algorithm");
    let named = inputs
        .list
        .iter()
        .filter_map(|input| proof.version(proof.text(input), settings).ok());
    let mut ciphers = Ciphers::load(transit, call, &key, named).await?;
    let tag = match proof {
        Proof::Tag(tag) => tag,
        Proof::Signature => {
            let reply = signatures(&inputs, settings, &mut ciphers, &options, in_path);
            return Ok(idle.told(reply.await?));
        }
    };
    let maker = tag::Maker::of(
        tag,
        settings,
        options.hash_name(in_path),
        options.mac_length,
    )?;
    let reply = inputs
        .answer(|input| {
            let bytes = input.bytes(tag.missing())?;
            let text = proof.text(input);
            let version = proof.version(text, settings)?;
            let given = base64::decode(payload(text)).map_err(|error| {
                Error::bad(format!(
                    "unable to decode verification {} as base64: {error}",
                    tag.name()
                ))
            })?;
            let made = maker.make(ciphers.key(version)?, bytes.expose())?;
            ciphers.note(version, Kind::Verify, bytes.expose().len());
            let valid = keyfold_secret::Secret::new(made).ct_eq(&given);
            Ok(Verified { valid })
        })
        .await?;
    Ok(idle.told(reply))
}

async fn signatures(
    inputs: &Inputs,
    settings: &Settings,
    ciphers: &mut Ciphers<'_>,
    options: &Options,
    in_path: &str,
) -> Result<Reply, Error> {
    if !settings.kind.signs() {
        return Err(Error::bad(format!(
            "key type {} does not support verification",
            settings.kind.name()
        )));
    }
    let scheme = options.scheme(in_path, settings)?;
    inputs
        .answer(|input| {
            let bytes = input.bytes("missing input")?;
            let context = input.context()?;
            let text = Proof::Signature.text(input);
            let version = Proof::Signature.version(text, settings)?;
            let decoded = match scheme.side_by_side {
                true => URL_SAFE_NO_PAD.decode(payload(text)).ok(),
                false => base64::decode(payload(text)).ok(),
            };
            let signature = decoded.ok_or_else(|| Error::bad("invalid base64 signature value"))?;
            let derived = derivation(settings, &context)?;
            let key = ciphers.key(version)?;
            let valid = pace::slow(settings.kind, || {
                key.verify(bytes.expose(), &scheme, derived, &signature)
            });
            let valid = valid.map_err(refused)?;
            ciphers.note(version, Kind::Verify, bytes.expose().len());
            Ok(Verified { valid })
        })
        .await
}

/// What all inputs come with.
fn proof(inputs: &Inputs) -> Result<Proof, Error> {
    let none = || Error::bad("neither a 'signature' nor an 'hmac' were given to verify");
    let first = inputs.list.first().and_then(Proof::of).ok_or_else(none)?;
    let same = |input: &Input| Proof::of(input) == Some(first);
    match inputs.list.iter().all(same) {
        true => Ok(first),
        false => Err(Error::bad(
            "elements of batch_input must all provide 'signature' or all provide 'hmac'",
        )),
    }
}

/// What follows the version.
fn payload(text: &str) -> &str {
    Ciphertext::parse(text).map_or("", |parsed| parsed.payload())
}
