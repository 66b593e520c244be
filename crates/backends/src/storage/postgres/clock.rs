//! Notices when the database's clock is set: leases that others hold are counted by it.

use std::time::{Duration, Instant};

/// The database's clock beside one that only runs forward.
pub(super) struct Clock {
    start: Instant,
    /// Between these lies the last reading of the database's clock minus ours, seconds.
    offset: Option<(f64, f64)>,
    tolerance: f64,
    /// Until then no lease is taken for over.
    doubt: Option<Instant>,
    bound: Duration,
}

impl Clock {
    /// For leases that run for `bound`.
    pub fn new(bound: Duration) -> Self {
        Self {
            start: Instant::now(),
            offset: None,
            tolerance: bound.as_secs_f64() / 4.0,
            doubt: None,
            bound,
        }
    }

    /// A reading, in seconds, that was taken between two moments of ours.
    pub fn read(&mut self, reading: f64, asked: Instant, answered: Instant) {
        let since = |moment: Instant| moment.saturating_duration_since(self.start).as_secs_f64();
        let (low, high) = (reading - since(answered), reading - since(asked));
        if let Some((first, last)) = self.offset
            && (high + self.tolerance < first || low - self.tolerance > last)
        {
            tracing::warn!("the database's clock was set: leases of other nodes are waited for");
            self.doubt = answered.checked_add(self.bound);
        }
        // The clocks drift apart slowly: the newest reading counts.
        self.offset = Some((low, high));
    }

    /// Until when no lease of another is taken for over.
    pub fn doubt(&self) -> Option<Instant> {
        self.doubt.filter(|until| Instant::now() < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_doubted_and_one_that_runs_is_not() {
        let (bound, now) = (Duration::from_secs(60), Instant::now());
        let mut clock = Clock::new(bound);
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        clock.read(1000.0, at(1), at(2));
        clock.read(1100.0, at(101), at(110));
        assert!(clock.doubt().is_none());
        clock.read(9000.0, at(120), at(121));
        assert!(clock.doubt().is_some_and(|until| until >= at(180)));
        let mut clock = Clock::new(bound);
        clock.read(1000.0, at(1), at(2));
        clock.read(900.0, at(3), at(4));
        assert!(clock.doubt().is_some());
    }
}
