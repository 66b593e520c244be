//! How far this node is: what its caches have heard of, and until when it may answer from them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use keyfold_core::ports::nodes::Position;
use keyfold_core::ports::storage::Revision;
use tokio::sync::{Notify, watch};

/// Renewals that may wait for the caches. A node whose caches hear nothing asks for no more: others
/// would wait for it, while it answers nothing.
const WAITING: usize = 2;

/// See the module.
pub(super) struct Standing {
    /// How long a lease runs.
    pub bound: Duration,
    /// The last commit whose changes the caches have dropped.
    applied: watch::Sender<u64>,
    /// The last commit of this node's own.
    made: AtomicU64,
    lease: Mutex<Lease>,
    /// The newest commit that another node waits for, and the one this node has told of.
    asked: AtomicU64,
    told: AtomicU64,
    joined: AtomicBool,
    /// Calls whoever follows the store.
    pub wake: Notify,
    /// Somebody has told how far it is.
    pub heard: Notify,
}

struct Lease {
    until: Instant,
    /// Renewals, each with what the store held then: they count once the caches have heard of it.
    renewals: VecDeque<(u64, Instant)>,
}

impl Standing {
    pub fn new(bound: Duration, revision: u64) -> Self {
        Self {
            bound,
            applied: watch::Sender::new(revision),
            made: AtomicU64::new(0),
            lease: Mutex::new(Lease {
                until: Instant::now(),
                renewals: VecDeque::new(),
            }),
            asked: AtomicU64::new(0),
            told: AtomicU64::new(0),
            joined: AtomicBool::new(false),
            wake: Notify::new(),
            heard: Notify::new(),
        }
    }

    /// Time between two renewals.
    pub fn beat(&self) -> Duration {
        self.bound / 4
    }

    pub fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// The newest commit that it has made or applied.
    pub fn newest(&self) -> u64 {
        self.applied().max(self.made.load(Ordering::Acquire))
    }

    pub fn make(&self, revision: u64) {
        self.made.fetch_max(revision, Ordering::AcqRel);
    }

    pub fn lease(&self) -> Instant {
        self.with_lease(|lease| lease.until)
    }

    /// Where the node of that name stands.
    pub fn position(&self, id: &str) -> Position {
        let lease = self.lease();
        Position {
            id: id.to_owned(),
            applied: Revision(self.applied()),
            current: lease.checked_sub(self.bound).unwrap_or(lease),
        }
    }

    /// The caches have heard of a commit and all before it.
    pub fn apply(&self, revision: u64) {
        let moved = self.applied.send_if_modified(|applied| {
            let moves = *applied < revision;
            *applied = revision.max(*applied);
            moves
        });
        if moved {
            self.with_lease(|lease| lease.count(revision));
            if self.to_tell().is_some() {
                self.wake.notify_one();
            }
        }
    }

    /// It is not known any more what has changed up to a commit, which may be an earlier one: the
    /// caches count only once they have heard of that.
    pub fn reset(&self, revision: u64) {
        let before = revision.saturating_sub(1);
        self.with_lease(Lease::end);
        self.applied
            .send_modify(|applied| *applied = before.min(*applied));
        self.made.fetch_min(revision, Ordering::AcqRel);
        self.told.fetch_min(before, Ordering::AcqRel);
    }

    /// The lease was renewed, when the store held this commit.
    pub fn renewed(&self, revision: u64, until: Instant) {
        self.with_lease(|lease| {
            lease.renewals.push_back((revision, until));
            lease.count(self.applied());
        });
    }

