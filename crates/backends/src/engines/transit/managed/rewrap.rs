//! rewrap where a key in a device opens, or seals, or both: first all items are opened, then all are
//! sealed, so that a device is asked for many at once.

use std::borrow::Cow;

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::managed::Job;
use keyfold_core::reply::Reply;
use keyfold_secret::Secret;

use super::super::Transit;
use super::super::batch::{Task, Work};
use super::super::cache::LoadedKey;
use super::super::census::Kind;
use super::super::ciphers::Ciphers;
use super::super::decrypt;
use super::super::destinations::{Destinations, Others};
use super::super::encrypt::seal;
use super::super::key::Settings;
use super::super::rewrap::Rewrapped;
use super::data::{next, opening};
use super::device::{Ask, Went, run};

pub(in super::super) async fn rewrap(
    transit: &Transit,
    call: &Call<'_>,
    work: Work<'_>,
    key: &LoadedKey,
    destinations: &Destinations,
) -> Result<Reply, Error> {
    let versions = work
        .named_versions(&key.settings)
        .chain(work.asked_versions(&key.settings));
    let mut own = Ciphers::load(transit, call, key, versions).await?;
    let mut others = destinations.ciphers(transit, call, &work).await?;
    let opened = open(transit, call, &work, &mut own, &mut others).await?;
    let mut sealed = seal_all(transit, call, &work, opened, &mut own, &mut others)
        .await?
        .into_iter();
    let results = work
        .run(&mut own, |_, _| {
            let none = || Err(Error::Bug("an item without a result"));
            sealed.next().unwrap_or_else(none)
        })
        .await?;
    work.reply(results)
}

/// Opens every item that is not a caller's mistake.
async fn open(
    transit: &Transit,
    call: &Call<'_>,
    work: &Work<'_>,
    own: &mut Ciphers<'_>,
    others: &mut Others<'_>,
) -> Result<Vec<Went>, Error> {
    // The plaintext is not shown: what a compromised version made is moved to another so.
    let allowed = Settings::decryption_version;
    let settings = own.settings();
    let mut here = Vec::new();
    let mut asks = Vec::new();
    for task in work.tasks() {
        let checked = checked(&task, settings, others);
        match (settings.is_managed(), checked) {
            (true, Ok((text, _, aad))) => {
                asks.push(opening(settings, allowed, &text, aad));
            }
            (true, Err(error)) => asks.push(Err(error)),
            (false, Ok((text, context, aad))) => {
                here.push(decrypt::open(own, allowed, &text, &context, &aad));
            }
            (false, Err(error)) => here.push(Err(error)),
        }
    }
    match settings.is_managed() {
        true => run(transit, call.mount, asks).await,
        false => Ok(here),
    }
}

/// What an item is opened with: ciphertext, context, associated data.
type Parts<'r> = (Cow<'r, str>, Vec<u8>, Vec<u8>);

fn checked<'r>(
    task: &Task<'r>,
    settings: &Settings,
    others: &mut Others<'_>,
) -> Result<Parts<'r>, Error> {
    let (context, aad) = (task.context()?, task.associated_data()?);
    task.bindable(settings, &aad)?;
    let text = task.ciphertext()?;
    if let Some(target) = others.of(task)? {
        task.bindable(target.settings(), &aad)?;
    }
    Ok((text, context, aad))
}

/// Seals what was opened, under the key that each item asks for.
async fn seal_all<'r>(
    transit: &Transit,
    call: &Call<'_>,
    work: &Work<'r>,
    opened: Vec<Went>,
    own: &mut Ciphers<'_>,
    others: &mut Others<'_>,
) -> Result<Vec<Result<Rewrapped<'r>, Error>>, Error> {
    let mut results = Vec::with_capacity(opened.len());
    let mut asks = Vec::new();
    let mut out = Vec::new();
    for (task, opened) in work.tasks().zip(opened) {
        let place = results.len();
        match sealed(&task, opened, own, others) {
            Ok(Sealed::Here(done)) => results.push(Ok(done)),
            Err(error) => results.push(Err(error)),
            Ok(Sealed::Device { ask, from, len }) => {
                results.push(Err(Error::Bug("an item without a result")));
                out.push((place, task, from, len));
                asks.push(Ok(ask));
            }
        }
    }
    let mut went = run(transit, call.mount, asks).await?.into_iter();
    for (place, task, from, len) in out {
        let done = next(&mut went).and_then(|(version, bytes)| {
            match others.of(&task)? {
                Some(target) => target.note(version, Kind::RewrapInto, len),
                None => own.note(version, Kind::RewrapInto, len),
            }
            own.note(from, Kind::Rewrap, len);
            Ok(Rewrapped::new(version, bytes.expose()))
        });
        if let Some(result) = results.get_mut(place) {
            *result = done;
        }
    }
    Ok(results)
}

/// An item that is done, or that a device is to do.
enum Sealed<'r, 's> {
    Here(Rewrapped<'r>),
    Device {
        ask: Ask<'s>,
        /// The version that it was opened with.
        from: u32,
        /// Bytes of its plaintext.
        len: usize,
    },
}

fn sealed<'r, 's, 'own: 's, 'other: 's>(
    task: &Task<'r>,
    opened: Went,
    own: &mut Ciphers<'own>,
    others: &mut Others<'other>,
) -> Result<Sealed<'r, 's>, Error> {
    let (from, plaintext) = opened?;
    let len = plaintext.expose().len();
    let (context, aad) = (task.context()?, task.associated_data()?);
    let done = if let Some(target) = others.of(task)? {
        let version = target.settings().encryption_version(task.key_version()?)?;
        put(target, version, from, (&context, aad), plaintext)?
    } else {
        let version = own.settings().encryption_version(task.key_version()?)?;
        if from == version {
            own.note(from, Kind::RewrapSame, len);
            return Ok(Sealed::Here(Rewrapped::same(task.ciphertext()?, version)));
        }
        put(own, version, from, (&context, aad), plaintext)?
    };
    if let Sealed::Here(_) = done {
        own.note(from, Kind::Rewrap, len);
    }
    Ok(done)
}

/// Seals it here, or has a device do so.
fn put<'r, 's>(
    target: &mut Ciphers<'s>,
    version: u32,
    from: u32,
    (context, aad): (&[u8], Vec<u8>),
    plaintext: Secret<Vec<u8>>,
) -> Result<Sealed<'r, 's>, Error> {
    let (settings, len) = (target.settings(), plaintext.expose().len());
    if settings.is_managed() {
        let job = Job::Encrypt { plaintext, aad };
        let ask = Ask {
            settings,
            version,
            job,
        };
        return Ok(Sealed::Device { ask, from, len });
    }
    let bytes = seal(target, version, context, &aad, plaintext.expose())?;
    target.note(version, Kind::RewrapInto, len);
    Ok(Sealed::Here(Rewrapped::new(version, &bytes)))
}
