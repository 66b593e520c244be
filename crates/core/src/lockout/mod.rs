//! Names that fail to log in are locked for a while.
//!
//! ```text
//!   login ──► locked? ──► method ──► Unproven: one more failure
//!               │ 403       └──────► proven: locked by now? else the failures are forgotten
//! ```
//!
//! A name is counted whether or not somebody has it: a lock tells nothing about who exists. It is
//! looked at before the method works and again after: of many guesses that are sent at once, a right
//! one that comes too late does not count.
//!
//! Failures are kept in memory, each node its own, and end with a seal.

mod rules;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use keyfold_keys::digest::Digest;
use quick_cache::unsync::Cache;

pub use self::rules::{LockoutRules, Rules};
use crate::clock::Time;
use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::mounts::{MountRecord, Table};
use crate::reply::Reply;

/// Names of a mount whose failures are remembered. Those that fail once make way for those that
/// fail again and again, so a spray of names unlocks none.
const NAMES: usize = 16 * 1024;
/// Longest name that is kept as it is, bytes. A longer one is counted and listed by its hash, so
/// that what is kept of all names stays bounded.
const MAX_NAME: usize = 512;

/// The failures of all names, by the accessor of the mount.
#[derive(Default)]
pub struct Locks(Mutex<HashMap<String, Cache<String, Failures>>>);

/// What is known of a name that failed.
#[derive(Clone, Copy)]
struct Failures {
    count: u64,
    last: Time,
}

impl Failures {
    fn locks(self, rules: Rules, now: Time) -> bool {
        self.count >= rules.threshold && now.since(self.last) < rules.duration
    }

    /// How many count towards a lock by now.
    fn recent(self, rules: Rules, now: Time) -> u64 {
        let over = self.count >= rules.threshold;
        if over || now.since(self.last) >= rules.counter_reset {
            0
        } else {
            self.count
        }
    }
}

/// Runs the work of a call. Where it is a login that names somebody, it is refused while that name
/// is locked, and its failure is counted.
pub(crate) async fn guarded(
    vault: &Unsealed,
    mount: Option<&MountRecord>,
    name: Option<String>,
    work: impl Future<Output = Result<Reply, Error>>,
) -> Result<Reply, Error> {
    let name = name.map(kept);
    let rules = mount.and_then(|mount| vault.settings.lockout.of(mount));
    let (Some(mount), Some(name), Some(rules)) = (mount, name, rules) else {
        return work.await;
    };
    let (locks, accessor) = (&vault.locks, mount.accessor.as_str());
    let denied = || Error::DeniedBecause("permission denied".to_owned());
    if locks.is_locked(accessor, &name, rules, vault.clock.now()) {
        return Err(denied());
    }
    let answer = work.await;
    let now = vault.clock.now();
    match &answer {
        Err(Error::Unproven(_)) => {
            locks.failed(&vault.mounts.table(), accessor, name, rules, now);
        }
        Ok(_) if locks.is_locked(accessor, &name, rules, now) => return Err(denied()),
        Ok(_) => locks.forget(accessor, &name),
        Err(_) => {}
    }
    answer
}

impl Locks {
    /// Whether a name, as it is kept, may not log in now.
    fn is_locked(&self, accessor: &str, name: &str, rules: Rules, now: Time) -> bool {
        let mounts = self.mounts();
        let failures = mounts.get(accessor).and_then(|names| names.get(name));
        failures.is_some_and(|failures| failures.locks(rules, now))
    }

    /// Counts a failure. Failures at mounts that are gone are dropped on the way.
    fn failed(&self, table: &Table, accessor: &str, name: String, rules: Rules, now: Time) {
        let mut mounts = self.mounts();
        if !mounts.contains_key(accessor) {
            mounts.retain(|known, _| table.iter().any(|m| m.record.accessor == *known));
        }
        let names = mounts.entry(accessor.to_owned());
        let names = names.or_insert_with(|| Cache::new(NAMES));
        let before = match names.get(&name) {
            // A guess that was under way when the name was locked does not lock it for longer.
            Some(failures) if failures.locks(rules, now) => return,
            Some(failures) => failures.recent(rules, now),
            None => 0,
        };
        let count = before + 1;
        names.insert(name, Failures { count, last: now });
    }

