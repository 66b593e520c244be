//! decrypt: ciphertext in, plaintext out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_api::json;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_keys::Error as KeyError;
use keyfold_keys::transit::{Ciphertext, CiphertextError};
use keyfold_secret::Secret;
use serde::{Serialize, Serializer};

use super::batch::Work;
use super::census::Kind;
use super::ciphers::Ciphers;
use super::key::Settings;
use super::request::{Form, Request};
use super::{Transit, key_name, managed, pace};

const FORM: Form = Form {
    input: "ciphertext",
    key_version: false,
    creates: false,
    moves: false,
};

#[derive(Serialize)]
pub(super) struct Decrypted {
    plaintext: Plaintext,
}

impl Decrypted {
    /// What a ciphertext held.
    pub fn of(plaintext: Secret<Vec<u8>>) -> Self {
        Self {
            plaintext: Plaintext(plaintext),
        }
    }
}

/// A plaintext, written as base64. The text is made on the heap, which wipes what is freed: an encoder that hands out
/// pieces would leave them on the stack of the worker.
pub(super) struct Plaintext(pub Secret<Vec<u8>>);

impl Serialize for Plaintext {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(self.0.expose()))
    }
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let text = json::sanitize(call.body.bytes());
    let mut request = Request::parse(&text, &FORM)?;
    call.note_unknown(std::mem::take(&mut request.unknown));
    let work = Work::of(&request, &FORM, 400)?;
    let key = transit.key(name).await?;
    able(&key.settings)?;
    let idle = transit.idle(work.has_context(), key.settings.derived)?;
    if key.settings.is_managed() {
        let reply = managed::decrypt(transit, call, work, &key).await?;
        return Ok(idle.told(reply));
    }
    let named = work.named_versions(&key.settings);
    let mut ciphers = Ciphers::load(transit, call, &key, named).await?;
    let results = work
        .run(&mut ciphers, |task, ciphers| {
            let (context, aad) = (task.context()?, task.associated_data()?);
            task.bindable(ciphers.settings(), &aad)?;
            let (version, plaintext) = {
                let allowed = Settings::trusted_version;
                open(ciphers, allowed, &task.ciphertext()?, &context, &aad)?
            };
            ciphers.note(version, Kind::Decrypt, plaintext.expose().len());
            Ok(Decrypted::of(plaintext))
        })
        .await?;
    Ok(idle.told(work.reply(results)?))
}

/// What a call is answered that needs more than a public key, where nothing else was imported.
pub const NO_PRIVATE_HALF: &str = "the key version has no private half here";

/// Refuses types that do not decrypt.
pub(super) fn able(settings: &Settings) -> Result<(), Error> {
    match settings.encrypts() {
        true => Ok(()),
        false => Err(Error::bad(format!(
            "message decryption not supported for key type {}",
            settings.type_name()
        ))),
    }
}

/// The version that a ciphertext names, if it is `allowed`, and its bytes.
pub(super) fn parts(
    settings: &Settings,
    allowed: impl Fn(&Settings, i64) -> Result<u32, Error>,
    text: &str,
) -> Result<(u32, Vec<u8>), Error> {
    let malformed = |error: CiphertextError| Error::bad(error.to_string());
    let ciphertext = Ciphertext::parse(text).map_err(malformed)?;
    let version = allowed(settings, ciphertext.version)?;
    Ok((version, ciphertext.decode().map_err(malformed)?))
}

/// Opens a ciphertext of a version that is `allowed`: the version, and the plaintext. Whatever is
/// wrong with it is the caller's mistake.
pub(super) fn open(
    ciphers: &mut Ciphers<'_>,
    allowed: impl Fn(&Settings, i64) -> Result<u32, Error>,
    text: &str,
    context: &[u8],
    aad: &[u8],
) -> Result<(u32, Secret<Vec<u8>>), Error> {
    let (version, sealed) = parts(ciphers.settings(), allowed, text)?;
    let kind = ciphers.settings().kind;
    let cipher = ciphers.get(version, context)?;
    let opened = pace::slow(kind, || cipher.decrypt(aad, sealed));
    let plaintext = opened.map_err(|error| match error {
        KeyError::Malformed(_) => Error::bad("invalid ciphertext length"),
        KeyError::UnknownVersion(_) => Error::bad(NO_PRIVATE_HALF),
        KeyError::WrongKey => Error::bad("cipher: message authentication failed"),
        other => other.into(),
    })?;
    Ok((version, plaintext))
}
