//! The audit broker: every request and every answer, on every device, before it takes effect.
//!
//! ```text
//!   Authorized ──admit──► Admitted ──► Dispatch::run ──► answered ──► the caller
//!              (request line)                     (response line)
//! ```
//!
//! A line is written when at least one device has it; where there are devices and none can, the
//! request is refused and nothing is done. Each string leaf of request and answer stands in the
//! line as an HMAC-SHA-256 under the vault's own audit key, unless a device's options say more.
//!
//! Devices stand in the configuration or are made over the API: see [`change`].

mod change;
mod devices;
mod elide;
mod entry;
mod format;
mod headers;
mod queue;
mod redact;
mod unopened;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use keyfold_keys::kdf::MacKey;
use quick_cache::sync::Cache;

use self::devices::Devices;
pub use self::devices::{AuditSetup, Device, DeviceSpec};
use self::entry::Who;
pub use self::entry::{Entry, Outcome, Parts};
pub use self::headers::{AuditedHeader, HeaderSetting, HeaderSettings};
use crate::barrier::View;
use crate::clock::Time;
use crate::error::Error;
use crate::pipeline::Authorized;
use crate::ports::audit::{ApiRules, AuditKind};
use crate::ports::engine::{Access, Found};
use crate::ports::storage::Batch;
use crate::tokens::Token;

const HMAC_KEY: &str = "audit/hmac-key";
/// The two kinds of line.
const REQUEST: &str = "request";
const RESPONSE: &str = "response";

/// What the server is configured with.
#[derive(Clone, Default)]
pub struct AuditConfig {
    /// The devices that are always there.
    pub devices: Vec<AuditSetup>,
    /// The kinds that can be made.
    pub kinds: &'static [AuditKind],
    /// What may be made over the API.
    pub rules: ApiRules,
}

/// Proof that a request was authorised and, where there are devices, recorded.
pub struct Admitted(());

impl Admitted {
    /// The seal's own doors work while there is no key to audit with.
    pub(crate) fn door(found: &Found<'_>) -> Option<Self> {
        (found.access == Access::Door).then_some(Self(()))
    }
}

/// Sends lines to the devices.
pub struct Broker {
    config: AuditConfig,
    view: View,
    devices: ArcSwap<Devices>,
    headers: ArcSwap<HeaderSettings>,
    /// Held by whoever changes devices or headers.
    changing: tokio::sync::Mutex<()>,
    /// The store has other devices or headers than these.
    stale: AtomicBool,
    mac: MacKey,
    /// HMACs of tokens and accessors, which stand in every line: by the accessor, which, unlike a
    /// token's text, never comes twice.
    callers: Cache<Box<str>, (Arc<str>, Arc<str>)>,
}

/// Callers whose HMACs are kept.
const CALLERS: usize = 10_000;

impl Broker {
    /// The batch that a new vault needs.
    pub fn first(batch: Batch) -> Batch {
        batch.put(HMAC_KEY, keyfold_keys::rng::bytes::<32>())
    }

    /// Reads the audit key, the stored devices and the headers.
    pub async fn open(view: &View, config: AuditConfig) -> Result<Self, Error> {
        let key = view.get(HMAC_KEY).await?;
        let key = key.ok_or_else(|| Error::corrupt(format!("sys/{HMAC_KEY}")))?;
        let mac = MacKey::new(key.value.expose());
        let devices = config.read(view).await?;
        let broker = Self {
            config,
            view: view.clone(),
            devices: ArcSwap::from_pointee(devices),
            headers: ArcSwap::default(),
            changing: tokio::sync::Mutex::new(()),
            stale: AtomicBool::new(false),
            mac,
            callers: Cache::new(CALLERS),
        };
        broker.reload_headers().await?;
        Ok(broker)
    }

