//! What is counted of a version between two turns: counters that calls add to without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::callers::{CallerHash, User};
use super::kind::Kind;
use super::record::{Done, Record, Seen};
use super::uses::Uses;

/// Callers that one sheet tells apart.
const SLOTS: usize = 32;
/// Slots that are tried for a caller.
const PROBES: usize = 8;

/// Counters. Each is exact by itself; together they are read only when nobody adds any more.
#[derive(Default)]
pub(super) struct Sheet {
    operations: [AtomicU64; Kind::COUNT],
    /// The second of the last one of each kind; zero for none.
    lasts: [AtomicU64; Kind::COUNT],
    bytes: AtomicU64,
    /// The second of the first use; zero for none.
    first: AtomicU64,
    /// The last caller's hash; zero for none.
    caller: AtomicU64,
    callers: [Slot; SLOTS],
    /// Operations of callers that have no slot.
    others: AtomicU64,
}

/// What one caller did.
#[derive(Default)]
struct Slot {
    /// Its hash; zero where the slot is free.
    caller: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
    uses: AtomicU64,
}

impl Sheet {
    /// Adds what a call did.
    pub fn add(&self, uses: &Uses, user: User) {
        let counters = self.operations.iter().zip(&self.lasts);
        for ((counter, last), count) in counters.zip(uses.operations()) {
            if *count > 0 {
                counter.fetch_add(*count, Relaxed);
                later(last, user.at);
            }
        }
        self.bytes.fetch_add(uses.bytes(), Relaxed);
        earlier(&self.first, user.at);
        let caller = user.caller.map_or(0, CallerHash::number);
        // Loads are cheap and shared; stores take the line away from the other cores.
        if self.caller.load(Relaxed) != caller {
            self.caller.store(caller, Relaxed);
        }
        match self.slot(caller) {
            Some(slot) => {
                slot.uses.fetch_add(uses.total(), Relaxed);
                earlier(&slot.first, user.at);
                later(&slot.last, user.at);
            }
            None => {
                self.others.fetch_add(uses.total(), Relaxed);
            }
        }
    }

    /// The slot of a caller, taken for it where it has none yet.
    fn slot(&self, caller: u64) -> Option<&Slot> {
        if caller == 0 {
            return None;
        }
        let start = usize::try_from(caller % SLOTS as u64).unwrap_or_default();
        let from = self.callers.get(start..).unwrap_or_default();
        for slot in from.iter().chain(&self.callers).take(PROBES) {
            let there = slot.caller.load(Relaxed);
            let there = match there {
                0 => slot
                    .caller
                    .compare_exchange(0, caller, Relaxed, Relaxed)
                    .map_or_else(|other| other, |_| caller),
                there => there,
            };
            if there == caller {
                return Some(slot);
            }
        }
        None
    }

    /// All of it, as it adds to what is stored.
    pub fn read(&self) -> Record {
        let mut record = Record {
            bytes: self.bytes.load(Relaxed),
            first: self.first.load(Relaxed),
            last_caller: CallerHash::of(self.caller.load(Relaxed)),
            others: self.others.load(Relaxed),
            ..Record::default()
        };
        let counters = self.operations.iter().zip(&self.lasts);
        for (kind, (counter, last)) in Kind::ALL.into_iter().zip(counters) {
            let (count, last) = (counter.load(Relaxed), last.load(Relaxed));
            if count > 0 {
                let done = Done { count, last };
                record.operations.insert(kind.name().to_owned(), done);
            }
        }
        record.callers = self.callers.iter().filter_map(Slot::read).collect();
        record
    }
}

impl Slot {
    fn read(&self) -> Option<Seen> {
        Some(Seen {
            caller: CallerHash::of(self.caller.load(Relaxed))?,
            first: self.first.load(Relaxed),
            last: self.last.load(Relaxed),
            uses: self.uses.load(Relaxed),
        })
    }
}

/// Times stand still for a second at a time, so that this mostly reads.
fn later(last: &AtomicU64, at: u64) {
    if last.load(Relaxed) < at {
        last.fetch_max(at, Relaxed);
    }
}

fn earlier(first: &AtomicU64, at: u64) {
    let known = first.load(Relaxed);
    if known == 0 || at < known {
        let earlier = |first: u64| (first == 0 || at < first).then_some(at);
        // An error is that another call was earlier still.
        let _ = first.fetch_update(Relaxed, Relaxed, earlier);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(caller: u64, at: u64) -> User {
        User {
            caller: CallerHash::of(caller),
            at,
        }
    }

    #[test]
    fn adds_up() {
        let sheet = Sheet::default();
        let mut uses = Uses::one(Kind::Encrypt, 5);
        uses.add(Kind::Encrypt, 7);
        uses.add(Kind::Hmac, 0);
        sheet.add(&uses, user(1, 20));
        sheet.add(&Uses::one(Kind::Decrypt, 1), user(33, 10));
        sheet.add(&Uses::one(Kind::Decrypt, 1), user(1, 15));
        sheet.add(&Uses::one(Kind::Decrypt, 0), user(0, 15));
        let read = sheet.read();
        let done = |count, last| Done { count, last };
        assert_eq!(read.operations["encrypt"], done(2, 20));
        assert_eq!(read.operations["decrypt"], done(3, 15));
        assert_eq!(read.operations["hmac"], done(1, 20));
        assert_eq!(read.operations.len(), 3);
        assert_eq!((read.bytes, read.first, read.last()), (14, 10, 20));
        assert_eq!((read.last_caller, read.others), (None, 1));
        let seen = |caller, first, last, uses| Seen {
            caller: CallerHash::of(caller).unwrap(),
            first,
            last,
            uses,
        };
        assert_eq!(read.callers, [seen(1, 15, 20, 4), seen(33, 10, 10, 1)]);
    }

    #[test]
    fn callers_beyond_the_slots_are_counted_together() {
        let sheet = Sheet::default();
        for caller in 1..=100 {
            sheet.add(&Uses::one(Kind::Sign, 1), user(caller, 1));
        }
        let read = sheet.read();
        assert_eq!(read.callers.len(), SLOTS);
        let told = read.callers.iter().map(|seen| seen.uses).sum::<u64>();
        assert_eq!(told + read.others, 100);
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let sheet = Sheet::default();
        std::thread::scope(|scope| {
            for thread in 1..=4 {
                let sheet = &sheet;
                scope.spawn(move || {
                    for at in 1..=1000 {
                        sheet.add(&Uses::one(Kind::Encrypt, 2), user(thread * 32, at));
                    }
                });
            }
        });
        let read = sheet.read();
        assert_eq!((read.of(Kind::Encrypt), read.bytes), (4000, 8000));
        assert_eq!((read.first, read.last(), read.callers.len()), (1, 1000, 4));
        assert!(read.callers.iter().all(|seen| seen.uses == 1000));
    }
}
