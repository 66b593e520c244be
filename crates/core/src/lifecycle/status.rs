//! `sys/seal-status` as the wire shows it.

use serde::Serialize;

use super::seals::{Condition, Set, Slot, Wraps};
use super::{Core, Progress, State};
use crate::error::Error;

/// The body of `seal-status` and of `unseal`.
#[derive(Serialize)]
pub struct SealStatus {
    #[serde(rename = "type")]
    kind: &'static str,
    initialized: bool,
    /// No keys are in memory.
    pub sealed: bool,
    t: u8,
    n: u8,
    progress: usize,
    nonce: String,
    version: &'static str,
    build_date: &'static str,
    commit_date: &'static str,
    migration: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
    recovery_seal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_seal_type: Option<&'static str>,
    storage_type: &'static str,
    /// Tells this server from others that speak the same API.
    server: &'static str,
    /// The seals that failed last, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seals_failing: Vec<SealReport>,
    /// Where several ways have to open it together.
    #[serde(skip_serializing_if = "Option::is_none")]
    quorum: Option<Together>,
    /// A second set of shares opens it too, until one of the two is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    shares_next: Option<Split>,
    /// What is configured of the seals and does not count, or not yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Shares that are enough, and shares that there are.
#[derive(Debug, Clone, Serialize)]
pub struct Split {
    /// Enough.
    pub t: u8,
    /// All.
    pub n: u8,
}

/// How many ways it takes.
#[derive(Debug, Clone, Serialize)]
struct Together {
    require: usize,
    /// The share holders have done their part.
    shares_given: bool,
}

/// A seal and whether it works, for those who watch.
#[derive(Debug, Clone, Serialize)]
pub struct SealReport {
    /// As configured.
    pub name: String,
    /// `static`, `transit`, …
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Lower ones are asked first.
    pub priority: u32,
    /// It did not fail the last time.
    pub healthy: bool,
    /// `unknown`, `healthy`, `down`, `refused` or `foreign`.
    pub condition: &'static str,
    /// It has a wrap of the root key.
    pub wrapped: bool,
    /// The key that it wrapped it with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// When it did, RFC 3339, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrapped_since: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_since: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl SealReport {
    fn of(slot: &Slot, wraps: &Wraps) -> Self {
        let condition = slot.condition();
        let (reason, since) = match &condition {
            Condition::Ailing { error, since } => (Some(error.to_string()), Some(since.rfc3339())),
            Condition::Unknown | Condition::Healthy => (None, None),
        };
        let wrap = wraps.seals.get(&slot.name).map(|kept| &kept.record);
        Self {
            name: slot.name.clone(),
            kind: slot.kind,
            priority: slot.priority,
            healthy: reason.is_none(),
            condition: condition.name(),
            wrapped: wrap.is_some(),
            key_id: wrap.map(|wrap| wrap.key_id.clone()),
            wrapped_since: wrap.and_then(|wrap| wrap.made.clone()),
            unhealthy_since: since,
            reason,
        }
    }
}

impl Core {
    /// Every seal in use that needs no people, in the order in which it is asked.
    pub fn seal_reports(&self) -> Vec<SealReport> {
        let wraps = self.seals.wraps();
        let slots = self.seals.in_use();
        slots
            .iter()
            .map(|slot| SealReport::of(slot, &wraps))
            .collect()
    }

    /// Those of them that failed last.
    pub fn failing_seals(&self) -> Vec<SealReport> {
        let mut reports = self.seal_reports();
        reports.retain(|report| !report.healthy);
        reports
    }

    /// What wraps the root key: the shares, and seals.
    pub(crate) fn wraps_of_root(&self) -> Vec<String> {
        let wraps = self.seals.wraps();
        let (n, t) = wraps.split();
        let people = wraps.shares_open().then(|| format!("{t} of {n} shares"));
        let next = self.shares_next().filter(|_| wraps.shares_open());
        let next = next.map(|Split { t, n }| format!("{t} of {n} new shares"));
        let seals = wraps.seals.iter().map(|(name, kept)| {
            let kind = &kept.record.kind;
            format!("seal {name} ({kind})")
        });
        people.into_iter().chain(next).chain(seals).collect()
    }

    /// Ways that have to come together to open the store.
    pub(crate) fn ways_required(&self) -> usize {
        self.seals.wraps().required()
    }

    /// Shares handed out, and shares that are enough.
    pub fn shares(&self) -> (u8, u8) {
        self.seals.wraps().split()
    }

    /// The second set of shares, of a rekey that may not have been told, where there is one.
    pub fn shares_next(&self) -> Option<Split> {
        let wraps = self.seals.wraps();
        let next = wraps.set(Set::Next)?;
        let (t, n) = (next.record.threshold, next.record.shares);
        Some(Split { t, n })
    }

    /// Whether shares open the store.
    pub fn shares_open(&self) -> bool {
        self.seals.wraps().shares_open()
    }

    /// The kind of the seal that is to open the store: `shamir` where people are.
    pub fn seal_kind(&self) -> &'static str {
        let first = self.seals.first();
        first.map_or("shamir", |slot| slot.kind)
    }

    /// The state of the seal.
    pub async fn seal_status(&self) -> Result<SealStatus, Error> {
        let kind = self.seal_kind();
        let auto = kind != "shamir";
        let begun = !matches!(*self.state(), State::Uninit);
        let (n, t) = self.seals.wraps().split();
        let mut status = SealStatus {
            kind,
            initialized: true,
            sealed: true,
            t,
            n,
            progress: 0,
            nonce: String::new(),
            version: self.settings.version,
            build_date: "",
            commit_date: "",
            migration: begun && self.seals.is_unsettled(),
            cluster_name: None,
            cluster_id: None,
            recovery_seal: auto,
            recovery_seal_type: auto.then_some("shamir"),
            storage_type: self.storage.kind(),
            server: "keyfold",
            seals_failing: self.failing_seals(),
            quorum: None,
            shares_next: None,
            warnings: self.seal_remarks(),
        };
        let wraps = self.seals.wraps();
        let next = wraps.set(Set::Next).map(|kept| &kept.record);
        status.shares_next = self.shares_next();
        let require = self.seals.wraps().required();
        if require > 1 {
            let shares_given = match &*self.state() {
                State::Sealed(sealed) => sealed.part().is_some(),
                State::Uninit | State::Unsealed(_) => false,
            };
            status.quorum = Some(Together {
                require,
                shares_given,
            });
        }
        match &*self.state() {
            State::Uninit => status.initialized = false,
            State::Sealed(sealed) => {
                let Progress {
                    given,
                    of_next,
                    nonce,
                } = sealed.progress();
                (status.progress, status.nonce) = (given, nonce);
                if let Some(next) = next.filter(|_| of_next) {
                    (status.t, status.n) = (next.threshold, next.shares);
                }
            }
            State::Unsealed(vault) => {
                status.sealed = false;
                status.cluster_name = Some(vault.cluster.name.clone());
                status.cluster_id = Some(vault.cluster.id.clone());
            }
        }
        Ok(status)
    }
}