    /// Forgets the failures of a name, which may be as the list shows it.
    pub fn forget(&self, accessor: &str, name: &str) {
        let name = kept(name.to_owned());
        if let Some(names) = self.mounts().get_mut(accessor) {
            names.remove(&name);
        }
    }

    /// The names of a mount that are locked now, in order.
    pub fn locked(&self, accessor: &str, rules: Rules, now: Time) -> Vec<String> {
        let mounts = self.mounts();
        let mut locked: Vec<String> = mounts.get(accessor).map_or_else(Vec::new, |names| {
            let locked = names.iter().filter(|(_, f)| f.locks(rules, now));
            locked.map(|(name, _)| name.clone()).collect()
        });
        locked.sort();
        locked
    }

    /// What it holds is whole after every step, so a panic elsewhere does not spoil it.
    fn mounts(&self) -> MutexGuard<'_, HashMap<String, Cache<String, Failures>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name as it is kept.
fn kept(name: String) -> String {
    match name.len() {
        ..=MAX_NAME => name,
        _ => format!(
            "sha256:{}",
            hex::encode(Digest::Sha2_256.of(name.as_bytes()))
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const RULES: Rules = Rules {
        threshold: 3,
        duration: Duration::from_secs(60),
        counter_reset: Duration::from_secs(30),
    };

    fn at(secs: u64) -> Time {
        Time(secs * 1_000_000_000)
    }

    fn fail(locks: &Locks, name: &str, secs: u64) {
        locks.failed(
            &Table::new(Vec::new()),
            "m",
            name.to_owned(),
            RULES,
            at(secs),
        );
    }

    fn locked(locks: &Locks, name: &str, secs: u64) -> bool {
        locks.is_locked("m", name, RULES, at(secs))
    }

    #[test]
    fn the_threshold_locks_for_the_duration_and_then_counts_anew() {
        let locks = Locks::default();
        fail(&locks, "ann", 0);
        fail(&locks, "ann", 1);
        assert!(!locked(&locks, "ann", 1));
        fail(&locks, "ann", 2);
        assert!(locked(&locks, "ann", 2) && locked(&locks, "ann", 61));
        assert!(!locked(&locks, "bob", 2));
        assert!(!locks.is_locked("other", "ann", RULES, at(2)));
        assert_eq!(locks.locked("m", RULES, at(3)), ["ann"]);
        // A guess that was under way does not lock it for longer.
        fail(&locks, "ann", 50);
        assert!(!locked(&locks, "ann", 62));
        assert!(locks.locked("m", RULES, at(62)).is_empty());
        fail(&locks, "ann", 63);
        fail(&locks, "ann", 64);
        assert!(!locked(&locks, "ann", 64));
    }

    #[test]
    fn old_failures_and_forgotten_ones_do_not_count() {
        let locks = Locks::default();
        fail(&locks, "ann", 0);
        fail(&locks, "ann", 1);
        fail(&locks, "ann", 31);
        assert!(!locked(&locks, "ann", 31));
        fail(&locks, "ann", 32);
        locks.forget("m", "ann");
        fail(&locks, "ann", 33);
        assert!(!locked(&locks, "ann", 33));
    }

    #[test]
    fn a_long_name_is_kept_by_its_hash() {
        let locks = Locks::default();
        let names = ["x".repeat(MAX_NAME), "x".repeat(MAX_NAME + 1)].map(kept);
        assert_eq!(names[0].len(), MAX_NAME);
        assert_eq!(names[1].len(), "sha256:".len() + 64);
        for secs in 0..3 {
            fail(&locks, &names[1], secs);
        }
        assert!(locked(&locks, &names[1], 3) && !locked(&locks, &names[0], 3));
        assert_eq!(locks.locked("m", RULES, at(3)), [names[1].clone()]);
        locks.forget("m", &"x".repeat(MAX_NAME + 1));
        assert!(!locked(&locks, &names[1], 3));
    }

    #[test]
    fn a_spray_of_names_stays_in_its_bounds_and_unlocks_nobody() {
        let locks = Locks::default();
        for secs in 0..3 {
            fail(&locks, "ann", secs);
        }
        for n in 0..4 * NAMES {
            fail(&locks, &format!("n{n}"), 3);
        }
        assert!(locked(&locks, "ann", 4));
        assert!(locks.mounts().get("m").unwrap().len() <= NAMES);
    }
}
