//! datakeys: many DEKs at once, each wrapped under the key, for one context and one associated data.

use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

use super::ciphers::Ciphers;
use super::datakey::{self, Common, DataKey};
use super::{Transit, key_name, managed};

/// DEKs that one call gives at most.
const MOST: i64 = 10_000;
/// So many are made before other requests get their turn.
const SLICE: i64 = 1_000;
/// The same under a public key.
const ASYMMETRIC_SLICE: i64 = 16;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::int")]
    count: Option<i64>,
}

#[derive(Serialize)]
struct Answer {
    keys: Vec<DataKey>,
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let in_clear = datakey::in_clear(call)?;
    let (ask, common) = call.decode_both::<Ask, Common>()?;
    let count = ask.count.unwrap_or(1);
    if !(1..=MOST).contains(&count) {
        return Err(Error::field("count", format!("must be from 1 to {MOST}")));
    }
    let key = transit.key(name).await?;
    let wanted = common.check(&key.settings)?;
    let idle = transit.idle(wanted.has_context(), key.settings.derived)?;
    if key.settings.is_managed() {
        let count = usize::try_from(count).unwrap_or_default();
        let keys = managed::datakeys(transit, call, &key, &wanted, count, in_clear).await?;
        return Ok(idle.told(Reply::data(&Answer { keys })?));
    }
    let versions = std::iter::once(wanted.version);
    let mut ciphers = Ciphers::load(transit, call, &key, versions).await?;
    let mut keys = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    let slice = match key.settings.kind.is_symmetric() {
        true => SLICE,
        false => ASYMMETRIC_SLICE,
    };
    for made in 0..count {
        keys.push(wanted.make(&mut ciphers, in_clear)?);
        if made % slice == slice - 1 {
            yield_now().await;
        }
    }
    Ok(idle.told(Reply::data(&Answer { keys })?))
}
