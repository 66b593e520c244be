//! How many requests a client sends in a second, where somebody set a bound.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// A bound: so many in a second, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// Requests in a second, more than zero.
    pub rate: f64,
    /// Requests at once, after a pause; at least one.
    pub burst: u32,
}

impl RateLimit {
    /// `RATE` or `RATE:BURST`; without a burst it is the rate.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (rate, burst) = match text.split_once(':') {
            Some((rate, burst)) => (rate, Some(burst.trim().parse::<u32>().ok()?)),
            None => (text, None),
        };
        let rate = rate.trim().parse::<f64>().ok()?;
        let sound = rate.is_finite() && rate > 0.0;
        // A cast of a float saturates.
        let burst = burst.unwrap_or(rate as u32).max(1);
        sound.then_some(Self { rate, burst })
    }
}

/// The bound at work.
pub(crate) struct Pace {
    limit: RateLimit,
    /// When a client that sends steadily would be allowed the next request.
    due: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            due: Mutex::new(None),
        }
    }

    /// Takes a turn: how long to wait for it.
    pub(crate) fn turn(&self, now: Instant) -> Duration {
        // It is whole after every step.
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let one = Duration::try_from_secs_f64(1.0 / self.limit.rate).unwrap_or(Duration::MAX);
        let ahead = one.saturating_mul(self.limit.burst - 1);
        let turn = due.map_or(now, |due| due.max(now));
        *due = turn.checked_add(one).or(Some(turn));
        turn.duration_since(now).saturating_sub(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_with_and_without_a_burst() {
        let limit = |rate, burst| Some(RateLimit { rate, burst });
        assert_eq!(RateLimit::parse("10"), limit(10.0, 10));
        assert_eq!(RateLimit::parse("2.5:7"), limit(2.5, 7));
        assert_eq!(RateLimit::parse("0.5"), limit(0.5, 1));
        for text in ["", "x", "0", "-1", "1:", "1:x", "inf", "NaN"] {
            assert_eq!(RateLimit::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_above_the_burst_waits_its_turn() {
        let pace = Pace::new(RateLimit {
            rate: 10.0,
            burst: 2,
        });
        let now = Instant::now();
        let tenths = |n: u64| Duration::from_millis(100 * n);
        let waits: Vec<_> = (0..4).map(|_| pace.turn(now)).collect();
        assert_eq!(waits, [tenths(0), tenths(0), tenths(1), tenths(2)]);
        // After a pause the burst is there again.
        let later = now + tenths(50);
        let waits: Vec<_> = (0..3).map(|_| pace.turn(later)).collect();
        assert_eq!(waits, [tenths(0), tenths(0), tenths(1)]);
    }
}
