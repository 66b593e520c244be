//! The receipt: what was destroyed, by whom, when, and what that does not reach.
//!
//! It is the payload of a [`Statement`](keyfold_keys::statement), which `keyfold transit shred verify` and
//! other tools verify without the server. Members are added only.

use std::collections::BTreeMap;

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use serde::Serialize;

use super::super::census::{Record, operations, second, sum};
use super::super::key::{Settings, version_key};
use super::super::{Transit, catalogs, times};
use super::mark::{Step, shown};
use super::{Mark, remains};

/// Versions that one tells a fingerprint of: the newest.
const PRINTS: u32 = 1_000;

#[derive(Serialize)]
pub(super) struct Receipt<'a> {
    id: &'a str,
    mount: Mount<'a>,
    key: Key<'a>,
    #[serde(flatten)]
    why: Why<'a>,
    destroyed: &'a Step,
    uses: &'a Uses,
    catalogs: Vec<InCatalog>,
    /// Items in all catalogs.
    items: u64,
    remains: Vec<String>,
}

#[derive(Serialize)]
struct Mount<'a> {
    path: &'a str,
    id: &'a str,
}

#[derive(Serialize)]
struct Key<'a> {
    name: &'a str,
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    first_version: u32,
    last_version: u32,
    /// When these were made, where that is known.
    first_created: Option<String>,
    last_created: Option<String>,
    /// By version; of the newest thousand.
    fingerprints: BTreeMap<u32, String>,
}

/// What led to it.
#[derive(Serialize)]
#[serde(untagged)]
enum Why<'a> {
    Asked {
        reason: &'a str,
        requested: &'a Step,
        approved: Option<&'a Step>,
        delay: u64,
        until: String,
    },
    /// An older snapshot had brought it back; the receipt of the first time.
    Revived { revived_after: &'a str },
}

/// What the versions that are stored were used for.
#[derive(Serialize)]
pub(super) struct Uses {
    operations: serde_json::Map<String, serde_json::Value>,
    bytes: u64,
    first_used: Option<String>,
    last_used: Option<String>,
}

#[derive(Serialize)]
struct InCatalog {
    id: String,
    root: String,
    /// Items under the key when they were counted last.
    items: u64,
    unreadable: u64,
    scanned: Option<String>,
}

impl<'a> Receipt<'a> {
    /// The receipt for a key that goes in this moment.
    pub async fn of(
        transit: &Transit,
        call: &'a Call<'_>,
        id: &'a str,
        (name, settings, mark): (&'a str, &'a Settings, &'a Mark),
        (uses, destroyed): (&'a Uses, &'a Step),
    ) -> Result<Self, Error> {
        let catalogs = catalogs::all(&transit.view, &settings.id).await?;
        let catalogs: Vec<InCatalog> = catalogs
            .into_iter()
            .map(|(id, catalog)| InCatalog {
                id,
                items: sum(catalog.items.values().copied()),
                unreadable: catalog.unreadable,
                scanned: second(catalog.time),
                root: catalog.root,
            })
            .collect();
        Ok(Self {
            id,
            mount: Mount {
                path: call.mount.map_or("", |mount| &mount.path),
                id: call.mount.map_or("", |mount| &mount.uuid),
            },
            key: Key::of(transit, name, settings).await?,
            why: Why::of(mark),
            destroyed,
            uses,
            items: sum(catalogs.iter().map(|catalog| catalog.items)),
            catalogs,
            remains: remains::of(Some(settings)),
        })
    }

    /// What is still to be heeded.
    pub fn remains(&self) -> &[String] {
        &self.remains
    }
}

impl Uses {
    /// Of a key, as far as it was counted by now.
    pub async fn of(transit: &Transit, settings: &Settings) -> Result<Self, Error> {
        let versions = settings.min_available_version.max(1)..=settings.latest_version;
        let sums = transit.census.of(transit, &settings.id, versions).await?;
        let mut whole = Record::default();
        for record in sums.values() {
            whole.add(record);
        }
        Ok(Self {
            operations: operations(&whole),
            bytes: whole.bytes,
            first_used: second(whole.first),
            last_used: second(whole.last()),
        })
    }
}

impl<'a> Why<'a> {
    fn of(mark: &'a Mark) -> Self {
        match mark {
            Mark::Tombstoned(tombstone) | Mark::Approved(tombstone, _) => Self::Asked {
                reason: &tombstone.reason,
                requested: &tombstone.requested,
                approved: mark.approved(),
                delay: tombstone.delay,
                until: shown(tombstone.until),
            },
            Mark::Revived(grave) => Self::Revived {
                revived_after: &grave.receipt,
            },
        }
    }
}

impl<'a> Key<'a> {
    async fn of(transit: &Transit, name: &'a str, settings: &'a Settings) -> Result<Self, Error> {
        let (first, last) = (
            settings.min_available_version.max(1),
            settings.latest_version,
        );
        let view = &transit.view;
        let made = times::known(view, &settings.id, first..=last).await?;
        let created = |version: u32| made.get(&version).copied().and_then(second);
        let mut fingerprints = BTreeMap::new();
        for version in first.max(last.saturating_sub(PRINTS - 1))..=last {
            let record = match view.get(&version_key(&settings.id, version)).await {
                // A damaged version goes, too; there is nothing to tell of it.
                Err(Error::Corrupt(_)) => None,
                found => found?,
            };
            let key = record.and_then(|record| settings.read_version(record.value.expose()));
            let print = key.and_then(|key| key.fingerprint());
            fingerprints.extend(print.map(|print| (version, print)));
        }
        Ok(Self {
            name,
            id: &settings.id,
            kind: settings.type_name(),
            first_version: first,
            last_version: last,
            first_created: created(first),
            last_created: created(last),
            fingerprints,
        })
    }
}
