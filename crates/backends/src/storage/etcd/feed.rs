//! What was committed, told to the watchers of this node: each commit once, in order, whoever made
//! it. The watch is the only one who tells, so a commit of this node's own is answered once it has
//! come back.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keyfold_core::ports::storage::{Change, Revision};
use keyfold_keys::rng;
use tokio::sync::{broadcast, watch};

use super::super::FEED;
use super::super::standing::Standing;
use super::keys::{Followed, Keys};
use super::member::{Known, Record as Member};
use super::record::{Origin, Record};
use super::unsigned;
use super::wire::{DELETED, Event, KeyValue};

/// See the module.
pub(super) struct Feed {
    changes: broadcast::Sender<Change>,
    place: Mutex<Place>,
    /// Everything up to this revision of etcd's was seen.
    seen: watch::Sender<u64>,
    standing: Arc<Standing>,
}

/// What is below the followed keys, at a revision.
#[derive(Default)]
pub(super) struct Found {
    /// etcd's, when it was read.
    pub revision: u64,
    /// That of the last commit.
    pub committed: u64,
    pub members: BTreeMap<String, Known>,
}

#[derive(Default)]
struct Place {
    /// The last commit that was told.
    told: u64,
    /// Commits of this node that are on their way, and where they were seen.
    expected: HashMap<Origin, Option<u64>>,
    /// How often changes were missed.
    losses: u64,
    members: BTreeMap<String, Known>,
}

/// A commit of this node's that is on its way.
pub(super) struct Expected<'f> {
    feed: &'f Feed,
    pub origin: Origin,
    losses: u64,
}

/// What the feed knows of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    Seen(u64),
    Unseen,
    /// Changes were missed since it was sent: it may be among them.
    Missed,
}

impl Found {
    /// Reads all that is followed.
    pub fn read(keys: &Keys, revision: i64, kvs: &[KeyValue]) -> Self {
        let mut found = Self {
            revision: unsigned(revision),
            ..Self::default()
        };
        for kv in kvs {
            match keys.followed(&kv.key) {
                Some(Followed::Commit) => found.committed = unsigned(kv.mod_revision),
                Some(Followed::Node(id)) => known(&mut found.members, id, kv, false),
                Some(Followed::Turn(id)) => turns(&mut found.members, id, true),
                None => {}
            }
        }
        found
    }
}

impl Feed {
    pub fn new(found: Found, standing: Arc<Standing>) -> Self {
        let (changes, _) = broadcast::channel(FEED);
        let place = Place {
            told: found.committed,
            members: found.members,
            ..Place::default()
        };
        Self {
            changes,
            place: Mutex::new(place),
            seen: watch::Sender::new(found.revision),
            standing,
        }
    }

    /// Who begins to watch has nothing in its caches yet.
    pub fn watch(&self) -> broadcast::Receiver<Change> {
        let place = self.place();
        if self.changes.receiver_count() == 0 {
            self.standing.apply(place.told);
        }
        self.changes.subscribe()
    }

    /// The revision of etcd's up to which everything was seen.
    pub fn seen(&self) -> u64 {
        *self.seen.borrow()
    }

    /// The last commit that was told.
    pub fn told(&self) -> u64 {
        self.place().told
    }

    /// Waits until everything up to a revision was seen; false where that takes too long.
    pub async fn reached(&self, revision: u64, patience: Duration) -> bool {
        let mut seen = self.seen.subscribe();
        let reached = seen.wait_for(|seen| *seen >= revision);
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    /// A commit of this node's is about to be sent.
    pub fn expect(&self) -> Expected<'_> {
        let origin = rng::bytes();
        let mut place = self.place();
        place.expected.insert(origin, None);
        Expected {
            feed: self,
            origin,
            losses: place.losses,
        }
    }

    /// The nodes, as of what was seen.
    pub fn members<T>(&self, f: impl FnOnce(&BTreeMap<String, Known>) -> T) -> T {
        f(&self.place().members)
    }

    /// Takes what the watch gave.
    pub fn take(&self, keys: &Keys, events: &[Event]) {
        let mut newest = 0;
        let mut place = self.place();
        for event in events {
            let Some(kv) = &event.kv else { continue };
            newest = unsigned(kv.mod_revision).max(newest);
            let is_gone = event.kind == DELETED;
            match keys.followed(&kv.key) {
                Some(Followed::Commit) => self.take_commit(&mut place, kv),
                Some(Followed::Node(id)) => known(&mut place.members, id, kv, is_gone),
                Some(Followed::Turn(id)) => turns(&mut place.members, id, !is_gone),
                None => {}
            }
        }
        drop(place);
        self.move_on(newest);
        self.standing.heard.notify_waiters();
    }

    /// What was missed is not to be had any more: this is what stands there now.
    pub fn take_anew(&self, found: Found) {
        let mut place = self.place();
        place.members = found.members;
        if found.committed > place.told {
            self.lose(&mut place, found.committed);
        }
        drop(place);
        self.move_on(found.revision);
        self.standing.heard.notify_waiters();
    }

    /// A commit of this node's own is not seen in time: nothing that is cached counts.
    pub fn give_up(&self, revision: u64) {
        let mut place = self.place();
        if revision > place.told {
            self.lose(&mut place, revision);
        }
    }

    fn take_commit(&self, place: &mut Place, kv: &KeyValue) {
        let revision = unsigned(kv.mod_revision);
        let Some(record) = Record::read(&kv.value) else {
            tracing::warn!(revision, "a commit left a record that can't be read");
            return self.lose(place, revision);
        };
        let expected = record.origin().and_then(|o| place.expected.get_mut(&o));
        let is_own = expected.map(|seen| *seen = Some(revision)).is_some();
        if revision <= place.told {
            // It was given up, or comes again.
            return;
        }
        let asks = record.asks && !is_own;
        self.send(place, record.into_change(revision));
        if asks {
            self.standing.ask(revision);
        }
    }

