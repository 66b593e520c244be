//! `config/shred`: how long a key waits at least before it is destroyed.

use keyfold_api::{Seconds, weak};
use keyfold_core::barrier::{View, json};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use serde::{Deserialize, Serialize};

use super::super::Transit;

const AT: &str = "config/shred";
/// Seconds that a key waits when nobody says: a week.
const USUAL: u64 = 7 * 24 * 3600;
/// The least when nobody says.
const LEAST: u64 = 3600;
/// The longest: ten years.
const LONGEST: u64 = 10 * 365 * 24 * 3600;

/// The record.
#[derive(Serialize, Deserialize)]
struct Rules {
    /// Seconds.
    minimum_delay: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::duration")]
    minimum_delay: Option<Seconds>,
}

#[derive(Serialize)]
struct Shown {
    minimum_delay: u64,
    default_delay: u64,
}

/// The seconds that a key is to wait for which so many are asked.
pub(super) async fn delay(view: &View, asked: Option<Seconds>) -> Result<u64, Error> {
    let Rules { minimum_delay } = stored(view).await?;
    let Some(asked) = asked else {
        return Ok(USUAL.max(minimum_delay));
    };
    let fits = u64::try_from(asked.0).ok();
    let fits = fits.filter(|secs| (minimum_delay..=LONGEST).contains(secs));
    fits.ok_or_else(|| {
        let text = format!(
            "must be {minimum_delay} to {LONGEST} seconds; transit's config/shred says the least"
        );
        Error::field("delay", text)
    })
}

pub(in super::super) async fn read(transit: &Transit, _: &Call<'_>) -> Result<Reply, Error> {
    show(&stored(&transit.view).await?)
}

pub(in super::super) async fn write(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let asked = call.decode::<Ask>()?.minimum_delay;
    let asked = asked.ok_or_else(|| Error::field("minimum_delay", "missing"))?;
    let secs = u64::try_from(asked.0).ok().filter(|secs| *secs <= LONGEST);
    let minimum_delay = secs
        .ok_or_else(|| Error::field("minimum_delay", format!("must be 0 to {LONGEST} seconds")))?;
    let rules = Rules { minimum_delay };
    let batch = Batch::new().put(AT, json(&rules)?);
    transit.view.commit(batch).await?;
    show(&rules)
}

async fn stored(view: &View) -> Result<Rules, Error> {
    let stored = view.read::<Rules>(AT).await?;
    Ok(stored.map_or(
        Rules {
            minimum_delay: LEAST,
        },
        |(rules, _)| rules,
    ))
}

fn show(rules: &Rules) -> Result<Reply, Error> {
    Reply::data(&Shown {
        minimum_delay: rules.minimum_delay,
        default_delay: USUAL.max(rules.minimum_delay),
    })
}
