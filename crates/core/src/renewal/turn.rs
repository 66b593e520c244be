//! Whose turn it is to rewrite records, among several nodes. Each of them has a worker that would go on,
//! so that a rotation does not end with the node that began it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::error::Error;
use crate::ports::storage::{LockGuard, Storage};

/// The lock's name.
pub(super) const NAME: &str = "renewals";
const TTL: Duration = Duration::from_secs(30);
/// After this it is taken anew, so that it does not end by itself in the middle of a step.
const HELD: Duration = Duration::from_secs(20);

/// This node's turn, while it has it.
#[derive(Default)]
pub(super) struct Turns(Mutex<Option<Held>>);

struct Held {
    lock: Arc<dyn LockGuard>,
    since: Instant,
}

impl Turns {
    /// The lock that steps are done under; `None` while another node has it.
    pub async fn take(&self, storage: &dyn Storage) -> Result<Option<Arc<dyn LockGuard>>, Error> {
        let mut slot = self.0.lock().await;
        if let Some(held) = &*slot
            && held.since.elapsed() < HELD
            && held.lock.held()
        {
            return Ok(Some(held.lock.clone()));
        }
        *slot = None;
        let since = Instant::now();
        let Some(lock) = storage.lock(NAME, TTL).await? else {
            return Ok(None);
        };
        let lock: Arc<dyn LockGuard> = lock.into();
        *slot = Some(Held {
            lock: lock.clone(),
            since,
        });
        Ok(Some(lock))
    }

    /// There is nothing to do here any more.
    pub async fn give_back(&self) {
        *self.0.lock().await = None;
    }
}
