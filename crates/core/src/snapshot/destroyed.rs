//! What was destroyed for good stays so when an older snapshot takes the place of the store.
//!
//! A snapshot from before the destruction of a key has the key. The store that goes knows of it, so what
//! it knows is taken along, and told to the engines of the store that comes:
//!
//! ```text
//!   store that goes ── engines: destroyed ──┐
//!   snapshot ── the folders in it ──────────┴─► core/destroyed ── opened ─► engines: revived ─► gone
//! ```
//!
//! `core/destroyed` is JSON in clear, since nobody knows yet which DEKs the new store opens with; it
//! tells what storage keys tell, names and ids, and when. Its MAC is under the snapshot key, which both
//! stores have: a key that comes back goes again without its two people, so nobody else may say that it
//! was destroyed. Whoever writes the store can take the record away, as they can put back an older one.
//! A store that is restored on a machine that has nothing knows nothing of what was destroyed: the
//! receipts do.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use keyfold_keys::kdf::MacKey;
use serde::{Deserialize, Serialize};

use super::format::Header;
use super::key::{self, KEY as SNAPSHOT_KEY};
use crate::barrier::{View, json, overtaken};
use crate::clock::Time;
use crate::error::Error;
use crate::mounts::{LOGICAL, Mounts, Target};
use crate::ports::engine::DestroyedKey;
use crate::ports::storage::{Batch, Storage};
use crate::ports::whole::Portion;

/// Where it is stored until the engines have heard of it.
pub(super) const KEY: &str = "core/destroyed";
/// Clocks of nodes may differ by so much.
const SLACK: Duration = Duration::from_secs(24 * 3600);
/// Keeps this MAC from being taken for that of a snapshot.
const CONTEXT: &[u8] = b"keyfold destroyed 1\0";

/// By the uuid of their mount, those that went first first.
type Keys = BTreeMap<String, Vec<DestroyedKey>>;

#[derive(Serialize, Deserialize)]
struct Record {
    mounts: Keys,
    /// Hex.
    mac: String,
}

/// What the store that goes has destroyed, and what of it the snapshot has.
#[derive(Default)]
pub(super) struct Destroyed {
    /// Storage keys of folders, and whose they are.
    folders: HashMap<String, Place>,
    /// Folders that were in the snapshot.
    found: HashSet<String>,
    /// Those that come back, as the answer names them.
    revived: BTreeMap<String, DestroyedKey>,
    /// Records of engines that could not be read.
    damaged: Vec<String>,
}

/// A destroyed key, with its mount's path and uuid.
struct Place {
    path: String,
    uuid: String,
    key: DestroyedKey,
}

impl Destroyed {
    /// What the engines say now.
    pub async fn of(mounts: &Mounts) -> Result<Self, Error> {
        Ok(Self {
            folders: ask(mounts).await?.0,
            ..Self::default()
        })
    }

    /// Looks at a storage key of the snapshot.
    pub fn note(&mut self, key: &str) {
        if self.folders.is_empty() || !key.starts_with(LOGICAL) {
            return;
        }
        let folder = key.rfind('/').and_then(|slash| key.get(..=slash));
        let known = folder.filter(|folder| self.folders.contains_key(*folder));
        if let Some(folder) = known
            && !self.found.contains(folder)
        {
            self.found.insert(folder.to_owned());
        }
    }

    /// What the new store has to know, by what the engines say at the last moment: of keys that it has
    /// again, and of those that were destroyed after it was saved. What was destroyed while it was
    /// read is taken to be in it.
    pub async fn carry(
        &mut self,
        mounts: &Mounts,
        system: &View,
        header: &Header,
    ) -> Result<Portion, Error> {
        let saved = Time::parse(&header.created).unwrap_or_default();
        let mut keys = Keys::new();
        let (folders, damaged) = ask(mounts).await?;
        self.damaged = damaged;
        for (folder, place) in folders {
            let revived = self.found.contains(&folder) || !self.folders.contains_key(&folder);
            if !revived && gone(&place.key).plus(SLACK) < saved {
                continue;
            }
            if revived {
                let name = format!("{}{}", place.path, place.key.name);
                self.revived.insert(name, place.key.clone());
            }
            keys.entry(place.uuid).or_default().push(place.key);
        }
        if keys.is_empty() {
            return Ok(Portion::new());
        }
        for of_mount in keys.values_mut() {
            of_mount.sort_by_cached_key(gone);
        }
        let mac = key::find(system).await?;
        let mac = mac.ok_or_else(|| Error::corrupt(SNAPSHOT_KEY))?;
        let record = Record::new(keys, &mac)?;
        Ok(vec![(KEY.to_owned(), json(&record)?)])
    }

