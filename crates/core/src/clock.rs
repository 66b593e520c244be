//! Time comes from here only, so that a test can turn it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment: nanoseconds since 1970 UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// Whole seconds since 1970.
    pub fn secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Reads RFC 3339, or seconds since 1970. What lies before 1970 is 1970.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(secs) = text.parse::<u64>() {
            return Some(Self(secs.saturating_mul(1_000_000_000)));
        }
        let nanos = keyfold_api::time::parse_nanos(text).ok()?;
        Some(Self(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)))
    }

    /// RFC 3339 with nanoseconds, UTC.
    pub fn rfc3339(self) -> String {
        keyfold_api::time::format_nanos(i128::from(self.0))
    }

    /// This moment and some; the end of time where it would overflow.
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// How long from `earlier` to here, zero where it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// What tells the time.
pub trait Clock: Send + Sync + 'static {
    /// This moment.
    fn now(&self) -> Time;
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Time(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// A clock that a test turns.
#[derive(Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Starts at a moment.
    pub fn at(time: Time) -> Self {
        Self(AtomicU64::new(time.0))
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(
            u64::try_from(by.as_nanos()).unwrap_or(u64::MAX),
            Ordering::SeqCst,
        );
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        let table = [
            ("0", Some(0)),
            ("1900000000", Some(1_900_000_000)),
            ("2030-03-17T17:46:40Z", Some(1_900_000_000)),
            ("2030-03-17T19:46:40+02:00", Some(1_900_000_000)),
            ("1950-01-01T00:00:00Z", Some(0)),
            ("-5", None),
            ("", None),
            ("2030-03-17", None),
            ("soon", None),
        ];
        for (text, secs) in table {
            assert_eq!(Time::parse(text).map(Time::secs), secs, "{text}");
        }
        assert_eq!(Time::parse(&u64::MAX.to_string()), Some(Time(u64::MAX)));
    }
}