    /// Waits for the caches; false where that takes too long.
    pub async fn reached(&self, revision: u64, patience: Duration) -> bool {
        let mut applied = self.applied.subscribe();
        if *applied.borrow_and_update() >= revision {
            return true;
        }
        self.wake.notify_one();
        let reached = applied.wait_for(|applied| *applied >= revision);
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    /// Another node waits until this one has heard of a commit.
    pub fn ask(&self, revision: u64) {
        self.asked.fetch_max(revision, Ordering::AcqRel);
        self.wake.notify_one();
    }

    /// How far this node is, where somebody waits to hear it.
    pub fn to_tell(&self) -> Option<u64> {
        let (asked, at) = (self.asked.load(Ordering::Acquire), self.applied());
        (asked > self.told.load(Ordering::Acquire) && at >= asked).then_some(at)
    }

    /// It was told.
    pub fn has_told(&self, revision: u64) {
        self.told.fetch_max(revision, Ordering::AcqRel);
    }

    /// It holds leases from now on.
    pub fn join(&self) {
        self.joined.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// No lease from now on, until [`Standing::join`].
    pub fn leave(&self) {
        self.joined.store(false, Ordering::Release);
        self.with_lease(Lease::end);
    }

    /// Whether a lease is of use to it.
    pub fn may_renew(&self) -> bool {
        self.joined.load(Ordering::Acquire) && self.with_lease(|l| l.renewals.len() < WAITING)
    }

    fn with_lease<T>(&self, f: impl FnOnce(&mut Lease) -> T) -> T {
        f(&mut self.lease.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lease {
    fn end(&mut self) {
        self.renewals.clear();
        self.until = self.until.min(Instant::now());
    }

    /// The renewals count for which the caches have heard enough.
    fn count(&mut self, applied: u64) {
        while let Some((revision, until)) = self.renewals.front().copied() {
            if revision > applied {
                return;
            }
            self.renewals.pop_front();
            self.until = self.until.max(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(1);

    #[test]
    fn a_renewal_counts_once_the_caches_have_heard() {
        let standing = Standing::new(BOUND, 5);
        let (first, second) = (Instant::now() + BOUND, Instant::now() + 2 * BOUND);
        standing.renewed(5, first);
        assert_eq!(standing.lease(), first);
        let position = standing.position("n");
        assert_eq!((position.applied.0, position.current + BOUND), (5, first));
        standing.renewed(7, second);
        standing.apply(6);
        assert_eq!(standing.lease(), first);
        standing.apply(7);
        assert_eq!((standing.lease(), standing.applied()), (second, 7));
        standing.apply(3);
        assert_eq!(standing.applied(), 7);
        standing.leave();
        assert!(standing.lease() <= Instant::now() && !standing.may_renew());
        standing.join();
        assert!(standing.may_renew());
    }

    #[test]
    fn a_store_that_was_set_back_has_to_be_heard_of_anew() {
        let standing = Standing::new(BOUND, 50);
        standing.make(52);
        standing.renewed(50, Instant::now() + BOUND);
        standing.reset(3);
        assert!(standing.lease() <= Instant::now());
        assert_eq!((standing.applied(), standing.newest()), (2, 3));
        standing.apply(3);
        assert_eq!(standing.applied(), 3);
    }

    #[test]
    fn a_node_whose_caches_hear_nothing_asks_for_no_lease() {
        let standing = Standing::new(BOUND, 5);
        standing.join();
        let until = Instant::now() + BOUND;
        standing.renewed(6, until);
        assert!(standing.may_renew());
        standing.renewed(6, until);
        assert!(!standing.may_renew() && standing.lease() < until);
        standing.apply(6);
        assert!(standing.may_renew() && standing.lease() == until);
    }

    #[test]
    fn it_tells_only_who_asks_and_only_the_truth() {
        let standing = Standing::new(BOUND, 5);
        standing.apply(6);
        assert_eq!(standing.to_tell(), None);
        standing.ask(8);
        assert_eq!(standing.to_tell(), None);
        standing.apply(9);
        assert_eq!(standing.to_tell(), Some(9));
        standing.has_told(9);
        standing.ask(7);
        assert_eq!(standing.to_tell(), None);
    }

    #[tokio::test]
    async fn who_waits_for_the_caches_waits_no_longer_than_it_wants() {
        let standing = Standing::new(BOUND, 5);
        assert!(standing.reached(5, BOUND).await);
        assert!(!standing.reached(6, Duration::from_millis(5)).await);
        let (reached, ()) = tokio::join!(standing.reached(6, BOUND), async { standing.apply(6) });
        assert!(reached);
    }
}
