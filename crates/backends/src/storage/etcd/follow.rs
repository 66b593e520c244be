//! Follows the store for this node: hears of commits, renews the lease, tells others how far it is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::Code;

use super::feed::Found;
use super::link::Fault;
use super::wire::{Range, WatchCreate, Watched};
use super::{Shared, signed, unsigned};

/// Between two tries to follow.
const PAUSE: Duration = Duration::from_millis(100);

/// Watches until the store is closed.
pub(super) async fn follow(shared: Arc<Shared>, mut open: watch::Receiver<()>) {
    let mut health = Health::new("the store's changes");
    loop {
        let fault = tokio::select! {
            _closed = open.changed() => return,
            fault = shared.watch(&mut health) => fault,
        };
        health.lost(&fault);
        sleep(PAUSE.min(shared.standing.beat())).await;
    }
}

/// Keeps leases until the store is closed.
pub(super) async fn beat(shared: Arc<Shared>, mut open: watch::Receiver<()>) {
    let mut health = Health::new("the node's lease");
    let mut renewed = None;
    loop {
        let beat = shared.standing.beat();
        let turn = tokio::select! {
            _closed = open.changed() => break,
            turn = shared.turn(&mut renewed) => turn,
        };
        match turn {
            Ok(()) => {
                health.found();
                let _either = timeout(beat, shared.standing.wake.notified()).await;
            }
            Err(fault) => {
                health.lost(&fault);
                sleep(PAUSE.min(beat)).await;
            }
        }
    }
    shared.end_session().await;
}

impl Shared {
    /// Watches until that fails.
    async fn watch(&self, health: &mut Health) -> Fault {
        let (key, range_end) = self.keys.feed();
        let create = WatchCreate {
            key,
            range_end,
            start_revision: signed(self.feed.seen().saturating_add(1)),
        };
        let (at, mut watched) = match self.links.watch(create).await {
            Ok(watch) => watch,
            Err(fault) => return fault,
        };
        loop {
            let message = tokio::select! {
                () = self.rewatch.notified() => Err(Fault::silence()),
                message = watched.message() => message.map_err(Fault::from),
            };
            let ended = || Err(Fault::new(Code::Unavailable, "the watch has ended"));
            let message = message.and_then(|message| message.map_or_else(ended, Ok));
            let taken = match message {
                Ok(message) => self.take(&message).await,
                Err(fault) => Err(fault),
            };
            match taken {
                Ok(()) => health.found(),
                Err(fault) => {
                    self.links.pass(at);
                    return fault;
                }
            }
        }
    }

    async fn take(&self, message: &Watched) -> Result<(), Fault> {
        if message.compact_revision > 0 {
            // What is between is gone.
            let found = self.found().await?;
            if found.revision < self.feed.seen() {
                return Err(self.set_back());
            }
            self.feed.take_anew(found);
            return Err(Fault::new(Code::Aborted, "the watch begins anew"));
        }
        if message.canceled {
            return Err(Fault::new(Code::Unavailable, message.cancel_reason.clone()));
        }
        self.feed.take(&self.keys, &message.events);
        Ok(())
    }

    /// What is followed, as it stands now.
    pub async fn found(&self) -> Result<Found, Fault> {
        let (key, range_end) = self.keys.feed();
        let all = Range {
            range_end,
            ..Range::one(key)
        };
        let ranged = self.links.once(&all).await?;
        let revision = ranged.header.as_ref().map_or(0, |header| header.revision);
        Ok(Found::read(&self.keys, revision, &ranged.kvs))
    }

    async fn turn(&self, renewed: &mut Option<Instant>) -> Result<(), Fault> {
        let standing = &self.standing;
        let due = |last: Instant| last.elapsed() >= standing.beat();
        if renewed.is_none_or(due) {
            // Also of a node that holds no leases: it commits.
            self.kept_session().await?;
            if standing.may_renew() {
                self.renew().await?;
            } else if self.seems_joined() {
                self.tell(standing.applied()).await?;
            }
            *renewed = Some(Instant::now());
        }
        match standing.to_tell() {
            Some(at) if self.joined.load(Ordering::Acquire) => {
                self.tell(at).await?;
                standing.has_told(at);
            }
            _ => {}
        }
        Ok(())
    }

    /// Renews the lease: what was committed before this began has to have come through the watch.
    pub async fn renew(&self) -> Result<(), Fault> {
        let standing = &self.standing;
        let session = self.kept_session().await?;
        let (mut begun, seen) = (Instant::now(), self.feed.seen());
        let mut newest = self.look(session).await?;
        if newest < seen {
            return Err(self.set_back());
        }
        if !self.feed.reached(newest, standing.beat() / 4).await {
            // Something else was done in the cluster, of which the watch tells nothing. It does of this.
            begun = Instant::now();
            newest = unsigned(self.tell(standing.applied()).await?);
            if !self.feed.reached(newest, standing.bound).await {
                self.rewatch.notify_one();
                return Err(Fault::new(Code::Unavailable, "the watch is behind"));
            }
        }
        if self.joined.load(Ordering::Acquire) {
            standing.renewed(self.feed.told(), begun + standing.bound);
        }
        Ok(())
    }

    /// Revisions went back: the cluster was restored from a copy.
    fn set_back(&self) -> Fault {
        let why = "the etcd cluster was set back to an earlier state: restart this node";
        self.links.refuse(why);
        Fault::new(Code::FailedPrecondition, why)
    }
}

/// Says once that something is lost, and once that it is found again.
struct Health {
    what: &'static str,
    is_lost: bool,
}

impl Health {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            is_lost: false,
        }
    }

    fn found(&mut self) {
        if std::mem::take(&mut self.is_lost) {
            tracing::info!("{} can be had again", self.what);
        }
    }

    fn lost(&mut self, fault: &Fault) {
        let reason = &*fault.text;
        match std::mem::replace(&mut self.is_lost, true) {
            false => tracing::warn!(
                reason,
                "{} can't be had: answers from memory end with the lease",
                self.what
            ),
            true => tracing::debug!(reason, "{} can't be had yet", self.what),
        }
    }
}
