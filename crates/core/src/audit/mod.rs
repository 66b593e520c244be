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
mod redact;

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_keys::kdf::MacKey;
use quick_cache::sync::Cache;

pub use self::entry::{Entry, Hashed, Outcome};
use crate::barrier::View;
use crate::error::Error;
use crate::mounts::MountRecord;
use crate::pipeline::Authorized;
use crate::ports::audit::AuditDevice;
use crate::ports::engine::{Access, Found};
use crate::ports::storage::Batch;
use crate::request::Request;
use crate::tokens::{Caller, Token};

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
    devices: Vec<AuditSetup>,
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
        Ok(Self {
            devices,
            mac,
            callers: Cache::new(CALLERS),
        })
    }

    /// Hashes what the lines of a request show; nothing where there is no device.
    pub fn hashed(
        &self,
        request: &Request,
        caller: &Caller,
        mount: Option<&MountRecord>,
    ) -> Option<Hashed> {
        if self.devices.is_empty() {
            return None;
        }
        let (token, accessor) = match (&caller.token, &caller.text) {
            (Some(token), Some(text)) => {
                let (token, accessor) = self.caller(token, text.expose());
                (Some(token), Some(accessor))
            }
            // One that is no token: its HMAC is not worth a place in the cache.
            (None, Some(text)) => (Some(redact::hash(&self.mac, text.expose()).into()), None),
            (_, None) => (None, None),
        };
        let exempt = mount.map_or(&[][..], |m| &m.config.audit_non_hmac_request_keys);
        let body = request.body.bytes();
        let data = (!body.is_empty()).then(|| redact::object(&self.mac, body, exempt));
        Some(Hashed {
            token,
            accessor,
            data,
        })
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
    pub fn admit(&self, _: Authorized, entry: &Entry<'_>) -> Result<Admitted, Error> {
        self.record(entry, REQUEST, None)?;
        Ok(Admitted(()))
    }

    /// Records a request that may not go on, and its answer.
    pub fn refuse(&self, entry: &Entry<'_>, error: &Error) -> Result<(), Error> {
        // The error stands on both lines: whoever reads only requests sees what was denied.
        let outcome = Outcome::Failed(error);
        self.record(entry, REQUEST, Some(&outcome))?;
        self.record(entry, RESPONSE, Some(&outcome))
    }

    /// Records an answer. Where that fails the answer must not go out.
    pub fn answered(&self, entry: &Entry<'_>, outcome: &Outcome<'_>) -> Result<(), Error> {
        self.record(entry, RESPONSE, Some(outcome))
            .map_err(|_| Error::Unrecorded)
    }

    /// HMAC of a text as it stands in the lines.
    pub fn hash(&self, text: &str) -> String {
        redact::hash(&self.mac, text)
    }

    fn record(
        &self,
        entry: &Entry<'_>,
        kind: &'static str,
        outcome: Option<&Outcome<'_>>,
    ) -> Result<(), Error> {
        if self.devices.is_empty() {
            return Ok(());
        }
        let line = entry.line(&self.mac, kind, outcome);
        let mut kept = false;
        for setup in &self.devices {
            match setup.device.write(&line) {
                Ok(()) => kept = true,
                Err(error) => tracing::error!(device = %setup.name, %error, "audit device failed"),
            }
        }
        if kept { Ok(()) } else { Err(Error::Audit) }
    }
}
