//! Snapshots that the server makes by itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::family::{Family, Kind, Value};
use super::{Counter, Metrics};
use crate::clock::Time;

/// How they went.
#[derive(Default)]
pub(super) struct SnapshotTally {
    scheduled: AtomicBool,
    /// When the last good one was made; zero where there is none.
    last: AtomicU64,
    saved: Counter,
    failed: Counter,
}

impl Metrics {
    /// Snapshots are made from here on; the last good one that there is.
    pub fn snapshots_scheduled(&self, last: Option<Time>) {
        let last = last.map_or(0, |last| last.0);
        self.snapshots.last.store(last, Ordering::Relaxed);
        self.snapshots.scheduled.store(true, Ordering::Relaxed);
    }

    /// One was saved, whole.
    pub fn snapshot_saved(&self, at: Time) {
        self.snapshots.last.store(at.0, Ordering::Relaxed);
        self.snapshots.saved.add_one();
    }

    /// One was not.
    pub fn snapshot_failed(&self) {
        self.snapshots.failed.add_one();
    }
}

impl SnapshotTally {
    /// Nothing where none are scheduled. The age is missing while there is no good one.
    pub fn families(&self, now: Time) -> Vec<Family> {
        if !self.scheduled.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut made = Family::new(
            "vault_snapshots_total",
            "Scheduled snapshots, by how they went.",
            Kind::Counter,
        );
        for (result, counter) in [("saved", &self.saved), ("failed", &self.failed)] {
            let labels = vec![("result", result.to_owned())];
            made.push(labels, Value::Count(counter.read()));
        }
        let mut families = vec![made];
        let last = self.last.load(Ordering::Relaxed);
        if last > 0 {
            families.push(Family::single(
                "vault_snapshot_age_seconds",
                "How old the last good scheduled snapshot is.",
                Kind::Gauge,
                Value::Count(now.since(Time(last)).as_secs()),
            ));
        }
        families
    }
}
