//! Named locks, which all nodes share: each is a key that hangs on a lease of etcd's. The revision
//! that created the key is the fencing token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use keyfold_core::ports::storage::{LockGuard, StorageError};
use tokio::runtime::Handle;

use super::super::failure::Tries;
use super::super::rules;
use super::link::Fault;
use super::wire::{Compare, Grant, Op, Range, Revoke, Txn};
use super::{Shared, signed, unsigned};

/// Longest time to live, seconds: what is longer is for ever.
const LONGEST: u64 = 10 * 365 * 24 * 3600;

/// Locks of this node that were let go and may still be held by etcd's word: by name, the fencing
/// tokens.
#[derive(Default)]
pub(super) struct LetGo(Mutex<HashMap<String, u64>>);

impl LetGo {
    fn with<T>(&self, f: impl FnOnce(&mut HashMap<String, u64>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn forget(&self, name: &str, fence: u64) {
        self.with(|names| {
            if names.get(name) == Some(&fence) {
                names.remove(name);
            }
        });
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
            match self.take_lock(name, ttl).await {
                Ok(None) => return Ok(None),
                Ok(Some(guard)) => return Ok(Some(Box::new(guard))),
                Err(fault) => tries.again(fault.into()).await?,
            }
        }
    }

    async fn take_lock(&self, name: &str, ttl: Duration) -> Result<Option<Guard>, Fault> {
        let key = self.keys.lock(name);
        if let Some(fence) = self.let_go.with(|names| names.get(name).copied()) {
            self.unlock(name, fence).await?;
        }
        // A lease is not made for a lock that is not to be had.
        let held = self.links.once(&Range::one(key.clone())).await?;
        if !held.kvs.is_empty() {
            return Ok(None);
        }
        // Before etcd counts, so that a holder knows that its time has passed no later than others
        // do. etcd counts whole seconds, two at the least.
        let until = Instant::now().checked_add(ttl);
        let seconds = ttl.as_secs().saturating_add(1).min(LONGEST);
        let grant = Grant {
            ttl: signed(seconds),
        };
        let lease = self.links.once(&grant).await?.id;
        let take = Txn {
            compare: vec![Compare::absent(key.clone())],
            success: vec![Op::put_under(lease, key, Vec::new())],
            failure: Vec::new(),
        };
        let taken = self.links.once(&take).await;
        if !taken.as_ref().is_ok_and(|done| done.succeeded) {
            // Also where it is not known: then it is free at once, and not when the lease has ended.
            let _late = self.links.once(&Revoke { id: lease }).await;
            return taken.map(|_| None);
        }
        let fence = unsigned(taken?.revision());
        Ok(Some(Guard {
            shared: self.own.clone(),
            name: name.to_owned(),
            fence,
            lease,
            until,
        }))
    }

    /// Frees a lock, if it is still held under this token.
    async fn unlock(&self, name: &str, fence: u64) -> Result<(), Fault> {
        let key = self.keys.lock(name);
        let free = Txn {
            compare: vec![Compare::created(key.clone(), signed(fence))],
            success: vec![Op::delete(key)],
            failure: Vec::new(),
        };
        self.links.once(&free).await?;
        self.let_go.forget(name, fence);
        Ok(())
    }
}

struct Guard {
    shared: Weak<Shared>,
    name: String,
    fence: u64,
    lease: i64,
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
    /// Free at once for this node, for others when etcd has heard of it: at the latest, when its
    /// time has passed.
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let (name, fence, id) = (std::mem::take(&mut self.name), self.fence, self.lease);
        shared
            .let_go
            .with(|names| names.insert(name.clone(), fence));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                match shared.links.once(&Revoke { id }).await {
                    Ok(_) => shared.let_go.forget(&name, fence),
                    Err(fault) => tracing::debug!(
                        reason = &*fault.text,
                        name,
                        "a lock is free only when its time has passed"
                    ),
                }
            });
        }
    }
}
