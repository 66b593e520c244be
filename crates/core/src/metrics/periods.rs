//! Crypto-periods of services' keys that end soon or are over, looked for once in a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::Metrics;
use super::family::{Family, Kind, Value};
use crate::clock::Time;
use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::mounts::{Mount, Target};
use crate::ports::period::{CryptoPeriod, Role, Standing};

/// Turns of the chores from one look to the next: an hour.
const TURNS: u64 = 60;
/// Keys that are read at once.
const PAGE: usize = 1_000;

/// What was found last.
#[derive(Default)]
pub(super) struct Periods {
    turns: AtomicU64,
    found: ArcSwap<Vec<OfMount>>,
}

/// How many keys of a mount have a period in its last part, or over: by role and standing.
#[derive(Debug, Default, PartialEq, Eq)]
struct OfMount {
    mount: String,
    counts: [u64; POINTS.len()],
}

const POINTS: [(Role, Standing, &str); 4] = [
    (Role::Originator, Standing::Ending, "ending"),
    (Role::Originator, Standing::Ended, "ended"),
    (Role::Recipient, Standing::Ending, "ending"),
    (Role::Recipient, Standing::Ended, "ended"),
];

impl OfMount {
    fn count(&mut self, period: &CryptoPeriod, now: Time) {
        let standing = period.standing(now);
        for (count, (role, state, _)) in self.counts.iter_mut().zip(POINTS) {
            *count += u64::from(role == period.role && state == standing);
        }
    }
}

impl Metrics {
    /// Counts the periods of all keys, at the first turn and every hour after.
    pub(crate) async fn look_at_periods(&self, vault: &Unsealed) {
        if !self
            .periods
            .turns
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(TURNS)
        {
            return;
        }
        let mut found = Vec::new();
        for mount in vault.mounts.table().iter() {
            match of_mount(mount, vault.clock.now()).await {
                Ok(Some(counts)) => found.push(counts),
                Ok(None) => {}
                Err(error) => {
                    let path = &mount.record.path;
                    tracing::warn!(%error, path, "the crypto-periods of a mount are not known");
                }
            }
        }
        self.periods.found.store(Arc::new(found));
    }
}

impl Periods {
    /// Nothing of mounts whose keys have no periods.
    pub fn family(&self) -> Family {
        let mut family = Family::new(
            "vault_transit_crypto_periods",
            "Keys whose crypto-period ends soon or is over.",
            Kind::Gauge,
        );
        for found in self.found.load().iter() {
            for (count, (role, _, state)) in found.counts.iter().zip(POINTS) {
                let labels = vec![
                    ("mount_point", found.mount.clone()),
                    ("period", role.name().to_owned()),
                    ("state", state.to_owned()),
                ];
                family.push(labels, Value::Count(*count));
            }
        }
        family
    }
}

async fn of_mount(mount: &Mount, now: Time) -> Result<Option<OfMount>, Error> {
    let Target::Engine { engine, .. } = &mount.target else {
        return Ok(None);
    };
    let mut found = OfMount {
        mount: mount.record.path.clone(),
        ..OfMount::default()
    };
    let (mut after, mut any) = (String::new(), false);
    loop {
        let page = engine.service_keys(&after, PAGE).await?;
        for period in page.keys.iter().flat_map(|key| &key.periods) {
            any = true;
            found.count(period, now);
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(any.then_some(found)),
        }
    }
}
