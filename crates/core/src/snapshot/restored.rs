//! What a store remembers of the snapshot that it was restored from, until it is opened.
//!
//! Only who has the store's keys can tell whether a snapshot is as it was made. A sealed server has
//! none, so it keeps what the snapshot said, and whoever opens the store looks:
//!
//! ```text
//!   core/restored   { created, checksum, mac, forced }     JSON in clear
//! ```
//!
//! The bytes did give the checksum when they were restored, and the MAC is over the checksum.

use keyfold_keys::kdf::MacKey;
use serde::{Deserialize, Serialize};

use super::format::{Header, Trailer};
use super::key;
use crate::barrier::{View, json, overtaken};
use crate::error::Error;
use crate::ports::storage::{Batch, Storage};

/// Where it is stored.
pub(super) const KEY: &str = "core/restored";

#[derive(Serialize, Deserialize)]
struct Record {
    created: String,
    /// Hex, as the MAC.
    checksum: String,
    mac: String,
    /// Somebody took it as it is, whoever made it.
    forced: bool,
}

/// The record of a snapshot.
pub(super) fn record(header: &Header, trailer: &Trailer, forced: bool) -> Result<Vec<u8>, Error> {
    json(&Record {
        created: header.created.clone(),
        checksum: hex::encode(trailer.checksum),
        mac: hex::encode(trailer.mac),
        forced,
    })
}

/// Looks at the snapshot that a store was restored from, where it was: once. One that is not as it
/// was made keeps the store from opening, unless it was restored by force.
pub(crate) async fn settle(storage: &dyn Storage, system: &View) -> Result<(), Error> {
    let Some(entry) = storage.get(KEY).await? else {
        return Ok(());
    };
    let damaged = || Error::corrupt(KEY);
    let record: Record = serde_json::from_slice(&entry.value).map_err(|_| damaged())?;
    let key = key::find(system).await?;
    let genuine = record.is_by(key).ok_or_else(damaged)?;
    let Record {
        created, forced, ..
    } = record;
    match (genuine, forced) {
        (true, _) => tracing::info!(created, "the restored snapshot is as it was made"),
        (false, true) => tracing::error!(
            created,
            "the snapshot that was restored by force is not as it was made: it was altered"
        ),
        (false, false) => {
            return Err(Error::bad(format!(
                "the snapshot of {created} that was restored is not as it was made: it was altered. \
                 This server does not open any more: stop it, empty its storage, and restore a sound \
                 snapshot; or this one with -force, to open it nevertheless"
            )));
        }
    }
    let batch = Batch::new().unchanged(KEY, entry.revision).delete(KEY);
    storage.commit(batch).await.map_err(overtaken)?;
    Ok(())
}

impl Record {
    /// None where it is no record.
    fn is_by(&self, key: Option<MacKey>) -> Option<bool> {
        let mut trailer = Trailer {
            records: 0,
            bytes: 0,
            checksum: [0; 32],
            mac: [0; 32],
        };
        hex::decode_to_slice(&self.checksum, &mut trailer.checksum).ok()?;
        hex::decode_to_slice(&self.mac, &mut trailer.mac).ok()?;
        Some(key.is_some_and(|key| trailer.is_by(&key)))
    }
}