    /// What the lines of a request have in common; nothing where there is no device.
    pub fn entry<'m>(&self, parts: &Parts<'_, 'm>) -> Option<Entry<'m>> {
        let devices = self.devices.load();
        if devices.is_empty() {
            return None;
        }
        let text = parts
            .caller
            .text
            .as_ref()
            .map(|text| text.expose().as_str());
        let (hash, accessor) = match (&parts.caller.token, text) {
            (Some(token), Some(text)) if !token.accessor.is_empty() => {
                let (hash, accessor) = self.caller(token, text);
                (Some(hash), Some(accessor))
            }
            // Without an accessor there is no name to keep its HMAC by.
            (_, Some(text)) => (Some(redact::hash(&self.mac, text).into()), None),
            (_, None) => (None, None),
        };
        let who = Who {
            text,
            hash: hash.as_deref(),
            accessor: accessor.as_deref(),
        };
        Some(Entry::new(devices.clone(), &self.mac, parts, who))
    }

    fn caller(&self, token: &Token, text: &str) -> (Arc<str>, Arc<str>) {
        if let Some(known) = self.callers.get(&token.accessor) {
            return known;
        }
        let hash = |text: &str| Arc::from(redact::hash(&self.mac, text));
        let hashes = (hash(text), hash(&token.accessor));
        self.callers.insert(token.accessor.clone(), hashes.clone());
        hashes
    }

    /// Records a request that may go on.
    pub async fn admit(
        &self,
        _: Authorized,
        entry: Option<&Entry<'_>>,
        now: Time,
    ) -> Result<Admitted, Error> {
        self.record(entry, REQUEST, now, None).await?;
        Ok(Admitted(()))
    }

    /// Records a request that may not go on, and its answer.
    pub async fn refuse(
        &self,
        entry: Option<&Entry<'_>>,
        now: Time,
        error: &Error,
    ) -> Result<(), Error> {
        // The error stands on both lines: whoever reads only requests sees what was denied.
        let outcome = Outcome::Failed(error);
        self.record(entry, REQUEST, now, Some(&outcome)).await?;
        self.record(entry, RESPONSE, now, Some(&outcome)).await
    }

    /// Records an answer. Where that fails the answer must not go out.
    pub async fn answered(
        &self,
        entry: Option<&Entry<'_>>,
        now: Time,
        outcome: &Outcome<'_>,
    ) -> Result<(), Error> {
        self.record(entry, RESPONSE, now, Some(outcome))
            .await
            .map_err(|_| Error::Unrecorded)
    }

    /// HMAC of a text as it stands in the lines.
    pub fn hash(&self, text: &str) -> String {
        redact::hash(&self.mac, text)
    }

    /// The devices, declared ones first.
    pub fn devices(&self) -> Vec<Arc<Device>> {
        self.devices.load().iter().cloned().collect()
    }

    /// There are devices, and none of them took what it was given last: requests are refused.
    pub fn is_blocked(&self) -> bool {
        let devices = self.devices.load();
        !devices.is_empty() && devices.iter().all(|device| device.is_failing())
    }

    /// Opens the devices' media anew; the devices that failed.
    pub fn reopen(&self) -> Vec<(String, std::io::Error)> {
        let failed = |device: &Arc<Device>| Some((device.name.clone(), device.reopen().err()?));
        self.devices.load().iter().filter_map(failed).collect()
    }

    /// Waits until the devices have the lines that they took, each within its own bound: nothing
    /// waits for one that is behind where another has the line, and the process may end first.
    pub async fn settle(&self) {
        self.devices.load_full().settle().await;
    }

    /// A key of the view was changed.
    pub fn invalidate(&self, key: &str) {
        if matches!(key, change::KEY | headers::KEY) {
            self.invalidate_all();
        }
    }

    /// Any key of the view may have been changed.
    pub fn invalidate_all(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// Takes up what was changed, by another node too.
    pub async fn refresh(&self) {
        if !self.stale.swap(false, Ordering::AcqRel) {
            return;
        }
        let _changing = self.changing.lock().await;
        let read = match self.reload_devices().await {
            Ok(()) => self.reload_headers().await,
            error => error,
        };
        if let Err(error) = read {
            tracing::warn!(%error, "audit devices not read again");
            self.invalidate_all();
        }
    }

    async fn record(
        &self,
        entry: Option<&Entry<'_>>,
        kind: &'static str,
        now: Time,
        outcome: Option<&Outcome<'_>>,
    ) -> Result<(), Error> {
        let Some(entry) = entry else { return Ok(()) };
        let lines = entry.lines(&self.mac, kind, now, outcome);
        if entry.devices.keep(lines).await {
            Ok(())
        } else {
            Err(Error::Audit)
        }
    }
}
