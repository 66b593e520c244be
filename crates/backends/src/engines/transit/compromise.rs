//! compromised: a version that somebody else may have.
//!
//! It makes nothing more and gives no plaintext out; what it made is moved to another version by
//! rewrap, which shows no plaintext. A signature or a tag under it proves nothing any more. The
//! answer is the blast radius: who used the version since when, and what is known to lie under it.

use std::collections::BTreeMap;

use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use serde::{Deserialize, Serialize};

use super::catalogs::{self, Catalog};
use super::census::{Caller, Kind, Record, callers, operations, second, sum};
use super::key::{Settings, policy_key};
use super::{Transit, key_name, shown};

/// Bytes of a reason.
const LONGEST: usize = 1_024;
/// Marks of one key, which are read with it: those of versions that are gone stay, since a backup may
/// bring them back.
const MOST: usize = 1_000;

/// Since when a version is compromised, and what was said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Compromise {
    /// RFC 3339.
    pub time: String,
    pub reason: String,
}

/// The versions of a key that are compromised.
pub(super) type Compromises = BTreeMap<u32, Compromise>;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::int")]
    version: Option<i64>,
    #[serde(deserialize_with = "weak::string")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Marked<'a> {
    name: &'a str,
    version: u32,
    #[serde(flatten)]
    compromise: &'a Compromise,
    latest_version: u32,
    /// A new version was made by this call.
    rotated: bool,
    blast_radius: Radius,
}

/// What is known to be touched.
#[derive(Serialize)]
struct Radius {
    operations: serde_json::Map<String, serde_json::Value>,
    bytes: u64,
    first_used: Option<String>,
    last_used: Option<String>,
    callers: Vec<Caller>,
    /// Operations of callers that are not told apart.
    other_callers: u64,
    /// Ciphertexts that were made under it, less those that rewrap has opened since.
    ciphertexts_left: u64,
    catalogs: Vec<InCatalog>,
    /// Items in all catalogs.
    items: u64,
}

#[derive(Serialize)]
struct InCatalog {
    id: String,
    root: String,
    items: u64,
    unreadable: u64,
    scanned: Option<String>,
}

impl Settings {
    /// The version that a ciphertext, a signature or a tag names, where it is to be trusted or its
    /// plaintext to be shown.
    pub fn trusted_version(&self, written: i64) -> Result<u32, Error> {
        let version = self.decryption_version(written)?;
        self.uncompromised(version)?;
        Ok(version)
    }

    /// Forgets a mark of the version that is about to be made: it is of another key, which had the
    /// number before a restore.
    pub fn unmark_next(&mut self) {
        self.compromised
            .remove(&self.latest_version.saturating_add(1));
    }

    /// Refuses a version that somebody else may have.
    pub fn uncompromised(&self, version: u32) -> Result<(), Error> {
        match self.compromised.get(&version) {
            None => Ok(()),
            Some(compromise) => Err(Error::bad(format!(
                "version {version} of the key is compromised since {}: it does nothing but to be \
                 rewrapped",
                compromise.time
            ))),
        }
    }
}

