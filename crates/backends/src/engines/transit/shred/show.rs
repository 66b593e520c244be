//! How far the destruction of a key is, for whoever asks; and what needs the key yet.

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use serde::Serialize;

use super::super::key::Settings;
use super::super::needs::{self, Need};
use super::super::{Transit, key_name};
use super::mark::{Step, shown};
use super::{Grave, Graves, Mark, remains};

/// A use counts as a need for so long: a week.
const RECENT: u64 = 7 * 24 * 3600;

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    /// Of the key that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// `active`, `tombstoned`, `approved`, `revived`, or `destroyed` where there is no key any more.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<&'a Step>,
    /// It may be destroyed from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved: Option<&'a Step>,
    /// It may be destroyed now.
    ready: bool,
    /// Keys that had the name before, and this one where it came back.
    destroyed: Vec<&'a Grave>,
    needed_by: Vec<Need>,
    more_needs: usize,
    /// What holds the key beside this server, or data that it protects.
    remains: Vec<String>,
}

pub(in super::super) async fn read(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    if let Some((settings, _)) = transit.stored(name).await? {
        return answer(transit, call, name, &settings).await;
    }
    let (graves, _) = Graves::load(&transit.view, name).await?;
    match graves.is_empty() {
        true => Err(Error::NotFound),
        false => Reply::data(&Shown {
            name,
            id: None,
            state: "destroyed",
            reason: None,
            requested: None,
            until: None,
            approved: None,
            ready: false,
            destroyed: graves.iter().collect(),
            needed_by: Vec::new(),
            more_needs: 0,
            remains: remains::of(None),
        }),
    }
}

/// The answer for a key that is there.
pub(super) async fn answer(
    transit: &Transit,
    call: &Call<'_>,
    name: &str,
    settings: &Settings,
) -> Result<Reply, Error> {
    let mark = settings.shred.as_ref();
    let tombstone = mark.and_then(Mark::tombstone);
    let (needed_by, more_needs) = match mark {
        None => (Vec::new(), 0),
        Some(_) => {
            let above = settings.latest_version.saturating_add(1);
            let since = call.now.secs().saturating_sub(RECENT);
            needs::below(transit, settings, above, since).await?
        }
    };
    let revived = match mark {
        Some(Mark::Revived(grave)) => Some(grave),
        _ => None,
    };
    let remains = match mark {
        None => Vec::new(),
        Some(_) => remains::of(Some(settings)),
    };
    Reply::data(&Shown {
        name,
        id: Some(&settings.id),
        state: mark.map_or("active", Mark::state),
        reason: tombstone.map(|tombstone| &*tombstone.reason),
        requested: tombstone.map(|tombstone| &tombstone.requested),
        until: tombstone.map(|tombstone| shown(tombstone.until)),
        approved: mark.and_then(Mark::approved),
        ready: mark.is_some_and(|mark| mark.ripe(call.now).is_ok()),
        destroyed: settings.graves.iter().chain(revived).collect(),
        needed_by,
        more_needs,
        remains,
    })
}
