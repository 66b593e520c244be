//! sign: input in, signature out.

use keyfold_api::base64;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_keys::Error as KeyError;
use keyfold_keys::transit::{Ciphertext, Kdf, Scheme, ServiceKey};
use serde::Serialize;

use super::census::Kind;
use super::ciphers::{Ciphers, no_context};
use super::decrypt::NO_PRIVATE_HALF;
use super::key::Settings;
use super::{Transit, inputs, key_name, managed, pace};

/// Members beside the inputs.
pub(super) const USED: [&str; 7] = [
    "context",
    "key_version",
    "hash_algorithm",
    "prehashed",
    "signature_algorithm",
    "marshaling_algorithm",
    "salt_length",
];

#[derive(Serialize, Default)]
pub(super) struct Signed {
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    key_version: u32,
    /// Where the key was derived for a context; outside of batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    /// The same in batches, whose results have it under this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    publickey: Option<String>,
}

impl Signed {
    /// A signature of the key itself.
    pub fn of(key_version: u32, signature: &[u8], scheme: &Scheme) -> Self {
        Self {
            signature: Some(written(key_version, signature, scheme)),
            key_version,
            ..Self::default()
        }
    }
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let (inputs, options) = inputs::decode(call, &USED)?;
    let key = transit.key_or(name, "signing key not found").await?;
    let settings = &key.settings;
    if !settings.signs() {
        return Err(Error::bad(format!(
            "key type {} does not support signing",
            settings.type_name()
        )));
    }
    let scheme = options.scheme(call.param("algorithm"), settings)?;
    let version = settings.signing_version(options.key_version)?;
    let idle = transit.idle(inputs.have_context(), settings.derived)?;
    let versions = std::iter::once(version);
    let mut ciphers = Ciphers::load(transit, call, &key, versions).await?;
    if settings.is_managed() {
        let signed = managed::sign(transit, call, &inputs, &mut ciphers, version, &scheme);
        return Ok(idle.told(signed.await?));
    }
    let reply = inputs
        .answer(|input| {
            let bytes = input.bytes("missing input")?;
            let context = input.context()?;
            let derived = derivation(settings, &context)?;
            let signer = ciphers.key(version)?;
            let signature = pace::slow(settings.kind, || {
                signer.sign(bytes.expose(), &scheme, derived)
            });
            let signature = signature.map_err(refused)?;
            let public = public(signer, derived)?;
            ciphers.note(version, Kind::Sign, bytes.expose().len());
            let (public_key, publickey) = match inputs.batch {
                true => (None, public),
                false => (public, None),
            };
            Ok(Signed {
                signature: Some(written(version, &signature, &scheme)),
                key_version: version,
                public_key,
                publickey,
            })
        })
        .await?;
    Ok(idle.told(reply))
}

/// What a signature is made under: the key itself, or the one derived for a context.
pub(super) fn derivation<'c>(
    settings: &Settings,
    context: &'c [u8],
) -> Result<Option<(&'c [u8], Kdf)>, Error> {
    match (settings.derived, context) {
        (false, _) => Ok(None),
        (true, []) => Err(no_context()),
        (true, context) => Ok(Some((context, settings.kdf))),
    }
}

/// A signature that can't be made or looked at is the caller's mistake.
pub(super) fn refused(error: KeyError) -> Error {
    match error {
        KeyError::Malformed("hash") => Error::field(
            "input",
            "with prehashed, it must be a hash of the hash_algorithm",
        ),
        KeyError::Malformed("salt length") => Error::field("salt_length", "too long for the key"),
        KeyError::Malformed("private key") => Error::bad(NO_PRIVATE_HALF),
        KeyError::Malformed("signature") => Error::bad("supplied signature is invalid"),
        other => other.into(),
    }
}

fn public(signer: &ServiceKey, derived: Option<(&[u8], Kdf)>) -> Result<Option<String>, Error> {
    let Some((context, kdf)) = derived else {
        return Ok(None);
    };
    Ok(Some(base64::encode(&signer.derived_public(context, kdf)?)))
}

/// The text of a signature.
fn written(version: u32, signature: &[u8], scheme: &Scheme) -> String {
    match scheme.side_by_side {
        true => Ciphertext::format_url(version, signature),
        false => Ciphertext::format(version, signature),
    }
}
