//! The rules of the cache, as a state machine: no clock, no threads, no server.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::clock::Moment;
use super::id::{CacheId, Purpose};
use super::limits::CacheLimits;

/// After a question without an answer, a DEK within `offline_ttl` is used for so long before the
/// server is asked again: a server that lets its callers wait would stop them at every use.
const SILENCE: Duration = Duration::from_secs(2);

/// What a DEK is about to be used for. Counts only where it encrypts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Objects.
    pub uses: u64,
    /// Bytes of plaintext.
    pub bytes: u64,
}

/// The DEKs, by name and by time of last use.
pub(super) struct Table<V> {
    limits: CacheLimits,
    entries: HashMap<CacheId, Entry<V>>,
    /// The ids by `Entry::place`, the longest unused first.
    order: BTreeMap<u64, CacheId>,
    next_place: u64,
}

struct Entry<V> {
    value: Arc<V>,
    /// When the server was asked for it.
    created: Moment,
    used: Moment,
    load: Load,
    /// From this age on a use asks for a refresh.
    refresh_age: Duration,
    /// When the server last gave no answer.
    silent: Option<Moment>,
    place: u64,
}

/// What the table has under a name.
pub(super) enum Found<V> {
    /// It may be used. Whoever is told `refresh` should have the server asked again.
    Fresh { value: Arc<V>, refresh: bool },
    /// Its age has ended, within `offline_ttl`, and the server gave no answer a moment ago.
    Offline(Arc<V>),
    /// The server has to be asked.
    Missing,
}

impl<V> Table<V> {
    pub(super) fn new(limits: CacheLimits) -> Self {
        Self {
            limits,
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next_place: 0,
        }
    }

    /// Looks a DEK up for one use, and counts it.
    pub(super) fn find(&mut self, id: &CacheId, load: Load, now: Moment) -> Found<V> {
        let limits = self.limits;
        let Some(entry) = self.entries.get_mut(id) else {
            return Found::Missing;
        };
        let kept = entry.is_kept(id.purpose, &limits, now);
        let total = entry.load.plus(load);
        let spent = id.purpose == Purpose::Encrypt && total.is_above(&limits);
        if !kept || spent {
            self.remove(id);
            return Found::Missing;
        }
        if !entry.is_fresh(id.purpose, &limits, now) {
            return match entry.silent {
                Some(silent) if now.since(silent) < SILENCE => {
                    Found::Offline(Arc::clone(&entry.value))
                }
                _ => Found::Missing,
            };
        }
        entry.load = total;
        entry.used = now;
        let age = now.since(entry.created);
        let refresh = age >= entry.refresh_age;
        if refresh {
            // Without an answer until then, the next use asks once more.
            entry.refresh_age = age.saturating_add(limits.age(id.purpose) / 50);
        }
        let value = Arc::clone(&entry.value);
        self.touch(id);
        Found::Fresh { value, refresh }
    }

    /// Keeps a DEK that the server was asked for at `created`, and counts its first use. `jitter`
    /// decides when in the last tenth of its age it is asked for again, so that many processes that
    /// began together do not ask together. The number of DEKs that had to go.
    pub(super) fn insert(
        &mut self,
        id: CacheId,
        value: Arc<V>,
        load: Load,
        (created, now): (Moment, Moment),
        jitter: u8,
    ) -> u64 {
        self.remove(&id);
        let age = self.limits.age(id.purpose);
        // Between 90 and 95 %: what is left is for the answer.
        let refresh_age = (age * 9 / 10).saturating_add(age / 20 * u32::from(jitter) / 256);
        let place = self.next_place();
        self.order.insert(place, id);
        let entry = Entry {
            value,
            created,
            used: now,
            load,
            refresh_age,
            silent: None,
            place,
        };
        self.entries.insert(id, entry);
        let mut evicted = 0u64;
        while self.entries.len() > self.limits.entries {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            self.entries.remove(&oldest);
            evicted = evicted.saturating_add(1);
        }
        evicted
    }

    /// Whether a DEK is there and in the last tenth of its age.
    pub(super) fn wants_refresh(&self, id: &CacheId, now: Moment) -> bool {
        let near = self.limits.age(id.purpose) * 9 / 10;
        let entry = self.entries.get(id);
        entry.is_some_and(|entry| now.since(entry.created) >= near)
    }

    /// The server gave no answer at `now`: the DEK, where it may be used without one.
    pub(super) fn offline(&mut self, id: &CacheId, now: Moment) -> Option<Arc<V>> {
        let limits = self.limits;
        let entry = self.entries.get_mut(id)?;
        if id.purpose == Purpose::Encrypt || !entry.is_kept(id.purpose, &limits, now) {
            return None;
        }
        entry.silent = Some(now);
        Some(Arc::clone(&entry.value))
    }

    /// Drops a DEK. True where there was one.
    pub(super) fn remove(&mut self, id: &CacheId) -> bool {
        let Some(entry) = self.entries.remove(id) else {
            return false;
        };
        self.order.remove(&entry.place);
        true
    }

    /// Drops all that no call could use any more.
    pub(super) fn sweep(&mut self, now: Moment) {
        let limits = self.limits;
        let order = &mut self.order;
        self.entries.retain(|id, entry| {
            let kept = entry.is_kept(id.purpose, &limits, now);
            if !kept {
                order.remove(&entry.place);
            }
            kept
        });
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Makes a DEK the one that was used last.
    fn touch(&mut self, id: &CacheId) {
        let place = self.next_place();
        if let Some(entry) = self.entries.get_mut(id) {
            self.order.remove(&entry.place);
            entry.place = place;
            self.order.insert(place, *id);
        }
    }

    fn next_place(&mut self) -> u64 {
        self.next_place = self.next_place.saturating_add(1);
        self.next_place
    }
}

impl<V> Entry<V> {
    /// Whether it may be used as if the server had just given it.
    fn is_fresh(&self, purpose: Purpose, limits: &CacheLimits, now: Moment) -> bool {
        let idle = purpose == Purpose::Decrypt && now.since(self.used) >= limits.decrypt_idle;
        !idle && now.since(self.created) < limits.age(purpose)
    }

    /// Whether it may be used at all, be it without the server.
    fn is_kept(&self, purpose: Purpose, limits: &CacheLimits, now: Moment) -> bool {
        let offline = purpose == Purpose::Decrypt
            && !limits.offline_ttl.is_zero()
            && now.since(self.created) < limits.decrypt_age.saturating_add(limits.offline_ttl);
        offline || self.is_fresh(purpose, limits, now)
    }
}

impl Load {
    fn plus(self, more: Self) -> Self {
        Self {
            uses: self.uses.saturating_add(more.uses),
            bytes: self.bytes.saturating_add(more.bytes),
        }
    }

    fn is_above(self, limits: &CacheLimits) -> bool {
        self.uses > limits.encrypt_uses || self.bytes > limits.encrypt_bytes
    }
}

impl CacheLimits {
    pub(super) fn age(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Encrypt => self.encrypt_age,
            Purpose::Decrypt => self.decrypt_age,
        }
    }
}
