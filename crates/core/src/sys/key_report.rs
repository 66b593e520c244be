//! `sys/keys/report`: every key of the hierarchy, for whoever has to account for them.
//!
//! ```text
//!   custodians, seals (a wrap each) ─► root key ─► kek (terms) ─► dek (one a mount) ─► service kek (a key of transit)
//! ```
//!
//! What is under a service's kek lies outside, where no server sees it.

use keyfold_api::weak;
use keyfold_keys::State;
use serde::{Deserialize, Serialize};

use super::{Row, System};
use crate::clock::Time;
use crate::error::Error;
use crate::lifecycle::SealReport;
use crate::mounts::{Mount, Target};
use crate::ports::engine::{Call, ServiceKeyInfo};
use crate::ports::period::Role;
use crate::renewal::Renewal;
use crate::reply::Reply;
use crate::request::Op;

/// Keys of services that one answer tells of each mount, and at most.
const OF_MOUNT: usize = 1000;
const MOST: usize = 10_000;

pub(super) fn rows() -> Vec<Row> {
    vec![Row::new(
        Op::Read,
        "keys/report",
        "Every key: its age, its state, what it is wrapped by, when it is rotated.",
        |s, c| Box::pin(s.key_report(c)),
    )]
}

/// For one mount with more keys than an answer tells.
#[derive(Deserialize)]
struct Ask {
    #[serde(default, deserialize_with = "weak::string")]
    mount: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    after: Option<String>,
    #[serde(default, deserialize_with = "weak::int")]
    limit: Option<i64>,
}

#[derive(Serialize)]
struct Report {
    time: String,
    /// The root key is in memory at the moment.
    root_key_in_memory: bool,
    /// Ways that have to come together to open the store, the custodians counted as one.
    required: usize,
    custodians: Custodians,
    seals: Vec<SealReport>,
    keys: Vec<Key>,
    /// Mounts with more keys, and the name to go on after: ask with `mount` and `after`.
    more: Vec<More>,
}

#[derive(Serialize)]
struct Custodians {
    /// Shares that were handed out.
    shares: u8,
    /// Shares that are enough.
    threshold: u8,
    /// They open the store, alone or with seals.
    open: bool,
}

#[derive(Serialize)]
struct More {
    mount: String,
    after: String,
}

/// A key, or a version of one.
#[derive(Serialize)]
struct Key {
    /// `seal-wrap`, `root-key`, `kek`, `dek` or `service-kek`.
    key: &'static str,
    /// The mount, and below it the key.
    name: String,
    /// Its type.
    algorithm: String,
    /// A term or a version.
    version: Option<u32>,
    /// Where it is still needed: the oldest version that decrypts.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_version: Option<u32>,
    /// `active`; `retiring`: it opens, and wraps nothing more; `retired`: it is gone.
    state: &'static str,
    created: Option<String>,
    /// Seconds.
    age: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_created: Option<String>,
    /// Seconds, where it is rotated by time; null: none is set.
    crypto_period: Option<u64>,
    /// Null where none is set.
    next_rotation: Option<String>,
    /// When the newest version is to make nothing more, where that is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    originator_usage_ends: Option<String>,
    /// When the oldest version is to be needed no more, where that is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_usage_ends: Option<String>,
    /// What is to be done about these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    wrapped_by: Vec<String>,
}

impl Key {
    fn new(key: &'static str, name: impl Into<String>, created: Option<Time>, now: Time) -> Self {
        Self {
            key,
            name: name.into(),
            algorithm: "xaes-256-gcm".to_owned(),
            version: None,
            oldest_version: None,
            state: "active",
            created: created.map(Time::rfc3339),
            age: created.map(|created| now.since(created).as_secs()),
            oldest_created: None,
            crypto_period: None,
            next_rotation: None,
            originator_usage_ends: None,
            recipient_usage_ends: None,
            warnings: Vec::new(),
            wrapped_by: Vec::new(),
        }
    }
}

impl System {
    async fn key_report(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let ask = call.decode::<Ask>()?;
        let now = self.vault.clock.now();
        let mut more = Vec::new();
        let keys = match &ask.mount {
            Some(path) => {
                let limit = ask.limit.and_then(|limit| usize::try_from(limit).ok());
                let limit = limit.filter(|limit| (1..=MOST).contains(limit));
                let after = ask.after.as_deref().unwrap_or_default();
                let table = self.vault.mounts.table();
                let missing = || Error::field("mount", "nothing is mounted there");
                let mount = table.at(path).ok_or_else(missing)?;
                self.service_keks((mount, now), (after, limit.unwrap_or(OF_MOUNT)), &mut more)
                    .await?
            }
            None => self.all_keys(now, &mut more).await?,
        };
        let (shares, threshold) = self.core.shares();
        Reply::data(&Report {
            time: now.rfc3339(),
            root_key_in_memory: self.vault.holds_root(),
            required: self.core.ways_required(),
            custodians: Custodians {
                shares,
                threshold,
                open: self.core.shares_open(),
            },
            seals: self.core.seal_reports(),
            keys,
            more,
        })
    }