    /// The keys that come back, and what is to be said of each.
    pub fn revived(self) -> (Vec<String>, Vec<String>) {
        let told = self.revived.iter().map(|(name, key)| {
            tracing::error!(name, receipt = key.receipt, "a destroyed key comes back");
            format!(
                "{name} was destroyed on {} (receipt {}), and the snapshot brings it back: it is refused \
                 until shred/destroy destroys it again, or shred/cancel keeps it",
                key.time, key.receipt
            )
        });
        let unread = self.damaged.iter().map(|record| {
            format!(
                "record {record} is damaged: the snapshot may have keys that were destroyed since, and \
                 what it told of them is lost"
            )
        });
        let told = told.chain(unread).collect();
        (self.revived.into_keys().collect(), told)
    }
}

impl Record {
    fn new(mounts: Keys, key: &MacKey) -> Result<Self, Error> {
        let mac = hex::encode(key.tag(&authenticated(&mounts)?));
        Ok(Self { mounts, mac })
    }

    /// What a store with the same key has written; none where it is anything else.
    fn genuine(bytes: &[u8], key: Option<MacKey>) -> Option<Keys> {
        let Self { mounts, mac } = serde_json::from_slice(bytes).ok()?;
        let mac = hex::decode(mac).ok()?;
        let holds = key?.verify(&authenticated(&mounts).ok()?, &mac);
        holds.then_some(mounts)
    }
}

fn authenticated(mounts: &Keys) -> Result<Vec<u8>, Error> {
    Ok([CONTEXT, &json(mounts)?].concat())
}

/// When a key was destroyed. One of which nobody can tell counts as the last.
fn gone(key: &DestroyedKey) -> Time {
    Time::parse(&key.time).unwrap_or(Time(u64::MAX))
}

/// Tells the engines of a restored store what had been destroyed in the one before: once, and again
/// where that was not finished. A record that is not as it was written is told to nobody, and keeps no
/// store closed: whoever changed it could have taken it away.
pub(crate) async fn settle(
    storage: &dyn Storage,
    system: &View,
    mounts: &Mounts,
) -> Result<(), Error> {
    let Some(entry) = storage.get(KEY).await? else {
        return Ok(());
    };
    let known = Record::genuine(&entry.value, key::find(system).await?);
    if known.is_none() {
        tracing::error!(
            record = KEY,
            "it is not as it was written: destroyed keys may have come back, and the receipts tell which"
        );
    }
    let known = known.unwrap_or_default();
    for mount in mounts.table().iter() {
        let keys = known.get(&mount.record.uuid);
        if let (Some(keys), Target::Engine { engine, .. }) = (keys, &mount.target) {
            for key in keys {
                match engine.revived(key).await {
                    // No reason for the store to stay closed: the damage is told of where it is read.
                    Err(Error::Corrupt(record)) => {
                        tracing::error!(record, key = key.name, "a destroyed key is not noted");
                    }
                    told => told?,
                }
            }
        }
    }
    let batch = Batch::new().unchanged(KEY, entry.revision).delete(KEY);
    storage.commit(batch).await.map_err(overtaken)?;
    Ok(())
}

/// What all engines have destroyed, by the folder that held it, and records that are damaged.
async fn ask(mounts: &Mounts) -> Result<(HashMap<String, Place>, Vec<String>), Error> {
    let (mut folders, mut damaged) = (HashMap::new(), Vec::new());
    for mount in mounts.table().iter() {
        let Target::Engine { engine, view } = &mount.target else {
            continue;
        };
        let told = engine.destroyed().await?;
        damaged.extend(told.damaged);
        for key in told.keys {
            let place = Place {
                path: mount.record.path.clone(),
                uuid: mount.record.uuid.clone(),
                key,
            };
            folders.insert(view.full(&place.key.folder), place);
        }
    }
    Ok((folders, damaged))
}
