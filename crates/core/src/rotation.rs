//! The rotation of the kek by time: `sys/rotate/config`.
//!
//! A term's time runs from its creation, which the keyring keeps: a restart changes nothing of the
//! schedule, and a rotation that fell due while the server was down is made when it is up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::barrier::View;
use crate::clock::Time;
use crate::error::Error;
use crate::kept::Kept;

const KEY: &str = "config/rotation";
/// Wraps under one term, as existing servers bound them.
pub const MOST_OPERATIONS: u64 = 3_865_470_566;
/// The lowest bound that may be set.
pub const LEAST_OPERATIONS: u64 = 1_000_000;
/// The shortest time between two rotations, seconds.
pub const LEAST_INTERVAL: u64 = 24 * 3600;
/// How long a rotation that failed waits: mostly for a seal.
const PAUSE: Duration = Duration::from_secs(60);

/// When the kek is rotated by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationConfig {
    /// Whether it is at all.
    pub enabled: bool,
    /// Kept and shown. Nothing but deks is wrapped under a term, so that it is never reached.
    pub max_operations: u64,
    /// Seconds between two rotations; zero for none by time.
    pub interval: u64,
}

impl Default for RotationConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            max_operations: MOST_OPERATIONS,
            interval: 0,
        }
    }
}

impl RotationConfig {
    /// When a term that was made then is to be replaced.
    pub fn due(&self, created: &str) -> Option<Time> {
        let created = Time::parse(created)?;
        let timed = self.enabled && self.interval > 0;
        timed.then(|| created.plus(Duration::from_secs(self.interval)))
    }

    /// Changes what is given; a number that is out of bounds changes nothing.
    pub fn changed(
        &self,
        enabled: Option<bool>,
        max_operations: Option<u64>,
        interval: Option<u64>,
    ) -> Result<Self, Error> {
        let new = Self {
            enabled: enabled.unwrap_or(self.enabled),
            max_operations: max_operations.unwrap_or(self.max_operations),
            interval: interval.unwrap_or(self.interval),
        };
        if !(LEAST_OPERATIONS..=MOST_OPERATIONS).contains(&new.max_operations) {
            return Err(Error::bad(format!(
                "max_operations must be in the range [{LEAST_OPERATIONS},{MOST_OPERATIONS}]"
            )));
        }
        if new.interval != 0 && new.interval < LEAST_INTERVAL {
            return Err(Error::bad("interval must be greater or equal to 24h0m0s"));
        }
        Ok(new)
    }
}

/// The schedule of an open vault.
pub struct Rotation {
    config: Kept<RotationConfig>,
    /// A failure is not tried again before this moment.
    not_before: AtomicU64,
}

impl Rotation {
    pub(crate) fn new(view: View) -> Self {
        Self {
            config: Kept::new(view, KEY),
            not_before: AtomicU64::new(0),
        }
    }

    /// As it is now.
    pub async fn config(&self) -> Result<Arc<RotationConfig>, Error> {
        self.config.current().await
    }

    /// Sets it.
    pub async fn configure(&self, config: &RotationConfig) -> Result<(), Error> {
        self.config.put(config).await
    }

    /// Whether a term that was made then is to be replaced now.
    pub(crate) async fn is_due(&self, created: &str, now: Time) -> Result<bool, Error> {
        let due = self.config().await?.due(created);
        let waits = now < Time(self.not_before.load(Ordering::Acquire));
        Ok(!waits && due.is_some_and(|due| due <= now))
    }

    /// It failed: not again at once.
    pub(crate) fn failed(&self, now: Time) {
        self.not_before.store(now.plus(PAUSE).0, Ordering::Release);
    }

    pub(crate) fn invalidate(&self, key: &str) {
        self.config.invalidate(key);
    }

    pub(crate) fn forget(&self) {
        self.config.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_due_an_interval_after_it_was_made() {
        let daily = RotationConfig::default().changed(None, None, Some(86_400));
        let daily = daily.unwrap();
        let due = daily.due("2030-01-01T12:00:00.5Z").unwrap();
        assert_eq!(due, Time::parse("2030-01-02T12:00:00.5Z").unwrap());
        assert_eq!(RotationConfig::default().due("2030-01-01T12:00:00Z"), None);
        let off = daily.changed(Some(false), None, None).unwrap();
        assert_eq!(off.due("2030-01-01T12:00:00Z"), None);
    }

    #[test]
    fn bounds() {
        let config = RotationConfig::default();
        for operations in [0, 999_999, 3_865_470_567, u64::MAX] {
            assert!(config.changed(None, Some(operations), None).is_err());
        }
        for interval in [1, 86_399] {
            assert!(config.changed(None, None, Some(interval)).is_err());
        }
        let kept = config.changed(None, Some(1_000_000), Some(0)).unwrap();
        assert_eq!((kept.enabled, kept.max_operations), (true, 1_000_000));
    }
}
