//! The ways to the members of the cluster: one is asked, and another when that one fails.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use keyfold_core::ports::storage::StorageError;
use tokio::time::timeout;
use tonic::{Code, Streaming};

use super::super::failure::Tries;
use super::link::{ATTEMPT, Fault, Link, User};
use super::wire::{Call, Header, WatchCreate, Watched};

/// See the module.
pub(super) struct Links {
    links: Vec<Link>,
    user: Option<User>,
    /// Which of them is asked.
    at: AtomicUsize,
    /// The cluster that answered first. Another one has another store.
    cluster: AtomicU64,
    /// Why none of them is asked any more.
    refusal: OnceLock<&'static str>,
}

impl Links {
    pub fn new(links: Vec<Link>, user: Option<User>) -> Self {
        Self {
            links,
            user,
            at: AtomicUsize::new(0),
            cluster: AtomicU64::new(0),
            refusal: OnceLock::new(),
        }
    }

    /// Asks until it is answered, or for as long as is of use. For what may be asked twice.
    pub async fn ask<C: Call>(&self, call: &C) -> Result<C::Answer, StorageError> {
        let mut tries = Tries::new();
        loop {
            match self.once(call).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => tries.again(fault.into()).await?,
            }
        }
    }

    /// Asks once.
    pub async fn once<C: Call>(&self, call: &C) -> Result<C::Answer, Fault> {
        let (at, link) = self.current()?;
        let called = timeout(ATTEMPT, link.call(self.user.as_ref(), call.clone())).await;
        let answer = self.judge(at, called.unwrap_or_else(|_| Err(Fault::silence())))?;
        self.recognise(link, C::header(&answer))?;
        Ok(answer)
    }

    /// Keeps a lease; false where it is over.
    pub async fn keep_alive(&self, id: i64) -> Result<bool, Fault> {
        let (at, link) = self.current()?;
        let kept = timeout(ATTEMPT, link.keep_alive(self.user.as_ref(), id)).await;
        self.judge(at, kept.unwrap_or_else(|_| Err(Fault::silence())))
    }

    /// Begins to watch. Whoever finds that it hangs calls [`Links::pass`].
    pub async fn watch(&self, create: WatchCreate) -> Result<(usize, Streaming<Watched>), Fault> {
        let (at, link) = self.current()?;
        let watched = timeout(ATTEMPT, link.watch(self.user.as_ref(), create)).await;
        let watched = self.judge(at, watched.unwrap_or_else(|_| Err(Fault::silence())))?;
        Ok((at, watched))
    }

    /// From now on another member is asked than this one.
    pub fn pass(&self, at: usize) {
        let next = at.wrapping_add(1) % self.links.len().max(1);
        let (done, tried) = (Ordering::AcqRel, Ordering::Acquire);
        // Somebody else may have been quicker.
        let _ = self.at.compare_exchange(at, next, done, tried);
    }

    /// From now on nothing is asked.
    pub fn refuse(&self, why: &'static str) {
        if self.refusal.set(why).is_ok() {
            tracing::error!(why, "the store is not used any more");
        }
    }

    fn current(&self) -> Result<(usize, &Link), Fault> {
        if let Some(why) = self.refusal.get() {
            return Err(Fault::new(Code::FailedPrecondition, *why));
        }
        let at = self.at.load(Ordering::Acquire);
        let link = self.links.get(at);
        let link = link.ok_or_else(|| Fault::new(Code::FailedPrecondition, "no endpoints"))?;
        Ok((at, link))
    }

    fn judge<T>(&self, at: usize, outcome: Result<T, Fault>) -> Result<T, Fault> {
        outcome.inspect_err(|fault| {
            if fault.is_passing() {
                self.pass(at);
            }
        })
    }

    fn recognise(&self, link: &Link, header: Option<&Header>) -> Result<(), Fault> {
        let Some(header) = header else {
            return Err(Fault::new(Code::DataLoss, "an answer has no header"));
        };
        let (done, tried) = (Ordering::AcqRel, Ordering::Acquire);
        let known = self
            .cluster
            .compare_exchange(0, header.cluster_id, done, tried);
        match known {
            Err(known) if known != header.cluster_id => {
                let text = format!("{} is of another cluster than the others", link.name);
                Err(Fault::new(Code::FailedPrecondition, text))
            }
            _ => Ok(()),
        }
    }
}
