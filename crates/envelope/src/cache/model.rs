//! The table against a model that is as simple as its rules, under a clock that jumps.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::clock::Moment;
use super::id::{CacheId, Partition, Purpose};
use super::limits::CacheLimits;
use super::table::{Found, Load, Table};
use crate::key_service::WrappedDek;

const ENTRIES: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    /// The wall clock is set, by so many seconds.
    SetWall(i64),
    Find(usize, Load),
    /// A DEK comes that was asked for so many milliseconds ago.
    Insert(usize, u64, u8),
    NoAnswer(usize),
    Refused(usize),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let load = || (1..4u64, 0..40u64).prop_map(|(uses, bytes)| Load { uses, bytes });
    prop_oneof![
        3 => (0..1500u64).prop_map(Step::Advance),
        1 => (-20..20i64).prop_map(Step::SetWall),
        8 => (0..6usize, load()).prop_map(|(id, load)| Step::Find(id, load)),
        4 => (0..6usize, 0..2000u64, any::<u8>()).prop_map(|(id, lag, j)| Step::Insert(id, lag, j)),
        1 => (0..6usize).prop_map(Step::NoAnswer),
        1 => (0..6usize).prop_map(Step::Refused),
        1 => Just(Step::Sweep),
    ]
}

fn limits(offline_ttl: u64) -> CacheLimits {
    CacheLimits {
        encrypt_age: Duration::from_secs(10),
        encrypt_uses: 10,
        encrypt_bytes: 100,
        decrypt_age: Duration::from_secs(6),
        decrypt_idle: Duration::from_secs(2),
        entries: ENTRIES,
        offline_ttl: Duration::from_secs(offline_ttl),
    }
}

/// Even numbers decrypt, odd ones encrypt.
fn id(number: usize) -> CacheId {
    let purpose = [Purpose::Decrypt, Purpose::Encrypt][number % 2];
    let wrapped = WrappedDek {
        version: 1,
        blob: vec![number as u8],
    };
    let partition = Partition::of(&[]);
    CacheId::new(purpose, &partition, &[0; 16], &wrapped, None, &[])
}

/// What is known of one DEK, in milliseconds of both clocks.
struct Known {
    number: usize,
    value: u32,
    created: (i64, i64),
    used: (i64, i64),
    silent: Option<(i64, i64)>,
    uses: u64,
    bytes: u64,
}

#[derive(Debug, PartialEq)]
enum Expected {
    Fresh(u32),
    Offline(u32),
    Missing,
}

struct Model {
    offline_ms: i64,
    now: (i64, i64),
    /// Those used last come last.
    known: Vec<Known>,
}

impl Model {
    fn since(&self, then: (i64, i64)) -> i64 {
        (self.now.0 - then.0).max(self.now.1 - then.1).max(0)
    }

    fn is_fresh(&self, known: &Known) -> bool {
        if known.number.is_multiple_of(2) {
            self.since(known.created) < 6_000 && self.since(known.used) < 2_000
        } else {
            self.since(known.created) < 10_000
        }
    }

    fn is_kept(&self, known: &Known) -> bool {
        let coasting = known.number.is_multiple_of(2)
            && self.offline_ms > 0
            && self.since(known.created) < 6_000 + self.offline_ms;
        coasting || self.is_fresh(known)
    }

    fn find(&mut self, number: usize, load: Load) -> Expected {
        let Some(at) = self.known.iter().position(|known| known.number == number) else {
            return Expected::Missing;
        };
        let mut known = self.known.remove(at);
        let spent =
            number % 2 == 1 && (known.uses + load.uses > 10 || known.bytes + load.bytes > 100);
        if !self.is_kept(&known) || spent {
            return Expected::Missing;
        }
        if self.is_fresh(&known) {
            known.used = self.now;
            known.uses += load.uses;
            known.bytes += load.bytes;
            let value = known.value;
            self.known.push(known);
            return Expected::Fresh(value);
        }
        let silent = known.silent.is_some_and(|then| self.since(then) < 2_000);
        let value = known.value;
        self.known.insert(at, known);
        if silent {
            Expected::Offline(value)
        } else {
            Expected::Missing
        }
    }

    fn moment(&self) -> Moment {
        moment(self.now)
    }
}

fn moment((steady, wall): (i64, i64)) -> Moment {
    Moment {
        steady: Duration::from_millis(steady as u64),
        wall: Duration::from_millis(wall as u64),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_table_does_what_the_rules_say(
        offline_ttl in prop_oneof![Just(0u64), Just(5)],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut table = Table::new(limits(offline_ttl));
        let start = 1_000_000;
        let mut model = Model {
            offline_ms: offline_ttl as i64 * 1000,
            now: (start, start),
            known: Vec::new(),
        };
        let mut values = 0u32;
        for step in steps {
            match step {
                Step::Advance(ms) => {
                    model.now.0 += ms as i64;
                    model.now.1 += ms as i64;
                }
                Step::SetWall(seconds) => model.now.1 = (model.now.1 + seconds * 1000).max(0),
                Step::Find(number, load) => {
                    let expected = model.find(number, load);
                    let found = match table.find(&id(number), load, model.moment()) {
                        Found::Fresh { value, refresh } => {
                            let known = model.known.last().unwrap();
                            let age = model.since(known.created);
                            let most = [6_000, 10_000][number % 2];
                            prop_assert!(age < most, "older than allowed");
                            prop_assert!(!refresh || age >= most * 9 / 10, "asked too early");
                            Expected::Fresh(*value)
                        }
                        Found::Offline(value) => Expected::Offline(*value),
                        Found::Missing => Expected::Missing,
                    };
                    prop_assert_eq!(found, expected);
                }
                Step::Insert(number, lag, jitter) => {
                    values += 1;
                    let created = (model.now.0 - lag as i64, (model.now.1 - lag as i64).max(0));
                    model.known.retain(|known| known.number != number);
                    model.known.push(Known {
                        number,
                        value: values,
                        created,
                        used: model.now,
                        silent: None,
                        uses: 1,
                        bytes: 0,
                    });
                    let evicted = model.known.len().saturating_sub(ENTRIES);
                    model.known.drain(..evicted);
                    let load = Load { uses: 1, bytes: 0 };
                    let times = (moment(created), model.moment());
                    let gone = table.insert(id(number), Arc::new(values), load, times, jitter);
                    prop_assert_eq!(gone, evicted as u64);
                }
                Step::NoAnswer(number) => {
                    let now = model.now;
                    let at = model.known.iter().position(|known| known.number == number);
                    let usable = at.filter(|at| number % 2 == 0 && model.is_kept(&model.known[*at]));
                    let expected = usable.map(|at| {
                        model.known[at].silent = Some(now);
                        model.known[at].value
                    });
                    let found = table.offline(&id(number), model.moment());
                    prop_assert_eq!(found.map(|value| *value), expected);
                }
                Step::Refused(number) => {
                    model.known.retain(|known| known.number != number);
                    table.remove(&id(number));
                }
                Step::Sweep => {
                    let kept: Vec<bool> =
                        model.known.iter().map(|known| model.is_kept(known)).collect();
                    let mut kept = kept.into_iter();
                    model.known.retain(|_| kept.next().unwrap());
                    table.sweep(model.moment());
                    prop_assert_eq!(table.len(), model.known.len());
                }
            }
        }
    }
}
