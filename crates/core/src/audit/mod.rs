//! The audit broker: every request and every answer, on every device, before it takes effect.
//!
//! ```text
//!   Authorized ──admit──► Admitted ──► Dispatch::run ──► answered ──► the caller
//!              (request line)                     (response line)
//! ```
//!
//! A line is written when at least one device has it; where devices are configured and none can,
//! the request is refused and nothing is done. Each string leaf of request and answer stands in
//! the line as an HMAC-SHA-256 under the vault's own audit key.

mod entry;
mod queue;
mod redact;

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_keys::kdf::MacKey;
use quick_cache::sync::Cache;

pub use self::entry::{Entry, Outcome, Parts};
use self::queue::Queue;
use crate::barrier::View;
use crate::clock::Time;
use crate::error::Error;
use crate::pipeline::Authorized;
use crate::ports::audit::AuditDevice;
use crate::ports::engine::{Access, Found};
use crate::ports::storage::Batch;
use crate::tokens::Token;

const HMAC_KEY: &str = "audit/hmac-key";
/// The two kinds of line.
const REQUEST: &str = "request";
const RESPONSE: &str = "response";

/// A device of the configuration.
#[derive(Clone)]
pub struct AuditSetup {
    /// Its name there, which is its path on the wire.
    pub name: String,
    /// `file`, …
    pub kind: String,
    /// For people.
    pub description: String,
    /// As configured.
    pub options: BTreeMap<String, String>,
    /// The open device.
    pub device: Arc<dyn AuditDevice>,
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
    devices: Vec<Queue>,
    mac: MacKey,
    /// HMACs of tokens and accessors, which stand in every line: by the accessor, which, unlike a
    /// token's text, never comes twice.
    callers: Cache<String, (Arc<str>, Arc<str>)>,
}

/// Callers whose HMACs are kept.
const CALLERS: usize = 10_000;

impl Broker {
    /// The batch that a new vault needs.
    pub fn first(batch: Batch) -> Batch {
        batch.put(HMAC_KEY, keyfold_keys::rng::bytes::<32>())
    }

    /// Reads the audit key.
    pub async fn open(view: &View, devices: Vec<AuditSetup>) -> Result<Self, Error> {
        let key = view.get(HMAC_KEY).await?;
        let key = key.ok_or_else(|| Error::corrupt(format!("sys/{HMAC_KEY}")))?;
        let mac = MacKey::new(key.value.expose());
        let queue = |setup: AuditSetup| Queue::new(setup.name, setup.device);
        Ok(Self {
            devices: devices.into_iter().map(queue).collect(),
            mac,
            callers: Cache::new(CALLERS),
        })
    }

    /// What the lines of a request have in common; nothing where there is no device.
    pub fn entry<'m>(&self, parts: &Parts<'_, 'm>) -> Option<Entry<'m>> {
        if self.devices.is_empty() {
            return None;
        }
        let (token, accessor) = match (&parts.caller.token, &parts.caller.text) {
            (Some(token), Some(text)) => {
                let (text, accessor) = self.caller(token, text.expose());
                // A batch token has no accessor.
                let accessor = (!token.accessor.is_empty()).then_some(accessor);
                (Some(text), accessor)
            }
            // One that is no token: its HMAC is not worth a place in the cache.
            (None, Some(text)) => (Some(redact::hash(&self.mac, text.expose()).into()), None),
            (_, None) => (None, None),
        };
        Some(Entry::new(
            &self.mac,
            parts,
            token.as_deref(),
            accessor.as_deref(),
        ))
    }

    fn caller(&self, token: &Token, text: &str) -> (Arc<str>, Arc<str>) {
        if let Some(known) = self.callers.get(&token.accessor) {
            return known;
        }
        let hash = |text: &str| Arc::from(redact::hash(&self.mac, text));
        let hashes = (hash(text), hash(&token.accessor));
        if !token.accessor.is_empty() {
            self.callers.insert(token.accessor.clone(), hashes.clone());
        }
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

    async fn record(
        &self,
        entry: Option<&Entry<'_>>,
        kind: &'static str,
        now: Time,
        outcome: Option<&Outcome<'_>>,
    ) -> Result<(), Error> {
        let Some(entry) = entry else { return Ok(()) };
        let line = entry.line(&self.mac, kind, now, outcome);
        let mut kept = false;
        for device in &self.devices {
            kept |= device.append(&line).await;
        }
        if kept { Ok(()) } else { Err(Error::Audit) }
    }
}