    async fn all_keys(&self, now: Time, more: &mut Vec<More>) -> Result<Vec<Key>, Error> {
        let mut keys = self.root_and_keks(now).await?;
        let kek = format!("kek {}", self.vault.barrier.active_term().0);
        let table = self.vault.mounts.table();
        for mount in table.sorted() {
            keys.extend(self.deks(mount, &kek, now).await?);
        }
        let mut left = MOST;
        for mount in table.sorted() {
            let limit = left.min(OF_MOUNT);
            let found = self.service_keks((mount, now), ("", limit), more).await?;
            left -= found.len();
            keys.extend(found);
        }
        Ok(keys)
    }

    async fn root_and_keks(&self, now: Time) -> Result<Vec<Key>, Error> {
        let config = self.vault.rotation.config().await?;
        let terms = self.vault.barrier.terms();
        let mut root = Key::new("root-key", "root key", self.vault.root_made().await?, now);
        root.wrapped_by = self.core.wraps_of_root();
        let mut keys = vec![root];
        keys.extend(self.wraps_of_seals(now));
        for (term, created, state) in terms {
            let mut kek = Key::new("kek", "keyring", Time::parse(&created), now);
            kek.version = Some(term);
            (kek.state, kek.wrapped_by) = match state {
                State::Active => ("active", vec!["root key".to_owned()]),
                State::Retiring => ("retiring", vec!["root key".to_owned()]),
                State::Retired => ("retired", Vec::new()),
            };
            if state == State::Active {
                let due = config.due(&created);
                kek.crypto_period = due.map(|_| config.interval);
                kek.next_rotation = due.map(Time::rfc3339);
            }
            keys.push(kek);
        }
        Ok(keys)
    }

    /// What the seals keep of the root key: made anew with it, with a seal's key, or when it joins.
    fn wraps_of_seals(&self, now: Time) -> impl Iterator<Item = Key> {
        let reports = self.core.seal_reports().into_iter();
        reports.filter(|seal| seal.wrapped).map(move |seal| {
            let created = seal.wrapped_since.as_deref().and_then(Time::parse);
            let mut wrap = Key::new("seal-wrap", seal.name, created, now);
            wrap.algorithm = "aes-256-gcm".to_owned();
            let key = seal.key_id.unwrap_or_default();
            wrap.wrapped_by = vec![format!("{} key {key}", seal.kind)];
            wrap
        })
    }

    /// The versions of a mount's dek; none where its records are under another's.
    async fn deks(&self, mount: &Mount, kek: &str, now: Time) -> Result<Vec<Key>, Error> {
        let path = &mount.record.path;
        let Some(versions) = self.vault.dek_versions(mount)? else {
            return Ok(Vec::new());
        };
        let (renewal, _) = self.vault.renewal(path).await?;
        let newest = versions.last().copied();
        let keys = versions.iter().map(|version| {
            let created = made(mount, renewal.as_ref(), *version);
            let mut dek = Key::new("dek", path.clone(), created, now);
            dek.version = Some(*version);
            if newest != Some(*version) {
                dek.state = "retiring";
            }
            dek.wrapped_by = vec![kek.to_owned()];
            dek
        });
        Ok(keys.collect())
    }

    /// Keys that a mount keeps for services.
    async fn service_keks(
        &self,
        (mount, now): (&Mount, Time),
        (after, limit): (&str, usize),
        more: &mut Vec<More>,
    ) -> Result<Vec<Key>, Error> {
        let Target::Engine { engine, .. } = &mount.target else {
            return Ok(Vec::new());
        };
        let path = &mount.record.path;
        let page = engine.service_keys(after, limit).await?;
        more.extend(page.next.map(|after| More {
            mount: path.clone(),
            after,
        }));
        let show = |info: ServiceKeyInfo| {
            let name = format!("{path}{}", info.name);
            let periods = &info.periods;
            let ends = |role: Role| {
                let period = periods.iter().find(|period| period.role == role);
                period.map(|period| period.ends().rfc3339())
            };
            Key {
                originator_usage_ends: ends(Role::Originator),
                recipient_usage_ends: ends(Role::Recipient),
                warnings: periods
                    .iter()
                    .filter_map(|period| period.remark(now))
                    .chain(info.remarks)
                    .collect(),
                algorithm: info.kind,
                version: Some(info.version),
                oldest_version: Some(info.oldest),
                oldest_created: info.oldest_created.map(Time::rfc3339),
                crypto_period: info.period,
                next_rotation: info.next_rotation.map(Time::rfc3339),
                wrapped_by: vec![format!("dek {path}")],
                ..Key::new("service-kek", name, info.created, now)
            }
        };
        Ok(page.keys.into_iter().map(show).collect())
    }
}

/// When a version of a mount's dek was made, where that is known.
fn made(mount: &Mount, renewal: Option<&Renewal>, version: u32) -> Option<Time> {
    match renewal {
        Some(last) if last.to == version => Some(last.started),
        Some(last) if last.from == version => last.before,
        Some(_) => None,
        None => mount.record.created,
    }
}
