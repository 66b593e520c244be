//! What a server counts. A label is the path of a mount, an operation, a status, a seal or a fixed word:
//! there are few of them, and none holds anything that a caller chose.

mod family;
mod nodes;
mod periods;
mod snapshots;
mod storage;
mod tally;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

pub use self::family::Family;
use self::family::{Kind, Value};
use self::periods::Periods;
use self::snapshots::SnapshotTally;
pub(crate) use self::storage::Metered;
use self::storage::StorageTally;
use self::tally::Tally;
use crate::clock::{Clock as _, SystemClock, Time};
use crate::error::Error;
use crate::lifecycle::{Core, State, Unsealed};
use crate::reply::{Form, Json, Reply};
use crate::request::Op;

/// The media type of Prometheus' text.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A counter.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn sub_one(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters of a process.
pub struct Metrics {
    /// When counting began.
    began: Time,
    /// By the mount's path; empty for what lies in none.
    mounts: ArcSwap<HashMap<String, Arc<Tally>>>,
    /// Held by whoever adds a mount.
    adding: Mutex<()>,
    pub(crate) storage: Arc<StorageTally>,
    snapshots: SnapshotTally,
    periods: Periods,
    unrecorded: Counter,
    limited: Counter,
    in_flight: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            began: SystemClock.now(),
            mounts: ArcSwap::default(),
            adding: Mutex::default(),
            storage: Arc::default(),
            snapshots: SnapshotTally::default(),
            periods: Periods::default(),
            unrecorded: Counter::default(),
            limited: Counter::default(),
            in_flight: Counter::default(),
        }
    }
}

/// A request under way; it has ended when this is dropped.
pub struct Underway<'a>(&'a Metrics);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.in_flight.sub_one();
    }
}

impl Metrics {
    /// A request begins.
    pub fn begin(&self) -> Underway<'_> {
        self.in_flight.add_one();
        Underway(self)
    }

    /// Notes why a request failed, where that is counted.
    pub fn failed(&self, error: &Error) {
        match error {
            Error::Audit | Error::Unrecorded => self.unrecorded.add_one(),
            Error::RateLimited(_) => self.limited.add_one(),
            _ => {}
        }
    }

    /// The counts of a mount that had none.
    fn tally(&self, vault: Option<&Unsealed>, mount: &str) -> Arc<Tally> {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut mounts = HashMap::clone(&self.mounts.load());
        // So there are never more than there are mounts.
        if let Some(vault) = vault {
            let table = vault.mounts.table();
            mounts.retain(|path, _| path.is_empty() || table.at(path).is_some());
        }
        let tally = mounts.entry(mount.to_owned()).or_default().clone();
        self.mounts.store(Arc::new(mounts));
        tally
    }
}

impl Core {
    /// What this process has counted.
    pub fn metrics(&self) -> &Metrics {
        &self.counted
    }

    /// Counts a request that was answered.
    pub fn count(&self, path: &str, op: Op, status: u16, took: Duration) {
        let count = |vault: Option<&Unsealed>, mount: &str| {
            let tally = self.counted.mounts.load();
            match tally.get(mount) {
                Some(tally) => tally.count(op, status, took),
                None => (self.counted.tally(vault, mount)).count(op, status, took),
            }
        };
        match &**self.peek() {
            State::Unsealed(vault) => vault.mounts.named(path, |mount| count(Some(vault), mount)),
            State::Uninit | State::Sealed(_) => count(None, ""),
        }
    }

    /// The answer of `sys/metrics`: `prometheus` for its text, else JSON.
    pub fn report(&self, format: Option<&str>) -> Result<Reply, Error> {
        let families = self.families();
        match format {
            None | Some("") => {
                let now = self.clock().now();
                let up = now.since(self.counted.began);
                Reply::bare(&family::report(&families, now, up))
            }
            Some("prometheus") => Ok(Reply {
                form: Form::Exact,
                media: Some(TEXT),
                ..Reply::raw(Json::raw(family::text(&families).into_bytes()))
            }),
            Some(_) => Err(Error::field("format", "there is \"prometheus\"")),
        }
    }

    fn families(&self) -> Vec<Family> {
        let counted = &self.counted;
        let count = |name, help, counter: &Counter| {
            Family::single(name, help, Kind::Counter, Value::Count(counter.read()))
        };
        let gauge =
            |name, help, value: u64| Family::single(name, help, Kind::Gauge, Value::Count(value));
        let open = self.unsealed().ok();
        let mut families = vec![
            gauge(
                "vault_core_unsealed",
                "Whether the vault is open.",
                u64::from(open.is_some()),
            ),
            gauge(
                "vault_core_in_flight_requests",
                "Requests under way.",
                counted.in_flight.read(),
            ),
            count(
                "vault_audit_log_failure_total",
                "Requests that no audit device could record.",
                &counted.unrecorded,
            ),
            count(
                "vault_quota_rate_limit_violation_total",
                "Requests over a rate limit.",
                &counted.limited,
            ),
        ];
        if let Some(vault) = &open {
            let (term, _, deks) = vault.barrier.active_term();
            let mounts = vault.mounts.table().iter().count();
            families.extend([
                count(
                    "vault_token_creation_total",
                    "Tokens made since the vault was opened.",
                    &vault.tokens.made,
                ),
                gauge("vault_barrier_term", "The active term.", term.into()),
                gauge("vault_barrier_deks", "DEKs under it.", deks as u64),
                gauge("vault_core_mounts", "Mounts.", mounts as u64),
            ]);
        }
        let mut seals = Family::new(
            "vault_seal_healthy",
            "Whether a seal worked the last time, and how it failed.",
            Kind::Gauge,
        );
        for seal in self.seal_reports() {
            let labels = vec![
                ("name", seal.name),
                ("type", seal.kind.to_owned()),
                ("condition", seal.condition.to_owned()),
            ];
            seals.push(labels, Value::Count(u64::from(seal.healthy)));
        }
        families.push(seals);
        let version = self.settings().version;
        families.extend(nodes::families(self.storage().nodes(), version));
        families.extend(counted.snapshots.families(self.clock().now()));
        families.push(counted.periods.family());
        families.extend(counted.storage.families());
        let mounts = counted.mounts.load();
        families.extend(tally::families(mounts.iter()));
        families
    }
}
