//! encrypt, decrypt, datakey and datakeys with keys in devices.

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::managed::Job;
use keyfold_core::reply::Reply;
use keyfold_secret::Secret;
use serde::Serialize;

use super::super::Transit;
use super::super::batch::{Task, Work};
use super::super::cache::LoadedKey;
use super::super::census::Kind;
use super::super::ciphers::Ciphers;
use super::super::datakey::{DataKey, Wanted};
use super::super::decrypt::{self, Decrypted};
use super::super::encrypt::Encrypted;
use super::super::key::Settings;
use super::device::{Ask, Went, run};

pub(in super::super) async fn encrypt(
    transit: &Transit,
    call: &Call<'_>,
    work: Work<'_>,
    key: &LoadedKey,
) -> Result<Reply, Error> {
    let settings = &key.settings;
    let ask = |task: &Task<'_>| {
        let plaintext = task.plaintext()?;
        let (_, aad) = (task.context()?, task.associated_data()?);
        let version = settings.encryption_version(task.key_version()?)?;
        task.bindable(settings, &aad)?;
        Ok(Ask {
            settings,
            version,
            job: Job::Encrypt { plaintext, aad },
        })
    };
    each(
        transit,
        call,
        work,
        key,
        ask,
        |task, ciphers, (version, sealed)| {
            ciphers.note(version, Kind::Encrypt, task.plaintext()?.expose().len());
            Ok(Encrypted::of(version, sealed.expose()))
        },
    )
    .await
}

pub(in super::super) async fn decrypt(
    transit: &Transit,
    call: &Call<'_>,
    work: Work<'_>,
    key: &LoadedKey,
) -> Result<Reply, Error> {
    let settings = &key.settings;
    let ask = |task: &Task<'_>| {
        let (_, aad) = (task.context()?, task.associated_data()?);
        task.bindable(settings, &aad)?;
        let allowed = Settings::trusted_version;
        opening(settings, allowed, &task.ciphertext()?, aad)
    };
    each(
        transit,
        call,
        work,
        key,
        ask,
        |_, ciphers, (version, plaintext)| {
            ciphers.note(version, Kind::Decrypt, plaintext.expose().len());
            Ok(Decrypted::of(plaintext))
        },
    )
    .await
}

/// Has the devices do what is asked for each item, and tells of each how it went.
async fn each<'s, 'r, T: Serialize>(
    transit: &Transit,
    call: &Call<'_>,
    work: Work<'r>,
    key: &'s LoadedKey,
    ask: impl Fn(&Task<'r>) -> Result<Ask<'s>, Error>,
    tell: impl Fn(&Task<'r>, &mut Ciphers<'_>, (u32, Secret<Vec<u8>>)) -> Result<T, Error>,
) -> Result<Reply, Error> {
    let asks: Vec<_> = work.tasks().map(|task| ask(&task)).collect();
    let went = run(transit, call.mount, asks).await?;
    let versions = went.iter().flatten().map(|(version, _)| *version);
    let mut ciphers = Ciphers::load(transit, call, key, versions).await?;
    let mut went = went.into_iter();
    let results = work
        .run(&mut ciphers, |task, ciphers| {
            tell(task, ciphers, next(&mut went)?)
        })
        .await?;
    work.reply(results)
}

/// The job that opens a ciphertext of a version that is `allowed`.
pub(super) fn opening<'s>(
    settings: &'s Settings,
    allowed: impl Fn(&Settings, i64) -> Result<u32, Error>,
    text: &str,
    aad: Vec<u8>,
) -> Result<Ask<'s>, Error> {
    let (version, sealed) = decrypt::parts(settings, allowed, text)?;
    Ok(Ask {
        settings,
        version,
        job: Job::Decrypt { sealed, aad },
    })
}

/// Data keys, each wrapped in the device.
pub(in super::super) async fn datakeys(
    transit: &Transit,
    call: &Call<'_>,
    key: &LoadedKey,
    wanted: &Wanted,
    count: usize,
    in_clear: bool,
) -> Result<Vec<DataKey>, Error> {
    let settings = &key.settings;
    let deks: Vec<_> = (0..count).map(|_| wanted.dek()).collect();
    let asks = deks.iter().map(|dek| {
        Ok(Ask {
            settings,
            version: wanted.version,
            job: wanted.wrapping(dek),
        })
    });
    let asks: Vec<_> = asks.collect();
    let went = run(transit, call.mount, asks).await?;
    let versions = std::iter::once(wanted.version);
    let mut ciphers = Ciphers::load(transit, call, key, versions).await?;
    let keys = went.into_iter().zip(deks).map(|(went, dek)| {
        let (version, sealed) = went?;
        ciphers.note(version, Kind::DataKey, dek.expose().len());
        Ok(wanted.told(dek, sealed.expose(), in_clear))
    });
    keys.collect()
}

/// The next result.
pub(super) fn next(went: &mut impl Iterator<Item = Went>) -> Went {
    went.next()
        .unwrap_or(Err(Error::Bug("an item without a result")))
}
