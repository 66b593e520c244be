//! The configuration as written: every setting with its place, nothing filled in.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keyfold_api::hcl::{self, Block, Body, Value};
use keyfold_core::initialize::Stanza;

use super::forwarded::Forwarded;
use super::lockout::{self, RawLockout};
use super::place::{ConfigError, Place, Placed};
use super::section::Section;
use super::snapshots::{self, Snapshots};
use super::{initialize, kms, known, seal};

/// One file, or several merged.
#[derive(Default)]
pub struct Raw {
    /// `api_addr`.
    pub api_addr: Option<Placed<String>>,
    /// `cluster_name`.
    pub cluster_name: Option<Placed<String>>,
    /// `log_level`.
    pub log_level: Option<Placed<String>>,
    /// `log_format`.
    pub log_format: Option<Placed<String>>,
    /// `pid_file`.
    pub pid_file: Option<Placed<String>>,
    /// `shutdown_delay`.
    pub shutdown_delay: Option<Placed<Duration>>,
    /// `audit_file_dir`.
    pub audit_file_dir: Option<Placed<String>>,
    /// `unsafe_allow_api_audit_creation`.
    pub audit_lax: Option<Placed<bool>>,
    /// `allow_audit_log_prefixing`.
    pub audit_prefix: Option<Placed<bool>>,
    /// `raw_storage_endpoint`.
    pub raw_storage: Option<Placed<bool>>,
    /// `default_lease_ttl`.
    pub default_lease_ttl: Option<Placed<Duration>>,
    /// `max_lease_ttl`.
    pub max_lease_ttl: Option<Placed<Duration>>,
    /// `storage "kind" {…}`, or `backend`, its old name.
    pub storage: Option<Placed<RawStorage>>,
    /// `listener "kind" {…}`, in order.
    pub listeners: Vec<Placed<RawListener>>,
    /// `initialize "name" {…}`, in order.
    pub initialize: Vec<Stanza>,
    /// `audit "kind" "name" {…}`, in order.
    pub audits: Vec<Placed<RawAudit>>,
    /// `kms_library "pkcs11" {…}`.
    pub kms_libraries: Vec<Placed<kms::KmsLibrary>>,
    /// `seal "kind" "name" {…}` and `seals {…}`.
    pub seals: seal::RawSeals,
    /// `user_lockout "kind" {…}`, in order.
    pub lockouts: Vec<Placed<RawLockout>>,
    /// `snapshots {…}`.
    pub snapshots: Option<Placed<Snapshots>>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// A `storage` block.
pub struct RawStorage {
    /// The label.
    pub kind: String,
    /// What stands in it.
    pub settings: BTreeMap<String, Placed<String>>,
}

/// An `audit` block.
pub struct RawAudit {
    /// The first label.
    pub kind: String,
    /// The second label.
    pub name: String,
    /// `description`.
    pub description: Option<Placed<String>>,
    /// `options {…}`.
    pub options: BTreeMap<String, Placed<String>>,
}

/// A `listener` block; which settings go with which kind is for `resolved` to say.
pub struct RawListener {
    /// The label.
    pub kind: String,
    /// Settings with a text, by name.
    pub texts: BTreeMap<&'static str, Placed<String>>,
    /// Settings that are on or off, by name.
    pub flags: BTreeMap<&'static str, Placed<bool>>,
    /// `max_request_size`, bytes.
    pub max_request_size: Option<Placed<usize>>,
    /// `max_request_json_strings`.
    pub max_request_json_strings: Option<Placed<usize>>,
    /// `http_read_timeout`.
    pub http_read_timeout: Option<Placed<Duration>>,
    /// `http_idle_timeout`.
    pub http_idle_timeout: Option<Placed<Duration>>,
    /// `tls_cipher_suites`.
    pub tls_cipher_suites: Option<Placed<Vec<String>>>,
    /// `x_forwarded_for_…`.
    pub forwarded: Option<Forwarded>,
    /// `telemetry`: `unauthenticated_metrics_access`.
    pub open_metrics: bool,
    /// `custom_response_headers`: status or class of it, header, values.
    pub headers: Vec<Placed<RawHeader>>,
}

/// One header of `custom_response_headers`.
pub struct RawHeader {
    /// `default`, `404` or `4xx`.
    pub status: String,
    /// The header.
    pub name: String,
    /// Its values.
    pub values: Vec<String>,
}

const LISTENER_TEXTS: [&str; 9] = [
    "address",
    "socket_mode",
    "socket_user",
    "socket_group",
    "tls_cert_file",
    "tls_key_file",
    "tls_client_ca_file",
    "tls_min_version",
    "tls_max_version",
];

/// No calls for shares without a token: new shares.
pub const CLOSED_REKEY: &str = "disable_unauthed_rekey_endpoints";
/// The same of a new root token.
pub const CLOSED_GENERATE_ROOT: &str = "disable_unauthed_generate_root_endpoints";
/// A request has to have the header of clients.
pub const REQUEST_HEADER: &str = "require_request_header";
const LISTENER_FLAGS: [&str; 6] = [
    CLOSED_REKEY,
    CLOSED_GENERATE_ROOT,
    REQUEST_HEADER,
    "tls_disable",
    "tls_disable_client_certs",
    "tls_require_and_verify_client_cert",
];

impl Raw {
    /// Reads the text of one file, HCL or JSON.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let body = hcl::parse_any(text).map_err(|e| {
            let file = Arc::from(file);
            ConfigError::at(Place { file, line: e.line }, e.message)
        })?;
        Self::of(&body, file)
    }

    /// The same of a text that was read, or of a part of it.
    pub fn of(body: &Body, file: &Path) -> Result<Self, ConfigError> {
        let file: Arc<Path> = Arc::from(file);
        let mut section = Section::new(&file, "", body);
        let mut raw = Self {
            api_addr: section.text("api_addr")?,
            cluster_name: section.text("cluster_name")?,
            log_level: section.text("log_level")?,
            log_format: section.text("log_format")?,
            pid_file: section.text("pid_file")?,
            shutdown_delay: section.duration("shutdown_delay")?,
            audit_file_dir: section.text("audit_file_dir")?,
            audit_lax: section.flag("unsafe_allow_api_audit_creation")?,
            audit_prefix: section.flag("allow_audit_log_prefixing")?,
            raw_storage: section.flag("raw_storage_endpoint")?,
            default_lease_ttl: section.duration("default_lease_ttl")?,
            max_lease_ttl: section.duration("max_lease_ttl")?,
            ..Self::default()
        };
        for key in ["storage", "backend"] {
            for block in section.blocks(key, 1)? {
                let storage = raw_storage(&file, &block)?;
                let place = Some(section.place(block.line));
                raw.set_storage(Placed {
                    value: storage,
                    place,
                })?;
            }
        }
        for block in section.blocks("listener", 1)? {
            let listener = raw_listener(&file, &block, &mut raw.warnings)?;
            let place = Some(section.place(block.line));
            raw.listeners.push(Placed {
                value: listener,
                place,
            });
        }
        for block in section.blocks("audit", 2)? {
            let audit = raw_audit(&file, &block, &mut raw.warnings)?;
            let place = Some(section.place(block.line));
            raw.audits.push(Placed {
                value: audit,
                place,
            });
        }
        for block in section.blocks("snapshots", 0)? {
            let place = section.place(block.line);
            if raw.snapshots.is_some() {
                return Err(ConfigError::at(place, "\"snapshots\" is set twice"));
            }
            raw.snapshots = Some(Placed {
                value: snapshots::read(&file, &block, &mut raw.warnings)?,
                place: Some(place),
            });
        }
        for block in section.blocks("kms_library", 1)? {
            let library = kms::read(&file, &block, &mut raw.warnings)?;
            let place = Some(section.place(block.line));
            raw.kms_libraries.push(Placed {
                value: library,
                place,
            });
        }
        raw.seals = seal::read(&file, &mut section, &mut raw.warnings)?;
        for block in section.blocks("user_lockout", 1)? {
            let lockout = lockout::raw(&file, &block, &mut raw.warnings)?;
            let place = Some(section.place(block.line));
            raw.lockouts.push(Placed {
                value: lockout,
                place,
            });
        }
        for block in section.blocks("initialize", 1)? {
            let stanza = initialize::read(&file, &block, &mut raw.warnings)?;
            initialize::only_once(&raw.initialize, &stanza)
                .map_err(|why| ConfigError::at(section.place(block.line), why))?;
            raw.initialize.push(stanza);
        }
        section.refuse(known::REFUSED)?;
        section.finish(known::TOP, &mut raw.warnings)?;
        Ok(raw)
    }

    /// Adds a later file: its settings win, its listeners and audit devices come after, a second
    /// storage is an error.
    pub fn merge(&mut self, later: Self) -> Result<(), ConfigError> {
        let warnings = &mut self.warnings;
        replace("api_addr", &mut self.api_addr, later.api_addr, warnings);
        replace(
            "cluster_name",
            &mut self.cluster_name,
            later.cluster_name,
            warnings,
        );
        replace("log_level", &mut self.log_level, later.log_level, warnings);
        replace(
            "log_format",
            &mut self.log_format,
            later.log_format,
            warnings,
        );
        replace("pid_file", &mut self.pid_file, later.pid_file, warnings);
        replace(
            "shutdown_delay",
            &mut self.shutdown_delay,
            later.shutdown_delay,
            warnings,
        );
        replace(
            "audit_file_dir",
            &mut self.audit_file_dir,
            later.audit_file_dir,
            warnings,
        );
        replace(
            "unsafe_allow_api_audit_creation",
            &mut self.audit_lax,
            later.audit_lax,
            warnings,
        );
        replace(
            "allow_audit_log_prefixing",
            &mut self.audit_prefix,
            later.audit_prefix,
            warnings,
        );
        replace(
            "raw_storage_endpoint",
            &mut self.raw_storage,
            later.raw_storage,
            warnings,
        );
        let ttl = "default_lease_ttl";
        replace(
            ttl,
            &mut self.default_lease_ttl,
            later.default_lease_ttl,
            warnings,
        );
        replace(
            "max_lease_ttl",
            &mut self.max_lease_ttl,
            later.max_lease_ttl,
            warnings,
        );
        self.listeners.extend(later.listeners);
        self.audits.extend(later.audits);
        self.kms_libraries.extend(later.kms_libraries);
        self.seals.stanzas.extend(later.seals.stanzas);
        replace(
            "shares_unseal",
            &mut self.seals.shares_unseal,
            later.seals.shares_unseal,
            warnings,
        );
        replace(
            "require",
            &mut self.seals.require,
            later.seals.require,
            warnings,
        );
        replace("snapshots", &mut self.snapshots, later.snapshots, warnings);
        self.lockouts.extend(later.lockouts);
        for stanza in later.initialize {
            initialize::only_once(&self.initialize, &stanza).map_err(ConfigError::whole)?;
            self.initialize.push(stanza);
        }
        self.warnings.extend(later.warnings);
        later
            .storage
            .map_or(Ok(()), |storage| self.set_storage(storage))
    }

    fn set_storage(&mut self, storage: Placed<RawStorage>) -> Result<(), ConfigError> {
        if self.storage.is_some() {
            return Err(storage.wrong("a server has one storage, this is the second"));
        }
        self.storage = Some(storage);
        Ok(())
    }
}

