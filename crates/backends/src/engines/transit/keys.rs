//! Keys: made, shown, listed, rotated, deleted. Each change is one commit.

use std::collections::BTreeMap;

use keyfold_api::{Seconds, weak};
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::{Batch, Revision};
use keyfold_core::reply::{self, Reply};
use keyfold_keys::transit::{KeyType, ServiceKey};
use serde::{Deserialize, Serialize};

use super::key::{POLICIES, Settings, policy_key, version_key};
use super::{Transit, key_name, times, tune};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Create {
    #[serde(rename = "type", deserialize_with = "weak::string")]
    kind: Option<String>,
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
    #[serde(deserialize_with = "weak::int")]
    key_size: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct List {
    #[serde(deserialize_with = "weak::string")]
    after: Option<String>,
    #[serde(deserialize_with = "weak::int")]
    limit: Option<i64>,
}

/// A key as it is shown. The members that never change belong to features that no key of this
/// server has yet; clients expect them.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    derived: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kdf: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    convergent_encryption: Option<bool>,
    exportable: bool,
    allow_plaintext_backup: bool,
    deletion_allowed: bool,
    /// Versions that decrypt, with the second they were made in.
    keys: BTreeMap<u32, u64>,
    latest_version: u32,
    min_available_version: u32,
    min_decryption_version: u32,
    min_encryption_version: u32,
    auto_rotate_period: u64,
    imported_key: bool,
    soft_deleted: bool,
    supports_encryption: bool,
    supports_decryption: bool,
    supports_derivation: bool,
    supports_signing: bool,
}

pub(super) async fn list(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let asked = call.decode::<List>()?;
    let limit = usize::try_from(asked.limit.unwrap_or_default()).unwrap_or_default();
    let page = transit
        .view
        .list(POLICIES, &asked.after.unwrap_or_default(), limit)
        .await?;
    reply::keys(page.names)
}

pub(super) async fn read(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let (settings, _) = transit.stored(name).await?.ok_or(Error::NotFound)?;
    let times = times::usable(&transit.view, &settings).await?;
    show(name, &settings, times)
}

/// A key that is there already is left as it is and shown.
pub(super) async fn create(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let asked = call.decode::<Create>()?;
    let wanted = new_settings(&asked)?;
    let mut warnings = Vec::new();
    let (settings, times) = transit
        .view
        .change(name, || async {
            match transit.stored(name).await? {
                Some((settings, _)) => {
                    let times = times::usable(&transit.view, &settings).await?;
                    Ok((settings, times))
                }
                None => {
                    let key = ServiceKey::generate(wanted.kind);
                    transit.put_new(name, &wanted, &key, call.now).await?;
                    Ok((
                        wanted.clone(),
                        vec![(wanted.latest_version, call.now.secs())],
                    ))
                }
            }
        })
        .await?;
    if differs(&settings, &wanted, &asked) {
        warnings.push(format!(
            "key {name} is there already, with other settings; it was not changed"
        ));
    }
    let mut reply = show(name, &settings, times)?;
    reply.warnings = warnings;
    Ok(reply)
}

pub(super) async fn rotate(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let (settings, times) = transit
        .view
        .change(name, || async {
            let stored = transit.stored(name).await?;
            let (mut settings, revision) = stored.ok_or_else(|| Error::bad("key not found"))?;
            // What the answer needs is read before the commit: an error behind it would be answered to
            // a caller whose key was rotated.
            let mut times = times::usable(&transit.view, &settings).await?;
            let next = settings.latest_version.checked_add(1);
            settings.latest_version = next.ok_or_else(|| Error::bad("no version is left"))?;
            let key = ServiceKey::generate(settings.kind);
            let batch = Batch::new().unchanged(policy_key(name), revision);
            let batch = settings.put_version(settings.latest_version, &key, batch);
            let batch = times::put_latest(&transit.view, &settings, call.now, batch).await?;
            transit.commit(name, settings.put(name, batch)?).await?;
            times.push((settings.latest_version, call.now.secs()));
            Ok((settings, times))
        })
        .await?;
    show(name, &settings, times)
}

