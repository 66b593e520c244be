//! Catalogs: what a scan of envelopes elsewhere found under each version of a key.
//!
//! No server sees the data that its keys protect. Whoever scans it, `keyfold census` or `keyfold
//! rewrap`, may tell what it saw; so a version can be retired when nothing needs it any more, and
//! after a compromise it is known what lies open. A catalog is a record of its own at
//! `catalogs/<key id>/<catalog>`; one of the same name takes the place of the one before.

use std::collections::BTreeMap;

use keyfold_api::{Seconds, weak};
use keyfold_core::barrier::{View, json};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use serde::{Deserialize, Serialize};

use super::census::second;
use super::key::{Settings, policy_key};
use super::{Transit, is_name, key_name};

/// Below it one folder for each key id.
pub(super) const FOLDER: &str = "catalogs/";
/// Catalogs of one key.
const MOST: usize = 1_000;
/// Versions that one catalog tells of.
const VERSIONS: usize = 1_000;
/// Bytes of a root, and of the name of a catalog.
const LONGEST: usize = 1_024;
const LONGEST_NAME: usize = 128;

/// What a scan saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Catalog {
    /// What was scanned, in the words of whoever did.
    pub root: String,
    /// Items that need a version, by version.
    pub items: BTreeMap<u32, u64>,
    /// Files that the scan could not read: they may need any version.
    pub unreadable: u64,
    /// The second in which the scan began.
    pub time: u64,
}

impl Catalog {
    /// Items that need one of some versions.
    pub fn remains(&self, versions: impl Fn(u32) -> bool) -> BTreeMap<u32, u64> {
        let items = self.items.iter();
        let remains = items.filter(|(version, count)| **count > 0 && versions(**version));
        remains.map(|(version, count)| (*version, *count)).collect()
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::string")]
    root: Option<String>,
    #[serde(deserialize_with = "weak::map")]
    items: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "weak::int")]
    unreadable: Option<i64>,
    /// How long the scan took.
    #[serde(deserialize_with = "weak::duration")]
    took: Option<Seconds>,
}

impl Ask {
    /// What is stored of it, for a key as it is.
    fn check(self, settings: &Settings, now: u64) -> Result<Catalog, Error> {
        let root = self.root.unwrap_or_default();
        if root.is_empty() || root.len() > LONGEST || root.chars().any(char::is_control) {
            let text =
                format!("what was scanned, in 1 to {LONGEST} bytes without control characters");
            return Err(Error::field("root", text));
        }
        let asked = self.items.ok_or_else(|| Error::field("items", "missing"))?;
        if asked.len() > VERSIONS {
            let text = format!("names more than {VERSIONS} versions");
            return Err(Error::field("items", text));
        }
        let mut items = BTreeMap::new();
        for (version, count) in asked {
            let known = version.parse::<u32>().ok();
            let known = known.filter(|version| (1..=settings.latest_version).contains(version));
            let known = known.ok_or_else(|| {
                Error::field("items", format!("the key has no version {version:?}"))
            })?;
            let count = count
                .parse::<u64>()
                .map_err(|_| Error::field("items", format!("of version {known} is no count")))?;
            items.insert(known, count);
        }
        let unreadable = u64::try_from(self.unreadable.unwrap_or_default());
        let took = u64::try_from(self.took.unwrap_or_default().0);
        let took = took.map_err(|_| Error::field("took", "must not be negative"))?;
        Ok(Catalog {
            root,
            items,
            unreadable: unreadable.map_err(|_| Error::field("unreadable", "is no count"))?,
            // What was made while it went on may lie behind it.
            time: now.saturating_sub(took),
        })
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    root: &'a str,
    items: &'a BTreeMap<u32, u64>,
    unreadable: u64,
    time: Option<String>,
}

pub(super) async fn write(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let (name, id) = (key_name(call)?, catalog_name(call)?);
    let asked = call.decode::<Ask>()?;
    let (settings, _) = there(transit, name).await?;
    let catalog = asked.check(&settings, call.now.secs())?;
    transit
        .view
        .change(name, || async {
            let (now, revision) = there(transit, name).await?;
            if now.id != settings.id {
                return Err(Error::bad(format!("key {name} was made anew meanwhile")));
            }
            let (folder, at) = (folder(&now.id), place(&now.id, id));
            let known = transit.view.get(&at).await?.is_some();
            if !known && transit.view.count(&folder).await? >= MOST {
                return Err(Error::bad(format!(
                    "the key has {MOST} catalogs: delete those whose roots are gone"
                )));
            }
            let batch = Batch::new().unchanged(policy_key(name), revision);
            let batch = batch.put(at, json(&catalog)?);
            transit.view.commit(batch).await.map(drop)
        })
        .await?;
    show(id, &catalog)
}

pub(super) async fn read(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let (name, id) = (key_name(call)?, catalog_name(call)?);
    let (settings, _) = transit.stored(name).await?.ok_or(Error::NotFound)?;
    let at = place(&settings.id, id);
    let (catalog, _) = transit.view.read(&at).await?.ok_or(Error::NotFound)?;
    show(id, &catalog)
}

pub(super) async fn list(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let (settings, _) = transit
        .stored(key_name(call)?)
        .await?
        .ok_or(Error::NotFound)?;
    call.list(&transit.view, &folder(&settings.id)).await
}

/// One that is not there is as good as gone.
pub(super) async fn remove(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let (name, id) = (key_name(call)?, catalog_name(call)?);
    if let Some((settings, _)) = transit.stored(name).await? {
        let batch = Batch::new().delete(place(&settings.id, id));
        transit.view.commit(batch).await?;
    }
    Ok(Reply::none())
}

/// All catalogs of a key with their names.
pub(super) async fn all(view: &View, id: &str) -> Result<Vec<(String, Catalog)>, Error> {
    let names = view.list(&folder(id), "", MOST).await?.names;
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        if let Some((catalog, _)) = view.read::<Catalog>(&place(id, &name)).await? {
            all.push((name, catalog));
        }
    }
    Ok(all)
}

fn show(id: &str, catalog: &Catalog) -> Result<Reply, Error> {
    Reply::data(&Shown {
        id,
        root: &catalog.root,
        items: &catalog.items,
        unreadable: catalog.unreadable,
        time: second(catalog.time),
    })
}

async fn there(
    transit: &Transit,
    name: &str,
) -> Result<(Settings, keyfold_core::ports::storage::Revision), Error> {
    let stored = transit.stored(name).await?;
    stored.ok_or_else(|| Error::bad("key not found"))
}

/// The name of the catalog in the path.
fn catalog_name<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    let id = call.param("catalog");
    match is_name(id) && id.len() <= LONGEST_NAME {
        true => Ok(id),
        false => Err(Error::bad(format!(
            "a catalog's name has letters, digits, `_`, and between them `-` and `.`, \
             {LONGEST_NAME} bytes at most"
        ))),
    }
}

fn folder(id: &str) -> String {
    format!("{FOLDER}{id}/")
}

fn place(id: &str, catalog: &str) -> String {
    format!("{FOLDER}{id}/{catalog}")
}
