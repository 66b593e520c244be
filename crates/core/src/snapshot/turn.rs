//! Whose turn it is to make the snapshots that servers make by themselves: of several nodes one makes
//! each.
//!
//! ```text
//!   lock "snapshots" ─► snapshot/last is old enough ─► a file, whole ─► snapshot/last   under the lock
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::barrier::json;
use crate::clock::Time;
use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::lifecycle::fence::under;
use crate::ports::storage::{Batch, LockGuard};

const LAST: &str = "snapshot/last";
const LOCK: &str = "snapshots";
/// How long one may take before another node makes the next, as if this one were gone.
const TTL: Duration = Duration::from_secs(600);

/// The last that any node has made.
#[derive(Serialize, Deserialize)]
struct Last {
    made: Time,
}

/// What a node has to do when it has waited.
pub enum Turn {
    /// A snapshot, and [`Unsealed::snapshot_made`] once it is there.
    Make(SnapshotTurn),
    /// Nothing: this is when the last one was made.
    Made(Time),
    /// Nothing: another node is at it.
    Elsewhere,
}

/// The right to make one; nobody else has it meanwhile.
pub struct SnapshotTurn {
    /// Where there are other nodes.
    lock: Option<Box<dyn LockGuard>>,
}

impl Unsealed {
    /// Asks whether a snapshot is due: the last one is as old as this, or there is none. A server that
    /// is alone on its store knows that itself.
    pub async fn snapshot_turn(&self, interval: Duration) -> Result<Turn, Error> {
        let storage = self.barrier.storage();
        if storage.nodes().is_none() {
            return Ok(Turn::Make(SnapshotTurn { lock: None }));
        }
        let Some(lock) = storage.lock(LOCK, TTL).await? else {
            return Ok(Turn::Elsewhere);
        };
        let last = self.system.read::<Last>(LAST).await?;
        let now = self.clock.now();
        // One of the future was made by a clock that was wrong.
        let is_recent = |made: Time| made <= now && now.since(made) < interval;
        Ok(match last {
            Some((last, _)) if is_recent(last.made) => Turn::Made(last.made),
            _ => Turn::Make(SnapshotTurn { lock: Some(lock) }),
        })
    }

    /// Notes for the other nodes that it is made.
    pub async fn snapshot_made(&self, turn: SnapshotTurn, at: Time) -> Result<(), Error> {
        let Some(lock) = turn.lock else {
            return Ok(());
        };
        let batch = Batch::new().put(LAST, json(&Last { made: at })?).quiet();
        under(LOCK, &*lock, self.system.commit(batch))
            .await
            .map(drop)
    }
}