    fn lose(&self, place: &mut Place, revision: u64) {
        tracing::warn!(
            revision,
            "changes of the store were missed: nothing that is cached counts"
        );
        place.losses = place.losses.wrapping_add(1);
        let everything = Change {
            revision: Revision(revision),
            keys: Vec::new(),
            replaced: true,
        };
        self.send(place, everything);
    }

    fn send(&self, place: &mut Place, change: Change) {
        place.told = change.revision.0;
        if self.changes.send(change).is_err() {
            // Nobody watches, so nobody caches.
            self.standing.apply(place.told);
        }
    }

    /// After what was told, so that whoever waits for it finds it told.
    fn move_on(&self, revision: u64) {
        self.seen.send_if_modified(|seen| {
            let moves = *seen < revision;
            *seen = revision.max(*seen);
            moves
        });
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known(members: &mut BTreeMap<String, Known>, id: &str, kv: &KeyValue, is_gone: bool) {
    let member = members.entry(id.to_owned()).or_default();
    member.record = match is_gone {
        true => None,
        false => Member::read(&kv.value),
    };
    if is_gone && !member.is_there {
        members.remove(id);
    }
}

fn turns(members: &mut BTreeMap<String, Known>, id: &str, is_there: bool) {
    let member = members.entry(id.to_owned()).or_default();
    member.is_there = is_there;
    if !is_there && member.record.is_none() {
        members.remove(id);
    }
}

impl Expected<'_> {
    /// What is known of it; only what was seen is certain, before the feed has reached the moment
    /// from which on it can't be committed any more.
    pub fn sighting(&self) -> Sighting {
        let place = self.feed.place();
        match place.expected.get(&self.origin).copied().flatten() {
            Some(revision) => Sighting::Seen(revision),
            None if place.losses != self.losses => Sighting::Missed,
            None => Sighting::Unseen,
        }
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.feed.place().expected.remove(&self.origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed() -> (Feed, Keys, broadcast::Receiver<Change>) {
        let standing = Arc::new(Standing::new(Duration::from_secs(1), 3));
        let found = Found {
            revision: 5,
            committed: 3,
            ..Found::default()
        };
        let feed = Feed::new(found, standing);
        let watcher = feed.watch();
        (feed, Keys::new("k"), watcher)
    }

    fn event(key: Vec<u8>, value: Vec<u8>, revision: i64) -> Event {
        let kv = KeyValue {
            key,
            mod_revision: revision,
            value,
            ..KeyValue::default()
        };
        Event {
            kind: 0,
            kv: Some(kv),
        }
    }

    fn commit(keys: &Keys, origin: Origin, revision: i64) -> Event {
        let record = Record::touching(&origin, vec![format!("k{revision}")], true);
        event(keys.commit(), record.to_bytes(), revision)
    }

    fn heard(watcher: &mut broadcast::Receiver<Change>) -> Vec<(u64, bool)> {
        std::iter::from_fn(|| watcher.try_recv().ok())
            .map(|change| (change.revision.0, change.replaced))
            .collect()
    }

    #[test]
    fn each_commit_is_told_once_and_those_of_others_ask() {
        let (feed, keys, mut watcher) = feed();
        let own = feed.expect();
        assert_eq!(own.sighting(), Sighting::Unseen);
        let turn = event(keys.turn("n"), Vec::new(), 9);
        feed.take(&keys, &[commit(&keys, own.origin, 7), turn]);
        assert_eq!(own.sighting(), Sighting::Seen(7));
        assert_eq!((feed.told(), feed.seen()), (7, 9));
        feed.standing.apply(7);
        assert_eq!(feed.standing.to_tell(), None);
        feed.take(&keys, &[commit(&keys, [1; 16], 10)]);
        feed.take(&keys, &[commit(&keys, [1; 16], 10)]);
        feed.standing.apply(10);
        assert_eq!(feed.standing.to_tell(), Some(10));
        assert_eq!(heard(&mut watcher), [(7, false), (10, false)]);
        assert!(feed.members(|members| members["n"].is_there));
    }

    #[test]
    fn what_was_missed_is_everything_unless_nothing_was() {
        let (feed, keys, mut watcher) = feed();
        let found = |revision, committed| Found {
            revision,
            committed,
            ..Found::default()
        };
        let own = feed.expect();
        feed.take_anew(found(8, 3));
        assert_eq!(own.sighting(), Sighting::Unseen);
        assert_eq!(heard(&mut watcher), []);
        feed.take_anew(found(12, 11));
        assert_eq!(own.sighting(), Sighting::Missed);
        feed.give_up(14);
        // It comes late: that everything may have changed was told.
        feed.take(&keys, &[commit(&keys, own.origin, 14)]);
        assert_eq!(own.sighting(), Sighting::Seen(14));
        feed.take(&keys, &[event(keys.commit(), b"?".to_vec(), 15)]);
        assert_eq!(heard(&mut watcher), [(11, true), (14, true), (15, true)]);
        assert_eq!(feed.seen(), 15);
    }

    #[tokio::test]
    async fn who_waits_for_the_watch_waits_no_longer_than_it_wants() {
        let (feed, keys, _watcher) = feed();
        let brief = Duration::from_millis(5);
        assert!(feed.reached(5, brief).await);
        assert!(!feed.reached(6, brief).await);
        let come = async { feed.take(&keys, &[commit(&keys, [1; 16], 6)]) };
        let (reached, ()) = tokio::join!(feed.reached(6, Duration::from_secs(60)), come);
        assert!(reached);
    }
}
