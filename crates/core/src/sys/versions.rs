//! `sys/version-history`: which versions have served this store, and since when.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Row, System};
use crate::barrier::{View, json};
use crate::clock::Time;
use crate::error::Error;
use crate::ports::storage::Batch;
use crate::reply::Reply;
use crate::request::Op;

/// One record with all of it: there are as many entries as there were upgrades.
const KEY: &str = "versions";
/// The first and the newest entries that are kept.
const KEPT: usize = 256;

pub(super) fn rows() -> Vec<Row> {
    let list = |pattern| {
        Row::new(
            Op::List,
            pattern,
            "Versions that served this store.",
            |s, _| Box::pin(s.version_history()),
        )
    };
    vec![list("version-history"), list("version-history/")]
}

#[derive(Clone, Serialize, Deserialize)]
struct Installed {
    version: String,
    at: Time,
}

#[derive(Serialize)]
struct History<'a> {
    keys: Vec<&'a str>,
    key_info: BTreeMap<&'a str, Info<'a>>,
}

#[derive(Serialize)]
struct Info<'a> {
    commit_date: &'static str,
    previous_version: Option<&'a str>,
    timestamp_installed: String,
}

/// Notes the version that opens a store, where it is another than the last one.
pub(crate) async fn note(view: &View, version: &str, now: Time) -> Result<(), Error> {
    let stored = view.read::<Vec<Installed>>(KEY).await?;
    let mut history = stored.map(|(history, _)| history).unwrap_or_default();
    if history.last().is_some_and(|last| last.version == version) {
        return Ok(());
    }
    // A version that comes back after another counts from its return.
    history.retain(|entry| entry.version != version);
    if history.len() >= KEPT {
        history.remove(1);
    }
    history.push(Installed {
        version: version.to_owned(),
        at: now,
    });
    view.commit(Batch::new().put(KEY, json(&history)?)).await?;
    Ok(())
}

impl System {
    async fn version_history(&self) -> Result<Reply, Error> {
        let stored = self.vault.system.read::<Vec<Installed>>(KEY).await?;
        let history = stored.map(|(history, _)| history).unwrap_or_default();
        let previous = std::iter::once(None).chain(history.iter().map(Some));
        let entries = history.iter().zip(previous).map(|(entry, previous)| {
            let info = Info {
                commit_date: "",
                previous_version: previous.map(|p| p.version.as_str()),
                timestamp_installed: entry.at.rfc3339(),
            };
            (entry.version.as_str(), info)
        });
        Reply::data(&History {
            keys: history.iter().map(|e| e.version.as_str()).collect(),
            key_info: entries.collect(),
        })
    }
}
