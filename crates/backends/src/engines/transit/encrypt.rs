//! encrypt: plaintext in, ciphertext out. Where the key is not there, the caller may create and
//! upsert is on, the key is made: in the same call, and only when an item succeeds with it.

use keyfold_api::json;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::Ciphertext;
use serde::Serialize;

use super::batch::{Results, Task, Work};
use super::census::Kind;
use super::ciphers::Ciphers;
use super::key::Settings;
use super::request::{Form, Request};
use super::upsert::NewKey;
use super::{Transit, key_name, managed};

const FORM: Form = Form {
    input: "plaintext",
    key_version: true,
    creates: true,
    moves: false,
};

#[derive(Serialize)]
pub(super) struct Encrypted {
    ciphertext: String,
    key_version: u32,
}

impl Encrypted {
    /// Bytes that a version sealed.
    pub fn of(key_version: u32, sealed: &[u8]) -> Self {
        Self {
            ciphertext: Ciphertext::format(key_version, sealed),
            key_version,
        }
    }
}

/// Whether the key is there, for the policy check: encrypting under a new name creates.
pub(super) async fn exists(transit: &Transit, call: &Call<'_>) -> Result<bool, Error> {
    Ok(transit.cache.key(key_name(call)?).await?.is_some())
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let text = json::sanitize(call.body.bytes());
    let mut request = Request::parse(&text, &FORM)?;
    call.note_unknown(std::mem::take(&mut request.unknown));
    let work = Work::of(&request, &FORM, 400)?;
    let key = match transit.cache.key(name).await? {
        Some(key) => key,
        None if call.creates => {
            let new = NewKey::of(transit, name, &request, work.has_context()).await?;
            let results = encrypt(&work, &mut new.ciphers(transit, call)).await?;
            if !results.any() || new.commit(transit, name, call.now).await? {
                return work.reply(results);
            }
            // Another call has made the key meanwhile.
            transit.key(name).await?
        }
        None => return Err(transit.missing(name, "encryption key not found").await),
    };
    key.settings.usable()?;
    able(&key.settings)?;
    let idle = transit.idle(work.has_context(), key.settings.derived)?;
    if key.settings.is_managed() {
        let reply = managed::encrypt(transit, call, work, &key).await?;
        return Ok(idle.told(reply));
    }
    let asked = work.asked_versions(&key.settings);
    let mut ciphers = Ciphers::load(transit, call, &key, asked).await?;
    let results = encrypt(&work, &mut ciphers).await?;
    Ok(idle.told(work.reply(results)?))
}

async fn encrypt<'r>(
    work: &Work<'r>,
    ciphers: &mut Ciphers<'_>,
) -> Result<Results<'r, Encrypted>, Error> {
    work.run(ciphers, |task: &Task<'_>, ciphers| {
        let plaintext = task.plaintext()?;
        let (context, aad) = (task.context()?, task.associated_data()?);
        let key_version = ciphers.settings().encryption_version(task.key_version()?)?;
        task.bindable(ciphers.settings(), &aad)?;
        let sealed = seal(ciphers, key_version, &context, &aad, plaintext.expose())?;
        ciphers.note(key_version, Kind::Encrypt, plaintext.expose().len());
        Ok(Encrypted::of(key_version, &sealed))
    })
    .await
}

/// Refuses types that do not encrypt.
pub(super) fn able(settings: &Settings) -> Result<(), Error> {
    match settings.encrypts() {
        true => Ok(()),
        false => Err(Error::bad(format!(
            "message encryption not supported for key type {}",
            settings.type_name()
        ))),
    }
}

/// Seals a plaintext that may be too long for the key.
pub(super) fn seal(
    ciphers: &mut Ciphers<'_>,
    version: u32,
    context: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let kind = ciphers.settings().kind;
    let cipher = ciphers.get(version, context)?;
    if let Some(longest) = cipher
        .longest()
        .filter(|longest| plaintext.len() > *longest)
    {
        return Err(Error::bad(format!(
            "plaintext: {} bytes are too long for {}, which takes {longest} at most",
            plaintext.len(),
            kind.name()
        )));
    }
    Ok(cipher.encrypt(aad, plaintext)?)
}
