//! rewrap: ciphertext in, ciphertext of the newest version out. No plaintext leaves the server.
//!
//! Beyond what existing servers do, it takes `associated_data`, and it tells with `rewrapped`
//! whether it did anything: a ciphertext of the wanted version comes back as it is. It is decrypted
//! all the same, because an answer without error is a promise that the ciphertext, with its context
//! and associated data, opens. With `to_key` an item is encrypted under another key of the mount: see
//! [`destinations`](super::destinations).
//!
//! A batch in which items failed is answered with 200 unless the caller asks for another status, as
//! clients of existing servers know it; each failed item carries its `error`.

use std::borrow::Cow;

use keyfold_api::json;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::Ciphertext;
use serde::Serialize;

use super::batch::{Task, Work};
use super::census::Kind;
use super::ciphers::Ciphers;
use super::decrypt::{self, open};
use super::destinations::{Destinations, Others};
use super::encrypt::seal;
use super::key::Settings;
use super::request::{Form, Request};
use super::{Transit, key_name, managed};

const FORM: Form = Form {
    input: "ciphertext",
    key_version: true,
    creates: false,
    moves: true,
};

#[derive(Serialize)]
pub(super) struct Rewrapped<'r> {
    ciphertext: Cow<'r, str>,
    key_version: u32,
    rewrapped: bool,
}

impl<'r> Rewrapped<'r> {
    /// A ciphertext that is as it should be.
    pub fn same(ciphertext: Cow<'r, str>, key_version: u32) -> Self {
        Self {
            ciphertext,
            key_version,
            rewrapped: false,
        }
    }

    /// Bytes that a version sealed.
    pub fn new(key_version: u32, sealed: &[u8]) -> Self {
        Self {
            ciphertext: Ciphertext::format(key_version, sealed).into(),
            key_version,
            rewrapped: true,
        }
    }
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let text = json::sanitize(call.body.bytes());
    let mut request = Request::parse(&text, &FORM)?;
    call.note_unknown(std::mem::take(&mut request.unknown));
    let work = Work::of(&request, &FORM, 200)?;
    let key = transit.key(name).await?;
    decrypt::able(&key.settings)?;
    let destinations = Destinations::of(transit, call, &work, name).await?;
    let derived = key.settings.derived || destinations.derived();
    let idle = transit.idle(work.has_context(), derived)?;
    if key.settings.is_managed() || destinations.managed() {
        let reply = managed::rewrap(transit, call, work, &key, &destinations).await?;
        return Ok(idle.told(reply));
    }
    let versions = work
        .named_versions(&key.settings)
        .chain(work.asked_versions(&key.settings));
    let mut ciphers = Ciphers::load(transit, call, &key, versions).await?;
    let mut others = destinations.ciphers(transit, call, &work).await?;
    let results = work
        .run(&mut ciphers, |task, own| rewrap(task, own, &mut others))
        .await?;
    Ok(idle.told(work.reply(results)?))
}

fn rewrap<'r>(
    task: &Task<'r>,
    own: &mut Ciphers<'_>,
    others: &mut Others<'_>,
) -> Result<Rewrapped<'r>, Error> {
    let (context, aad) = (task.context()?, task.associated_data()?);
    task.bindable(own.settings(), &aad)?;
    let ciphertext = task.ciphertext()?;
    let other = others.of(task)?;
    // The plaintext is not shown: what a compromised version made is moved to another so.
    let allowed = Settings::decryption_version;
    let (version, plaintext) = open(own, allowed, &ciphertext, &context, &aad)?;
    let plaintext = plaintext.expose();
    let moved = match other {
        None => {
            let key_version = own.settings().encryption_version(task.key_version()?)?;
            if version == key_version {
                own.note(version, Kind::RewrapSame, plaintext.len());
                return Ok(Rewrapped::same(ciphertext, key_version));
            }
            sealed(own, key_version, &context, &aad, plaintext)?
        }
        Some(target) => {
            task.bindable(target.settings(), &aad)?;
            let key_version = target.settings().encryption_version(task.key_version()?)?;
            sealed(target, key_version, &context, &aad, plaintext)?
        }
    };
    // Only now is one less under the version.
    own.note(version, Kind::Rewrap, plaintext.len());
    Ok(moved)
}

fn sealed<'r>(
    target: &mut Ciphers<'_>,
    key_version: u32,
    context: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Rewrapped<'r>, Error> {
    let sealed = seal(target, key_version, context, aad, plaintext)?;
    target.note(key_version, Kind::RewrapInto, plaintext.len());
    Ok(Rewrapped::new(key_version, &sealed))
}
