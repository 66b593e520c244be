//! Keys: made, shown, listed, rotated, deleted. Each change is one commit.

use keyfold_api::{Seconds, base64, weak};
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::{Batch, Revision};
use keyfold_core::reply::Reply;
use keyfold_keys::transit::{Family, HMAC_SIZES, KeyType, ServiceKey};
use serde::Deserialize;

use super::due::{self, Rotate};
use super::key::{POLICIES, Settings, delete_all, policy_key};
use super::kind::Kind;
use super::shown::{Version, Versions};
use super::shred::Graves;
use super::{Transit, key_name, managed, periods, shown, times};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Create {
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
    #[serde(deserialize_with = "weak::boolean")]
    offline_slots_allowed: Option<bool>,
    #[serde(deserialize_with = "weak::string")]
    managed_key_name: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    managed_key_id: Option<String>,
}

impl Create {
    /// The managed key that is asked for.
    fn device(&self) -> managed::Asked {
        managed::Asked {
            managed_key_name: self.managed_key_name.clone(),
            managed_key_id: self.managed_key_id.clone(),
        }
    }

    /// Refuses what a key in a device can't be.
    fn plain(&self) -> Result<(), Error> {
        let set = |flag: Option<bool>| flag.unwrap_or_default();
        for (name, wanted) in [
            ("derived", set(self.derived)),
            ("convergent_encryption", set(self.convergent_encryption)),
            ("exportable", set(self.exportable)),
            ("allow_plaintext_backup", set(self.allow_plaintext_backup)),
            (
                "auto_rotate_period",
                self.auto_rotate_period.is_some_and(|period| period.0 != 0),
            ),
            ("key_size", self.key_size.unwrap_or_default() != 0),
        ] {
            if wanted {
                let what = format!("is not possible for a key of type {}", managed::TYPE);
                return Err(Error::field(name, what));
            }
        }
        if self.offline_slots_allowed.is_some() {
            let what = format!(
                "is set by keys/NAME/config for a key of type {}",
                managed::TYPE
            );
            return Err(Error::field("offline_slots_allowed", what));
        }
        Ok(())
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Read {
    #[serde(deserialize_with = "weak::string")]
    context: Option<String>,
}

pub(super) async fn list(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    call.list(&transit.view, POLICIES).await
}

pub(super) async fn read(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let asked = call.decode::<Read>()?;
    let context = base64::decode(&asked.context.unwrap_or_default())
        .map_err(|_| Error::bad("failed to base64-decode context"))?;
    let (settings, _) = transit.stored(name).await?.ok_or(Error::NotFound)?;
    let versions = shown::versions(transit, &settings, &context).await?;
    let mut reply = shown::show(name, &settings, &versions)?;
    reply.warnings = periods::remarks(&transit.view, &settings, call.now).await?;
    Ok(reply)
}

/// A key that is there already is left as it is and shown.
pub(super) async fn create(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let (asked, kind) = call.decode_both::<Create, Kind>()?;
    let device = asked.device();
    if kind.name() == Some(managed::TYPE) {
        asked.plain()?;
        return managed::create(transit, call, name, &device).await;
    }
    device.none()?;
    let wanted = new_settings(&asked, &kind)?.scheduled(call.now.secs());
    let mut warnings = Vec::new();
    let (settings, versions) = transit
        .view
        .change(name, || async {
            match transit.stored(name).await? {
                Some((settings, _)) => {
                    let versions = shown::versions(transit, &settings, &[]).await?;
                    Ok((settings, versions))
                }
                None => {
                    let (graves, _) = Graves::load(&transit.view, name).await?;
                    let settings = wanted.clone().behind(graves)?;
                    let key = settings.generate()?;
                    let first = Version::new(&key, &settings, call.now.secs())?;
                    transit.put_new(name, &settings, &key, call.now).await?;
                    let versions = Versions::from([(settings.latest_version, first)]);
                    Ok((settings, versions))
                }
            }
        })
        .await?;
    if differs(&settings, &wanted, &asked, &kind) {
        warnings.push(format!(
            "key {name} is there already, with other settings; it was not changed"
        ));
    }
    if let Some(grave) = settings.graves.newest() {
        warnings.push(format!(
            "{}; this is another key, whose versions begin at {}",
            grave.text(&format!("a key {name}")),
            settings.graves.last().saturating_add(1)
        ));
    }
    let mut reply = shown::show(name, &settings, &versions)?;
    reply.warnings = warnings;
    Ok(reply)
}

pub(super) async fn rotate(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let (asked, device) = call.decode_both::<Rotate, managed::Asked>()?;
    let stored = transit.stored(name).await?;
    if stored.is_some_and(|(settings, _)| settings.is_managed()) {
        return managed::rotate(transit, call, name, &device).await;
    }
    device.none()?;
    let (settings, versions) = transit
        .view
        .change(name, || async {
            let stored = transit.stored(name).await?;
            let (mut settings, revision) = stored.ok_or_else(|| Error::bad("key not found"))?;
            settings.usable()?;
            if settings.is_managed() {
                // It was made anew since it was looked at.
                return Err(Error::Contended);
            }
            settings.makes()?;
            if settings.imported && !settings.allow_imported_rotation {
                return Err(Error::bad(format!(
                    "imported key {name} does not allow rotation here: import a version, or import \
                     the key with allow_rotation"
                )));
            }
            // What the answer needs is read before the commit: an error behind it would be answered
            // to a caller whose key has the version.
            let mut versions = shown::newest(transit, &settings).await?;
            if asked.if_due && !settings.is_due(call.now) {
                return Ok((settings, versions));
            }
            settings.unmark_next();
            let key = settings.generate()?;
            let secs = call.now.secs();
            let next = Version::new(&key, &settings, secs)?;
            let settings = transit
                .add_version(name, settings, revision, &key, call.now)
                .await?;
            versions.insert(settings.latest_version, next);
            Ok((settings, versions))
        })
        .await?;
    shown::show_newest(name, &settings, versions)
}

/// Deletes settings, versions and all that is known of them, after which no ciphertext of the key opens again.
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
            settings.unmarked()?;
            let batch = Batch::new()
                .unchanged(policy_key(name), revision)
                .delete(policy_key(name));
            let batch = delete_all(&transit.view, &settings.id, batch).await?;
            transit.commit(name, batch).await?;
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

    /// Stores a new key; a conflict when the name is taken. It stands behind those of the name that were
    /// destroyed.
    pub(super) async fn put_new(
        &self,
        name: &str,
        settings: &Settings,
        key: &ServiceKey,
        now: Time,
    ) -> Result<(), Error> {
        let (graves, there) = Graves::load(&self.view, name).await?;
        if graves != settings.graves {
            return Err(Error::Contended);
        }
        let version = settings.latest_version;
        let batch = Graves::demand(name, there, Batch::new().absent(policy_key(name)));
        let batch = settings.put_version(version, key, batch);
        let batch = times::put_all(settings, version, &[now.secs()], batch);
        self.commit(name, settings.put(name, batch)?).await
    }

    /// Adds a version to a key that was read at a revision, and gives its settings then.
    pub(super) async fn add_version(
        &self,
        name: &str,
        settings: Settings,
        revision: Revision,
        key: &ServiceKey,
        now: Time,
    ) -> Result<Settings, Error> {
        settings.makes()?;
        let mut settings = settings.scheduled(now.secs());
        let next = settings.latest_version.checked_add(1);
        settings.latest_version = next.ok_or_else(|| Error::bad("no version is left"))?;
        let batch = Batch::new().unchanged(policy_key(name), revision);
        let batch = settings.put_version(settings.latest_version, key, batch);
        let batch = times::put_latest(&self.view, &settings, now, batch).await?;
        self.commit(name, settings.put(name, batch)?).await?;
        Ok(settings)
    }
}

fn new_settings(asked: &Create, kind: &Kind) -> Result<Settings, Error> {
    let kind = kind.key_type()?;
    let derived = asked.derived.unwrap_or_default();
    let convergent = asked.convergent_encryption.unwrap_or_default();
    if convergent && !derived {
        return Err(Error::bad(
            "convergent encryption requires derivation to be enabled",
        ));
    }
    derivable(kind, derived, convergent)?;
    let key_size = key_size(kind, asked.key_size.unwrap_or_default())?;
    Ok(Settings {
        auto_rotate_period: due::period(asked.auto_rotate_period.unwrap_or_default())?,
        derived,
        convergent,
        key_size,
        exportable: asked.exportable.unwrap_or_default(),
        allow_plaintext_backup: asked.allow_plaintext_backup.unwrap_or_default(),
        offline_slots_forbidden: asked.offline_slots_allowed == Some(false),
        ..Settings::new(kind)
    })
}

/// Refuses what a type can't do.
pub(super) fn derivable(kind: KeyType, derived: bool, convergent: bool) -> Result<(), Error> {
    if derived && !kind.derives() {
        return Err(Error::bad(format!(
            "key derivation and convergent encryption not supported for keys of type {}",
            kind.name()
        )));
    }
    if convergent && !kind.converges() {
        return Err(Error::bad(format!(
            "convergent encryption not supported for keys of type {}",
            kind.name()
        )));
    }
    Ok(())
}

/// Bytes of a key for HMAC alone; other types take no size.
fn key_size(kind: KeyType, asked: i64) -> Result<u32, Error> {
    if kind.family() != Family::Hmac {
        return match asked {
            0 => Ok(0),
            _ => Err(Error::bad(format!(
                "key_size is not valid for algorithm {}",
                kind.name()
            ))),
        };
    }
    let fits = usize::try_from(asked).is_ok_and(|size| HMAC_SIZES.contains(&size));
    match u32::try_from(asked) {
        Ok(size) if fits => Ok(size),
        Ok(0) => Err(Error::bad(
            "invalid key size for HMAC key, must be between 32 and 512 bytes",
        )),
        _ => Err(Error::bad(format!("invalid key_size {asked}"))),
    }
}

/// The key that is there is not what was asked for; what was left out counts for nothing.
fn differs(there: &Settings, wanted: &Settings, asked: &Create, kind: &Kind) -> bool {
    (kind.name().is_some() && there.kind != wanted.kind)
        || asked
            .derived
            .is_some_and(|derived| derived != there.derived)
        || asked
            .convergent_encryption
            .is_some_and(|convergent| convergent != there.convergent)
        || asked
            .exportable
            .is_some_and(|exportable| exportable != there.exportable)
        || asked
            .allow_plaintext_backup
            .is_some_and(|allow| allow != there.allow_plaintext_backup)
        || asked
            .auto_rotate_period
            .is_some_and(|_| wanted.auto_rotate_period != there.auto_rotate_period)
        || asked
            .key_size
            .is_some_and(|_| wanted.key_size != there.key_size)
        || asked
            .offline_slots_allowed
            .is_some_and(|allowed| allowed == there.offline_slots_forbidden)
}
