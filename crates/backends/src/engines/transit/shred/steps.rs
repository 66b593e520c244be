//! shred, approve, cancel: what is done before a key is destroyed.

use keyfold_api::{Seconds, weak};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use serde::Deserialize;

use super::super::key::{Settings, policy_key};
use super::super::{Transit, key_name};
use super::mark::{Step, Tombstone};
use super::{Actor, Graves, Mark, rules, show};

/// Bytes of a reason.
const LONGEST: usize = 1_024;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::string")]
    reason: Option<String>,
    #[serde(deserialize_with = "weak::duration")]
    delay: Option<Seconds>,
}

/// Asks for the destruction. From now on the key makes nothing more.
pub(in super::super) async fn begin(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let Ask { reason, delay } = call.decode()?;
    let reason = reason.unwrap_or_default();
    let printable = !reason.chars().any(char::is_control);
    if reason.trim().is_empty() || reason.len() > LONGEST || !printable {
        let text = format!(
            "why it goes, in 1 to {LONGEST} bytes without control characters: the receipt tells it"
        );
        return Err(Error::field("reason", text));
    }
    let requested = Step::new(call.now, Actor::of(transit, call)?);
    let delay = rules::delay(&transit.view, delay).await?;
    let tombstone = Tombstone {
        reason,
        requested,
        delay,
        until: call.now.secs().saturating_add(delay),
    };
    change(transit, call, |settings| {
        settings.unmarked()?;
        Ok(Some(Mark::Tombstoned(tombstone.clone())))
    })
    .await
}

/// Agrees to it.
pub(in super::super) async fn approve(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let by = Actor::of(transit, call)?;
    change(transit, call, |settings| match &settings.shred {
        None => Err(none()),
        Some(Mark::Revived(_)) => Err(Error::bad(
            "the key was destroyed before, with two who agreed: destroy it again, or cancel",
        )),
        Some(Mark::Approved(..)) => Err(Error::bad("that is approved already")),
        Some(Mark::Tombstoned(tombstone)) => match by.is_another(&tombstone.requested.by) {
            true => {
                let step = Step::new(call.now, by.clone());
                Ok(Some(Mark::Approved(tombstone.clone(), step)))
            }
            false => Err(Error::bad(
                "who asked for it can't approve it: that takes another entity, or where there is \
                 none, a token with another accessor",
            )),
        },
    })
    .await
}

/// Keeps the key. One that a snapshot brought back lives again.
pub(in super::super) async fn cancel(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    change(transit, call, |settings| match &settings.shred {
        None => Err(none()),
        Some(_) => Ok(None),
    })
    .await
}

/// Puts a mark in the place of the one that is there, and shows it.
async fn change(
    transit: &Transit,
    call: &Call<'_>,
    step: impl Fn(&Settings) -> Result<Option<Mark>, Error>,
) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let settings = transit
        .view
        .change(name, || async {
            let Some((mut settings, revision)) = transit.stored(name).await? else {
                return Err(transit.missing(name, "key not found").await);
            };
            let mark = step(&settings)?;
            let mut batch = Batch::new().unchanged(policy_key(name), revision);
            if let (Some(Mark::Revived(grave)), None) = (&settings.shred, &mark) {
                let (graves, there) = Graves::load(&transit.view, name).await?;
                batch = Graves::demand(name, there, batch);
                batch = graves.without(&grave.id).put(name, batch)?;
            }
            settings.shred = mark;
            transit.commit(name, settings.put(name, batch)?).await?;
            Ok(settings)
        })
        .await?;
    show::answer(transit, call, name, &settings).await
}

fn none() -> Error {
    Error::bad("nobody has asked for the destruction of the key")
}