fn replace<T>(
    key: &str,
    old: &mut Option<Placed<T>>,
    new: Option<Placed<T>>,
    warnings: &mut Vec<String>,
) {
    let Some(new) = new else {
        return;
    };
    if let (
        Some(Placed {
            place: Some(old), ..
        }),
        Some(place),
    ) = (old.as_ref(), &new.place)
    {
        warnings.push(format!("{place}: \"{key}\" replaces that of {old}"));
    }
    *old = Some(new);
}

/// Reads a block that names a storage.
pub(super) fn raw_storage(file: &Arc<Path>, block: &Block<'_>) -> Result<RawStorage, ConfigError> {
    let kind = label(block, 0);
    let settings = Section::new(file, format!("storage \"{kind}\""), block.body).settings()?;
    Ok(RawStorage { kind, settings })
}

fn raw_audit(
    file: &Arc<Path>,
    block: &Block<'_>,
    warnings: &mut Vec<String>,
) -> Result<RawAudit, ConfigError> {
    let (kind, name) = (label(block, 0), label(block, 1));
    let mut section = Section::new(file, format!("audit \"{kind}\" \"{name}\""), block.body);
    let audit = RawAudit {
        description: section.text("description")?,
        options: section.map("options")?,
        kind,
        name,
    };
    section.finish(known::AUDIT, warnings)?;
    Ok(audit)
}

