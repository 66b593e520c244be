//! Keys that are made elsewhere and brought here: the wrapping key, import, import_version.

mod target;
mod wrapping;

use keyfold_api::{Seconds, weak};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::{Batch, Revision};
use keyfold_core::reply::Reply;
use keyfold_keys::transit::{Family, ServiceKey};
use keyfold_secret::Secret;
use serde::Deserialize;

use self::target::Material;
pub(super) use self::target::hash;
pub(super) use self::wrapping::read as wrapping_key;
use super::key::{Settings, policy_key};
use super::kind::Kind;
use super::shred::Graves;
use super::{Transit, due, key_name, keys};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Import {
    #[serde(deserialize_with = "weak::secret_string")]
    ciphertext: Option<Secret<String>>,
    #[serde(deserialize_with = "weak::string")]
    public_key: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    hash_function: Option<String>,
    #[serde(deserialize_with = "weak::boolean")]
    allow_rotation: Option<bool>,
    #[serde(deserialize_with = "weak::boolean")]
    derived: Option<bool>,
    #[serde(deserialize_with = "weak::boolean")]
    convergent_encryption: Option<bool>,
    #[serde(deserialize_with = "weak::boolean")]
    exportable: Option<bool>,
    #[serde(deserialize_with = "weak::boolean")]
    allow_plaintext_backup: Option<bool>,
    #[serde(deserialize_with = "weak::duration")]
    auto_rotate_period: Option<Seconds>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Version {
    #[serde(deserialize_with = "weak::secret_string")]
    ciphertext: Option<Secret<String>>,
    #[serde(deserialize_with = "weak::string")]
    public_key: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    hash_function: Option<String>,
    #[serde(deserialize_with = "weak::int")]
    version: Option<i64>,
}

/// Brings a new key.
pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let (asked, kind) = call.decode_both::<Import, Kind>()?;
    if let Some(name) = kind.unknown() {
        return Err(Error::bad(format!("unknown key type: {name}")));
    }
    let kind = kind.key_type()?;
    if asked.convergent_encryption.unwrap_or_default() {
        return Err(Error::bad(
            "import cannot be used on keys with convergent encryption enabled",
        ));
    }
    let derived = asked.derived.unwrap_or_default();
    keys::derivable(kind, derived, false)?;
    let auto_rotate_period = due::period(asked.auto_rotate_period.unwrap_or_default())?;
    if auto_rotate_period > 0 && !asked.allow_rotation.unwrap_or_default() {
        return Err(Error::field(
            "auto_rotate_period",
            "needs allow_rotation: new versions of the key are not made here",
        ));
    }
    let material = Material::of(
        asked.ciphertext,
        asked.public_key,
        asked.hash_function.as_deref(),
    )?;
    let key = material.open(transit, kind).await?;
    if derived && key.is_public_only() {
        return Err(Error::field(
            "derived",
            "keys can't be derived from a public key",
        ));
    }
    let settings = Settings {
        derived,
        exportable: asked.exportable.unwrap_or_default(),
        allow_plaintext_backup: asked.allow_plaintext_backup.unwrap_or_default(),
        key_size: size(&key),
        imported: true,
        allow_imported_rotation: asked.allow_rotation.unwrap_or_default(),
        auto_rotate_period,
        ..Settings::new(kind)
    }
    .scheduled(call.now.secs());
    transit
        .view
        .change(name, || async {
            if transit.stored(name).await?.is_some() {
                return Err(Error::bad(
                    "the import path cannot be used with an existing key; use import-version to \
                     rotate an existing imported key",
                ));
            }
            let (graves, _) = Graves::load(&transit.view, name).await?;
            let settings = settings.clone().behind(graves)?;
            transit.put_new(name, &settings, &key, call.now).await
        })
        .await?;
    Ok(Reply::none())
}

/// Brings a new version, or the private half of one whose public half is here.
pub(super) async fn version(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let asked = call.decode::<Version>()?;
    let (settings, _) = imported(transit, name).await?;
    let material = Material::of(
        asked.ciphertext,
        asked.public_key,
        asked.hash_function.as_deref(),
    )?;
    let key = material.open(transit, settings.kind).await?;
    if settings.derived && key.is_public_only() {
        return Err(Error::field(
            "public_key",
            "keys can't be derived from a public key",
        ));
    }
    if size(&key) != settings.key_size {
        return Err(Error::field(
            "ciphertext",
            "not as long as the other versions",
        ));
    }
    let completed = asked.version.filter(|version| *version != 0);
    transit
        .view
        .change(name, || async {
            let (settings, revision) = imported(transit, name).await?;
            let Some(version) = completed else {
                transit
                    .add_version(name, settings, revision, &key, call.now)
                    .await?;
                return Ok(());
            };
            let version = settings
                .decryption_version(version)
                .map_err(|_| Error::field("version", "the key has no such version"))?;
            let loaded = transit.cache.key(name).await?.ok_or(Error::NotFound)?;
            let there = transit.cache.version(&loaded, version).await?;
            if !there.is_public_only() || key.is_public_only() || there.public() != key.public() {
                return Err(Error::field(
                    "version",
                    "takes the private half of a version whose public half alone is here",
                ));
            }
            let batch = Batch::new().unchanged(policy_key(name), revision);
            let batch = settings.put_version(version, &key, batch);
            transit.commit(name, settings.put(name, batch)?).await?;
            transit.cache.forget_versions(&settings.id);
            Ok(())
        })
        .await?;
    Ok(Reply::none())
}

/// The settings of a key that was imported.
async fn imported(transit: &Transit, name: &str) -> Result<(Settings, Revision), Error> {
    let stored = transit.stored(name).await?;
    let (settings, revision) = stored.ok_or_else(|| {
        Error::bad(format!(
            "no key found with name {name}; to import a new key, use the import/ endpoint"
        ))
    })?;
    settings.usable()?;
    match settings.imported {
        true => Ok((settings, revision)),
        false => Err(Error::bad(
            "the import_version endpoint can only be used with an imported key",
        )),
    }
}

/// What is kept of a key for HMAC alone.
fn size(key: &ServiceKey) -> u32 {
    match key.kind().family() {
        Family::Hmac => u32::try_from(key.expose().len()).unwrap_or_default(),
        _ => 0,
    }
}
