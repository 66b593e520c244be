//! What one mount has answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::family::{Family, Kind, Value};
use crate::request::Op;

const OPS: [(Op, &str); 7] = [
    (Op::Read, "read"),
    (Op::List, "list"),
    (Op::Scan, "scan"),
    (Op::Write, "update"),
    (Op::Patch, "patch"),
    (Op::Delete, "delete"),
    (Op::Help, "help"),
];
/// The statuses that answers have; the last place counts all others.
const STATUSES: [u16; 14] = [
    200, 202, 204, 400, 403, 404, 405, 412, 413, 415, 429, 500, 503, 0,
];
/// Upper ends of the classes of time, microseconds.
const MICROS: [u64; 10] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000,
];

/// Nanoseconds in ten microseconds.
const TENS: u64 = 10_000;

/// Counts by operation and status, and how long it took.
#[derive(Default)]
pub(super) struct Tally {
    answers: [[AtomicU64; STATUSES.len()]; OPS.len()],
    /// One place more, for what took longer.
    times: [AtomicU64; MICROS.len() + 1],
    nanos: AtomicU64,
    /// The longest, nanoseconds.
    longest: AtomicU64,
    /// What the shortest lacks to the largest number, so that zero stands for none.
    shortest: AtomicU64,
    /// Of tens of microseconds: so the sum has room for a long life.
    squares: AtomicU64,
}

impl Tally {
    pub fn count(&self, op: Op, status: u16, took: Duration) {
        let op = OPS.iter().position(|(known, _)| *known == op);
        let last = STATUSES.len() - 1;
        let status = STATUSES.iter().position(|known| *known == status);
        let place = op
            .and_then(|op| self.answers.get(op))
            .and_then(|answers| answers.get(status.unwrap_or(last)));
        let micros = took.as_micros();
        let time = MICROS.partition_point(|end| u128::from(*end) < micros);
        for counter in place.into_iter().chain(self.times.get(time)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.longest.fetch_max(nanos, Ordering::Relaxed);
        (self.shortest).fetch_max(u64::MAX - nanos, Ordering::Relaxed);
        let tens = nanos / TENS;
        let square = tens.saturating_mul(tens);
        self.squares.fetch_add(square, Ordering::Relaxed);
    }

    /// Operation, status and count, where there is one.
    fn answers(&self) -> impl Iterator<Item = (&'static str, String, u64)> {
        let rows = OPS.iter().zip(&self.answers);
        rows.flat_map(|((_, op), answers)| {
            let counts = STATUSES.iter().zip(answers);
            counts.map(|(status, count)| {
                let status = match status {
                    0 => "other".to_owned(),
                    status => status.to_string(),
                };
                (*op, status, count.load(Ordering::Relaxed))
            })
        })
        .filter(|(_, _, count)| *count > 0)
    }

    fn times(&self) -> Value {
        let counts: Vec<u64> = self
            .times
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        Value::Times {
            buckets: MICROS
                .iter()
                .zip(&counts)
                .map(|(micros, count)| (Duration::from_micros(*micros).as_secs_f64(), *count))
                .collect(),
            count: counts.iter().sum(),
            sum: secs(self.nanos.load(Ordering::Relaxed)),
            min: match self.shortest.load(Ordering::Relaxed) {
                0 => 0.0,
                lacks => secs(u64::MAX - lacks),
            },
            max: secs(self.longest.load(Ordering::Relaxed)),
            squares: self.squares.load(Ordering::Relaxed) as f64 * secs(TENS).powi(2),
        }
    }
}

fn secs(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}

/// The families of all mounts.
pub(super) fn families<'a>(
    mounts: impl Iterator<Item = (&'a String, &'a Arc<Tally>)>,
) -> [Family; 2] {
    let mut requests = Family::new(
        "vault_route_requests_total",
        "Requests that were answered.",
        Kind::Counter,
    );
    let mut times = Family::new(
        "vault_route_request_seconds",
        "How long they took.",
        Kind::Times,
    );
    for (mount, tally) in mounts {
        for (op, status, count) in tally.answers() {
            let labels = vec![
                ("mount_point", mount.clone()),
                ("operation", op.to_owned()),
                ("status", status),
            ];
            requests.push(labels, Value::Count(count));
        }
        times.push(vec![("mount_point", mount.clone())], tally.times());
    }
    [requests, times]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_times_are_counted() {
        let tally = Tally::default();
        tally.count(Op::Read, 200, Duration::from_micros(100));
        tally.count(Op::Read, 200, Duration::from_micros(101));
        tally.count(Op::Scan, 200, Duration::from_micros(90));
        tally.count(Op::Write, 418, Duration::from_secs(5));
        let answers: Vec<_> = tally.answers().collect();
        assert_eq!(
            answers,
            [
                ("read", "200".to_owned(), 2),
                ("scan", "200".to_owned(), 1),
                ("update", "other".to_owned(), 1)
            ]
        );
        let Value::Times {
            buckets,
            count,
            sum,
            min,
            max,
            squares,
        } = tally.times()
        else {
            panic!("no times");
        };
        assert_eq!(count, 4);
        assert_eq!(buckets.iter().map(|b| b.1).collect::<Vec<_>>()[..2], [2, 1]);
        assert!(sum > 5.0 && sum < 5.1, "{sum}");
        assert_eq!((min, max), (0.000_09, 5.0));
        assert!((25.0..25.1).contains(&squares), "{squares}");
        let Value::Times { min, max, .. } = Tally::default().times() else {
            panic!("no times");
        };
        assert_eq!((min, max), (0.0, 0.0));
    }
}
