//! Named locks, which all nodes share; their time is the database's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use keyfold_core::ports::storage::{LockGuard, StorageError};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::super::rules;
use super::failure::{ATTEMPT, Failure, Tries};
use super::pool::Parameter;
use super::{Shared, signed, unsigned};

/// Longest time to live: what is longer is for ever.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Locks of this node that were let go and may still be held by the database's word: by name, the
/// fencing tokens.
#[derive(Default)]
pub(super) struct LetGo(Mutex<HashMap<String, u64>>);

impl LetGo {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<String, u64>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    /// Takes a lock. One whose answer is lost stays taken until its time has passed.
    pub async fn lock(
        &self,
        name: &str,
        ttl: Duration,
    ) -> Result<Option<Box<dyn LockGuard>>, StorageError> {
        rules::check_key(name)?;
        let mut tries = Tries::new();
        loop {
            let attempt = timeout(ATTEMPT, self.take(name, ttl)).await;
            match attempt.unwrap_or_else(|_| Err(Failure::silence())) {
                Ok(None) => return Ok(None),
                Ok(Some(guard)) => return Ok(Some(Box::new(guard))),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    async fn take(&self, name: &str, ttl: Duration) -> Result<Option<Guard>, Failure> {
        let lent = self.pool.lend(&self.server).await?;
        let let_go = self.let_go.with(|names| names.get(name).copied());
        let let_go = signed(let_go.unwrap_or(0));
        let seconds = ttl.min(LONGEST).as_secs_f64();
        // Before the database counts, so that a holder knows that its time has passed no later than
        // others do.
        let until = Instant::now().checked_add(ttl);
        let asked: [Parameter<'_>; 3] = [&name, &seconds, &let_go];
        let row = lent.link.optional(&self.sql.lock, &asked).await?;
        lent.give_back();
        let Some(row) = row else { return Ok(None) };
        let fence = unsigned(row.try_get(0)?);
        self.let_go.with(|names| names.remove(name));
        Ok(Some(Guard {
            shared: self.own.clone(),
            name: name.to_owned(),
            fence,
            until,
        }))
    }

    async fn unlock(&self, name: &str, fence: u64) -> Result<(), Failure> {
        let lent = self.pool.lend(&self.server).await?;
        let fence_row = signed(fence);
        lent.link
            .execute(&self.sql.unlock, &[&name, &fence_row])
            .await?;
        lent.give_back();
        self.let_go.with(|names| {
            if names.get(name) == Some(&fence) {
                names.remove(name);
            }
        });
        Ok(())
    }
}

struct Guard {
    shared: Weak<Shared>,
    name: String,
    fence: u64,
    /// `None`: later than the clock can say.
    until: Option<Instant>,
}

impl LockGuard for Guard {
    fn held(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }

    fn fence(&self) -> u64 {
        self.fence
    }
}

impl Drop for Guard {
    /// Free at once for this node, for others when the database has heard of it: at the latest, when
    /// its time has passed.
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let (name, fence) = (std::mem::take(&mut self.name), self.fence);
        shared.let_go.with(|names| {
            let let_go = names.entry(name.clone()).or_default();
            // A late holder takes nothing from the next one.
            *let_go = fence.max(*let_go);
        });
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let unlocked = timeout(ATTEMPT, shared.unlock(&name, fence)).await;
                if let Err(failure) = unlocked.unwrap_or_else(|_| Err(Failure::silence())) {
                    let reason = failure.text();
                    tracing::debug!(
                        reason,
                        lock = name,
                        "a lock is free only when its time has passed"
                    );
                }
            });
        }
    }
}