/// Marks a version, and makes a new one, in one commit.
pub(super) async fn mark(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let Ask { version, reason } = call.decode()?;
    let reason = reason.unwrap_or_default();
    // It is printed for people, on their terminals.
    if reason.len() > LONGEST || reason.chars().any(char::is_control) {
        let text = format!("must have {LONGEST} bytes at most, and no control characters");
        return Err(Error::field("reason", text));
    }
    let new = Compromise {
        time: call.now.rfc3339(),
        reason,
    };
    let (settings, version, rotated) = transit
        .view
        .change(name, || async {
            let stored = transit.stored(name).await?;
            let (mut settings, revision) = stored.ok_or_else(|| Error::bad("key not found"))?;
            let version = stored_version(&settings, version)?;
            if settings.compromised.contains_key(&version) {
                return Ok((settings, version, false));
            }
            if settings.compromised.len() >= MOST {
                return Err(Error::bad(format!(
                    "{MOST} versions of the key are compromised: make another key, and rewrap to it \
                     (to_key)"
                )));
            }
            settings.compromised.insert(version, new.clone());
            if settings.rotates() {
                settings.unmark_next();
                let key = settings.generate()?;
                let added = transit.add_version(name, settings, revision, &key, call.now);
                return Ok((added.await?, version, true));
            }
            let batch = Batch::new().unchanged(policy_key(name), revision);
            transit.commit(name, settings.put(name, batch)?).await?;
            Ok((settings, version, false))
        })
        .await?;
    let blast_radius = Radius::of(transit, &settings, version).await?;
    let compromise = settings.compromised.get(&version).unwrap_or(&new);
    let mut reply = Reply::data(&Marked {
        name,
        version,
        compromise,
        latest_version: settings.latest_version,
        rotated,
        blast_radius,
    })?;
    if version == settings.latest_version {
        let text = "the newest version is the compromised one, and no other can be made here: \
                    restore the key or import a version";
        reply.warnings.push(text.to_owned());
    }
    Ok(reply)
}

/// Takes a mark back that was set by mistake.
pub(super) async fn clear(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let version = call.param("version").parse::<i64>().ok();
    let settings = transit
        .view
        .change(name, || async {
            let stored = transit.stored(name).await?;
            let (mut settings, revision) = stored.ok_or_else(|| Error::bad("key not found"))?;
            let version = stored_version(&settings, version)?;
            if settings.compromised.remove(&version).is_some() {
                let batch = Batch::new().unchanged(policy_key(name), revision);
                transit.commit(name, settings.put(name, batch)?).await?;
            }
            Ok(settings)
        })
        .await?;
    let versions = shown::versions(transit, &settings, &[]).await?;
    shown::show(name, &settings, &versions)
}

impl Radius {
    async fn of(transit: &Transit, settings: &Settings, version: u32) -> Result<Self, Error> {
        let id = &settings.id;
        let versions = std::iter::once(version);
        let mut sums = transit.census.of(transit, id, versions).await?;
        let record = sums.remove(&version).unwrap_or_default();
        let catalogs = catalogs::all(&transit.view, id).await?;
        let catalogs: Vec<InCatalog> = catalogs
            .into_iter()
            .filter_map(|(id, catalog)| InCatalog::of(id, catalog, version))
            .collect();
        Ok(Self {
            items: sum(catalogs.iter().map(|catalog| catalog.items)),
            catalogs,
            ..Self::used(&record)
        })
    }

    fn used(record: &Record) -> Self {
        Self {
            operations: operations(record),
            bytes: record.bytes,
            first_used: second(record.first),
            last_used: second(record.last()),
            callers: callers(&record.callers),
            other_callers: record.others,
            ciphertexts_left: record.sealed().saturating_sub(record.of(Kind::Rewrap)),
            catalogs: Vec::new(),
            items: 0,
        }
    }
}

impl InCatalog {
    /// One that has items under a version, or may have them.
    fn of(id: String, catalog: Catalog, version: u32) -> Option<Self> {
        let items = catalog.items.get(&version).copied().unwrap_or_default();
        (items > 0 || catalog.unreadable > 0).then(|| Self {
            id,
            items,
            unreadable: catalog.unreadable,
            scanned: second(catalog.time),
            root: catalog.root,
        })
    }
}

/// A version of a key that is stored.
fn stored_version(settings: &Settings, asked: Option<i64>) -> Result<u32, Error> {
    let first = settings.min_available_version.max(1);
    let version = asked.and_then(|asked| u32::try_from(asked).ok());
    let version = version.filter(|version| (first..=settings.latest_version).contains(version));
    version.ok_or_else(|| {
        let text = format!(
            "must be a version of the key, {first} to {}",
            settings.latest_version
        );
        Error::field("version", text)
    })
}
