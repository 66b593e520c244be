//! What time it is. Tests bring a clock of their own.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Moment;
}

/// A point in time, by two clocks: ages are short only where both say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Since some start. Never goes back; may stand still while the machine sleeps.
    pub steady: Duration,
    /// Since 1970. May be set to anything at any time.
    pub wall: Duration,
}

/// The clocks of the operating system.
pub struct SystemClock {
    start: Instant,
}

impl Moment {
    /// How long ago `earlier` was, by the clock that says more: a wall clock that is set back makes
    /// nothing younger, and a machine that slept has aged.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let steady = self.steady.saturating_sub(earlier.steady);
        steady.max(self.wall.saturating_sub(earlier.wall))
    }
}

impl SystemClock {
    /// The clocks as they are.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment {
            steady: self.start.elapsed(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }
}

/// A clock that stands still until a test moves it.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct FakeClock(std::sync::Mutex<Moment>);

#[cfg(test)]
impl FakeClock {
    /// A clock in the year 2027.
    pub(crate) fn start() -> std::sync::Arc<Self> {
        let clock = Self::default();
        clock.0.lock().unwrap().wall = Duration::from_secs(1_800_000_000);
        std::sync::Arc::new(clock)
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, time: Duration) {
        let mut now = self.0.lock().unwrap();
        now.steady += time;
        now.wall += time;
    }
}

#[cfg(test)]
impl Clock for FakeClock {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_says_more_counts() {
        let at = |steady, wall| Moment {
            steady: Duration::from_secs(steady),
            wall: Duration::from_secs(wall),
        };
        assert_eq!(at(5, 100).since(at(2, 99)), Duration::from_secs(3));
        assert_eq!(at(5, 100).since(at(5, 40)), Duration::from_secs(60));
        assert_eq!(at(5, 10).since(at(4, 100)), Duration::from_secs(1));
    }
}
