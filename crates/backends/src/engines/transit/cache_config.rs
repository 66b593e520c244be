//! cache-config: how many keys are held in memory.
//!
//! Existing servers hold all keys unless they are told a number; this one holds 10,000 keys and as
//! many older versions, and drops those that were not used for long. A smaller number is kept to at
//! once and after a start; a larger one, and 0, which means without bound there, leave that bound.

use keyfold_api::weak;
use keyfold_core::barrier::json;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use serde::{Deserialize, Serialize};

use super::Transit;

/// Where the record lies.
pub(super) const AT: &str = "config/cache";
const LEAST: u64 = 10;

/// The record, and how it is shown.
#[derive(Serialize, Deserialize, Default)]
pub(super) struct Size {
    pub size: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::int")]
    size: Option<i64>,
}

pub(super) async fn read(transit: &Transit, _: &Call<'_>) -> Result<Reply, Error> {
    let stored = transit.view.read::<Size>(AT).await?;
    Reply::data(&stored.map(|(size, _)| size).unwrap_or_default())
}

pub(super) async fn write(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let asked = call.decode::<Ask>()?.size.unwrap_or_default();
    let size = u64::try_from(asked)
        .ok()
        .filter(|size| *size == 0 || *size >= LEAST);
    let size =
        size.ok_or_else(|| Error::bad("size must be 0 or a value greater or equal to 10"))?;
    let record = Size { size };
    let batch = Batch::new().put(AT, json(&record)?);
    transit.view.commit(batch).await?;
    transit.cache.resize(size);
    Reply::data(&record)
}
