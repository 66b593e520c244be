//! [`Pace`]: a bound on how much is done in a second.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest sleep before somebody is asked whether there is still a reason to wait.
const NAP: Duration = Duration::from_millis(100);

/// A bound, or none. What is taken is taken at once and paid for by whoever comes next, so a turn
/// should be smaller than what is allowed in a second.
pub(super) struct Pace {
    rate: Option<NonZeroU32>,
    /// When what was taken so far is paid for.
    due: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(rate: Option<NonZeroU32>) -> Self {
        Self {
            rate,
            due: Mutex::new(None),
        }
    }

    /// The most to take in a turn, of `wanted`.
    pub(super) fn turn(&self, wanted: usize) -> usize {
        let most = self.rate.map(|rate| usize::try_from(rate.get()));
        most.and_then(Result::ok)
            .map_or(wanted, |rate| rate.min(wanted))
    }

    /// Waits until `amount` may be done, or there is no reason to wait any more.
    pub(super) fn wait(&self, amount: usize, gave_up: impl Fn() -> bool) {
        let until = self.take(amount, Instant::now());
        while let Some(left) = until.and_then(|until| until.checked_duration_since(Instant::now()))
        {
            if left.is_zero() || gave_up() {
                return;
            }
            thread::sleep(left.min(NAP));
        }
    }

    /// Takes `amount`: when it may be done, if not at once.
    fn take(&self, amount: usize, now: Instant) -> Option<Instant> {
        let rate = self.rate?;
        let amount = u32::try_from(amount).unwrap_or(u32::MAX);
        let cost = Duration::from_secs(1).saturating_mul(amount) / rate.get();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = due.map_or(now, |due| due.max(now));
        *due = turn.checked_add(cost).or(Some(turn));
        (turn > now).then_some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_paid_for_by_the_next() {
        let pace = Pace::new(NonZeroU32::new(10));
        let now = Instant::now();
        assert_eq!(pace.take(5, now), None);
        let half = now + Duration::from_millis(500);
        assert_eq!(pace.take(20, now), Some(half));
        assert_eq!(pace.take(1, now), Some(half + Duration::from_secs(2)));
        assert_eq!(pace.take(1, now + Duration::from_secs(60)), None);
        assert_eq!((pace.turn(256), pace.turn(3)), (10, 3));
    }

    #[test]
    fn without_a_bound_nobody_waits() {
        let pace = Pace::new(None);
        let now = Instant::now();
        assert_eq!(pace.take(usize::MAX, now), None);
        assert_eq!(pace.take(1, now), None);
        assert_eq!(pace.turn(256), 256);
    }

    #[test]
    fn who_gave_up_does_not_wait() {
        let pace = Pace::new(NonZeroU32::new(1));
        pace.wait(1_000_000, || false);
        pace.wait(1, || true);
    }
}
