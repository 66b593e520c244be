//! rewrap: ciphertext in, ciphertext of the newest version out. No plaintext leaves the server.
//!
//! Beyond what existing servers do, it takes `associated_data`, and it tells with `rewrapped`
//! whether it did anything: a ciphertext of the wanted version comes back as it is. It is decrypted
//! all the same, because an answer without error is a promise that the ciphertext, with its context
//! and associated data, opens.
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
use super::ciphers::Ciphers;
use super::decrypt::{self, open};
use super::encrypt::seal;
use super::request::{Form, Request};
use super::{Transit, key_name};

const FORM: Form = Form {
    input: "ciphertext",
    key_version: true,
    creates: false,
};

#[derive(Serialize)]
struct Rewrapped<'r> {
    ciphertext: Cow<'r, str>,
    key_version: u32,
    rewrapped: bool,
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let text = json::sanitize(call.body.bytes());
    let mut request = Request::parse(&text, &FORM)?;
    call.note_unknown(std::mem::take(&mut request.unknown));
    let work = Work::of(&request, &FORM, 200)?;
    let key = transit.key(name).await?;
    decrypt::able(&key.settings)?;
    let versions = work
        .named_versions(&key.settings)
        .chain(work.asked_versions(&key.settings));
    let mut ciphers = Ciphers::load(&transit.cache, &key, versions).await?;
    let results = work.run(&mut ciphers, rewrap).await?;
    work.reply(&key.settings, results)
}

fn rewrap<'r>(task: &Task<'r>, ciphers: &mut Ciphers<'_>) -> Result<Rewrapped<'r>, Error> {
    let (context, aad) = (task.context()?, task.associated_data()?);
    task.bindable(ciphers.settings(), &aad)?;
    let ciphertext = task.ciphertext()?;
    let (version, plaintext) = open(ciphers, &ciphertext, &context, &aad)?;
    let key_version = ciphers.settings().encryption_version(task.key_version()?)?;
    if version == key_version {
        return Ok(Rewrapped {
            ciphertext,
            key_version,
            rewrapped: false,
        });
    }
    let sealed = seal(ciphers, key_version, &context, &aad, plaintext.expose())?;
    let ciphertext = Ciphertext::format(key_version, &sealed).into();
    Ok(Rewrapped {
        ciphertext,
        key_version,
        rewrapped: true,
    })
}