/// Deletes settings and versions, after which no ciphertext of the key opens again.
pub(super) async fn delete(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let refused = |why: &str| Error::bad(format!("error deleting policy {name}: {why}"));
    let deleted = transit
        .view
        .change(name, || async {
            let stored = transit.stored(name).await?;
            let (settings, revision) =
                stored.ok_or_else(|| refused("could not delete key; not found"))?;
            if !settings.deletion_allowed {
                return Err(refused("deletion is not allowed for this key"));
            }
            let mut batch = Batch::new()
                .unchanged(policy_key(name), revision)
                .delete(policy_key(name));
            for version in 1..=settings.latest_version {
                batch = batch.delete(version_key(&settings.id, version));
            }
            transit
                .commit(name, times::delete(&settings, batch))
                .await?;
            Ok(settings)
        })
        .await?;
    transit.cache.forget_versions(&deleted.id);
    Ok(Reply::none())
}

impl Transit {
    /// The settings of a key as they are stored, for those who change them.
    pub(super) async fn stored(&self, name: &str) -> Result<Option<(Settings, Revision)>, Error> {
        self.view.read(&policy_key(name)).await
    }

    /// Stores a new key; a conflict when the name is taken.
    pub(super) async fn put_new(
        &self,
        name: &str,
        settings: &Settings,
        key: &ServiceKey,
        now: Time,
    ) -> Result<(), Error> {
        let batch = Batch::new().absent(policy_key(name));
        let batch = settings.put_version(settings.latest_version, key, batch);
        let batch = times::put_latest(&self.view, settings, now, batch).await?;
        self.commit(name, settings.put(name, batch)?).await
    }
}

/// Shows a key. The cost grows with the versions that decrypt, and their times are one record for
/// each thousand.
pub(super) fn show(
    name: &str,
    settings: &Settings,
    times: Vec<(u32, u64)>,
) -> Result<Reply, Error> {
    Reply::data(&Shown {
        name,
        kind: settings.kind.name(),
        derived: settings.derived,
        kdf: settings.derived.then_some("hkdf_sha256"),
        convergent_encryption: settings.derived.then_some(false),
        exportable: settings.exportable,
        allow_plaintext_backup: settings.allow_plaintext_backup,
        deletion_allowed: settings.deletion_allowed,
        keys: times.into_iter().collect(),
        latest_version: settings.latest_version,
        min_available_version: 0,
        min_decryption_version: settings.min_decryption_version,
        min_encryption_version: settings.min_encryption_version,
        auto_rotate_period: 0,
        imported_key: false,
        soft_deleted: false,
        supports_encryption: true,
        supports_decryption: true,
        supports_derivation: true,
        supports_signing: false,
    })
}

/// The type of that name, by default the usual one.
pub(super) fn key_type(name: Option<&str>) -> Result<KeyType, Error> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(KeyType::default());
    };
    KeyType::from_name(name).ok_or_else(|| Error::bad(format!("unknown key type {name}")))
}

fn new_settings(asked: &Create) -> Result<Settings, Error> {
    let kind = key_type(asked.kind.as_deref())?;
    let derived = asked.derived.unwrap_or_default();
    if asked.convergent_encryption.unwrap_or_default() {
        return Err(match derived {
            false => Error::bad("convergent encryption requires derivation to be enabled"),
            true => Error::field("convergent_encryption", "not supported by this server"),
        });
    }
    if asked.key_size.unwrap_or_default() != 0 {
        return Err(Error::bad(format!(
            "key_size is not valid for algorithm {}",
            kind.name()
        )));
    }
    tune::auto_rotate_period(asked.auto_rotate_period)?;
    Ok(Settings {
        derived,
        exportable: asked.exportable.unwrap_or_default(),
        allow_plaintext_backup: asked.allow_plaintext_backup.unwrap_or_default(),
        ..Settings::new(kind)
    })
}

/// The key that is there is not what was asked for; what was left out counts for nothing.
fn differs(there: &Settings, wanted: &Settings, asked: &Create) -> bool {
    (asked.kind.is_some() && there.kind != wanted.kind)
        || asked
            .derived
            .is_some_and(|derived| derived != there.derived)
        || asked
            .exportable
            .is_some_and(|exportable| exportable != there.exportable)
        || asked
            .allow_plaintext_backup
            .is_some_and(|allow| allow != there.allow_plaintext_backup)
}