fn raw_listener(
    file: &Arc<Path>,
    block: &Block<'_>,
    warnings: &mut Vec<String>,
) -> Result<RawListener, ConfigError> {
    let kind = label(block, 0);
    let mut section = Section::new(file, format!("listener \"{kind}\""), block.body);
    let mut texts = BTreeMap::new();
    for key in LISTENER_TEXTS {
        texts.extend(section.text(key)?.map(|value| (key, value)));
    }
    let mut flags = BTreeMap::new();
    for key in LISTENER_FLAGS {
        flags.extend(section.flag(key)?.map(|value| (key, value)));
    }
    let mut headers = Vec::new();
    for status in section.blocks("custom_response_headers", 1)? {
        for item in &status.body.items {
            let values = header_values(&item.value);
            let place = section.place(item.line);
            let Some(values) = values else {
                let message = format!("header \"{}\" has to be a list of strings", item.key);
                return Err(ConfigError::at(place, message));
            };
            let header = RawHeader {
                status: label(&status, 0),
                name: item.key.clone(),
                values,
            };
            headers.push(Placed {
                value: header,
                place: Some(place),
            });
        }
    }
    let mut open_metrics = false;
    for block in section.blocks("telemetry", 0)? {
        let mut telemetry = Section::new(file, "telemetry", block.body);
        let open = telemetry.flag("unauthenticated_metrics_access")?;
        open_metrics |= open.is_some_and(|flag| flag.value);
        telemetry.finish(known::LISTENER_TELEMETRY, warnings)?;
    }
    section.refuse(known::LISTENER_REFUSED)?;
    let listener = RawListener {
        tls_cipher_suites: section.list("tls_cipher_suites")?,
        forwarded: Forwarded::read(&mut section)?,
        texts,
        flags,
        max_request_size: section.number("max_request_size")?,
        max_request_json_strings: section.number("max_request_json_strings")?,
        http_read_timeout: section.duration("http_read_timeout")?,
        http_idle_timeout: section.duration("http_idle_timeout")?,
        open_metrics,
        headers,
        kind,
    };
    section.finish(known::LISTENER, warnings)?;
    Ok(listener)
}

fn header_values(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::List(values) => values
            .iter()
            .map(|v| v.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

fn label(block: &Block<'_>, index: usize) -> String {
    block
        .labels
        .get(index)
        .copied()
        .unwrap_or_default()
        .to_owned()
}
