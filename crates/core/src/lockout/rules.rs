//! When a name is locked: what the mount says, and after it what the configuration says.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::mounts::{Lockout, MountRecord};

/// Failures that lock a name where nobody says otherwise, and seconds: for how long, and after how
/// many without a failure they are forgotten.
const THRESHOLD: u64 = 5;
const SECONDS: u64 = 15 * 60;

/// What the configuration says: of some kinds of auth method, and of all others. Members that are
/// zero stand for the defaults.
#[derive(Debug, Clone, Default)]
pub struct LockoutRules {
    /// Of every kind that is not named.
    pub all: Lockout,
    /// Of one, in full: `userpass`, `approle`.
    pub kinds: BTreeMap<String, Lockout>,
}

/// What holds at a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Failures that lock.
    pub threshold: u64,
    /// How long a lock lasts, from the last failure.
    pub duration: Duration,
    /// How long after the last failure they are forgotten.
    pub counter_reset: Duration,
}

impl LockoutRules {
    /// What holds at a mount; none where names are not locked.
    pub fn of(&self, mount: &MountRecord) -> Option<Rules> {
        let own = mount.config.user_lockout.as_ref();
        let server = self.kinds.get(&mount.kind).unwrap_or(&self.all);
        let layers = own.into_iter().chain([server]);
        if layers.clone().any(|layer| layer.disable) {
            return None;
        }
        let first = |member: fn(&Lockout) -> u64, default| {
            let said = layers.clone().map(member).find(|value| *value > 0);
            said.unwrap_or(default)
        };
        Some(Rules {
            threshold: first(|l| l.threshold, THRESHOLD),
            duration: Duration::from_secs(first(|l| l.duration, SECONDS)),
            counter_reset: Duration::from_secs(first(|l| l.counter_reset, SECONDS)),
        })
    }
}
