//! The configuration as used: every value filled in, checked and typed.

use std::collections::BTreeMap;
use std::path::{Component, PathBuf};
use std::time::Duration;

use keyfold_core::initialize::Stanza;
use keyfold_core::lockout::LockoutRules;
use keyfold_core::ports::audit::ApiRules;

use super::kms::{self, KmsLibrary};
use super::listener::{self, Listener, Tcp};
use super::lockout;
use super::place::{ConfigError, Placed};
use super::raw::{Raw, RawAudit, RawStorage};
use super::seal::{self, Seal};
use super::snapshots::Snapshots;

/// What is said where there is none.
pub(super) const NO_STORAGE: &str =
    "no storage: add a block such as  storage \"redb\" { path = \"/var/lib/keyfold/store.redb\" }";
/// 32 days, as existing servers have it.
const LEASE_TTL: Duration = Duration::from_secs(768 * 3600);

/// What a server is started with.
pub struct Config {
    /// Where it listens; at least one.
    pub listeners: Vec<Listener>,
    /// Where it keeps everything.
    pub storage: Placed<Storage>,
    /// Audit devices that are always there.
    pub audits: Vec<Placed<Audit>>,
    /// What audit devices may be that are made over the API.
    pub audit_rules: ApiRules,
    /// Libraries of devices that keep keys.
    pub kms_libraries: Vec<KmsLibrary>,
    /// What opens the store without people, in order.
    pub seals: Vec<Placed<Seal>>,
    /// Whether the shares that are handed out beside them open it too.
    pub shares_unseal: bool,
    /// Ways that have to come together; none: any one opens.
    pub require: Option<u8>,
    /// What a new vault is told before it serves.
    pub initialize: Vec<Stanza>,
    /// How clients reach it; taken from the first TCP listener where it is none.
    pub api_addr: Option<String>,
    /// Whether `sys/raw` shows the store's records.
    pub raw_storage: bool,
    /// What it calls itself; made up at initialisation where it is none.
    pub cluster_name: Option<String>,
    /// Time to live of leases and tokens that ask for none.
    pub default_lease_ttl: Duration,
    /// The longest they get.
    pub max_lease_ttl: Duration,
    /// When a name that fails to log in is locked.
    pub lockout: LockoutRules,
    /// Backups that it makes by itself.
    pub snapshots: Option<Snapshots>,
    /// What is logged.
    pub log: Log,
    /// How long it serves on when it is told to stop, while health says so.
    pub shutdown_delay: Duration,
    /// Holds the process id while the server runs.
    pub pid_file: Option<PathBuf>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// A storage to open: `wiring` knows the kinds and their settings.
pub struct Storage {
    /// `redb`, `postgresql`, `inmem`.
    pub kind: String,
    /// By name.
    pub settings: BTreeMap<String, Placed<String>>,
}

/// An audit device to open: `wiring` knows the kinds, the kinds their options.
pub struct Audit {
    /// `file`.
    pub kind: String,
    /// What it is listed as.
    pub name: String,
    /// For people.
    pub description: String,
    /// By name.
    pub options: BTreeMap<String, String>,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Log {
    /// From here on.
    pub level: Level,
    /// How a line looks.
    pub format: Format,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// Everything.
    Trace,
    /// What a developer wants to see.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What may need attention.
    Warn,
    /// What needs it.
    Error,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Standard,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// For a program that has a server inside, and for tests: one storage, one listener, and the
    /// defaults for all else. `settings` are those of the `storage` block.
    pub fn embedded(kind: &str, settings: &[(&str, &str)], listener: Listener) -> Self {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Placed::given((*value).to_owned())))
            .collect();
        Self {
            listeners: vec![listener],
            storage: Placed::given(Storage {
                kind: kind.to_owned(),
                settings,
            }),
            audits: Vec::new(),
            audit_rules: ApiRules::default(),
            kms_libraries: Vec::new(),
            seals: Vec::new(),
            shares_unseal: true,
            require: None,
            initialize: Vec::new(),
            api_addr: None,
            raw_storage: false,
            cluster_name: None,
            default_lease_ttl: LEASE_TTL,
            max_lease_ttl: LEASE_TTL,
            lockout: LockoutRules::default(),
            snapshots: None,
            log: Log::default(),
            shutdown_delay: Duration::ZERO,
            pid_file: None,
            warnings: Vec::new(),
        }
    }

    /// What `server -dev` runs with: everything in memory, a listener on `address`.
    pub fn dev(address: &str) -> Self {
        let mut config = Self::embedded("inmem", &[], Listener::Tcp(Tcp::plain(address)));
        config
            .warnings
            .push("-dev keeps everything in memory, unsealed: never for real secrets".to_owned());
        config
    }

    /// Checks what was written and fills in what was not.
    pub fn resolve(raw: Raw) -> Result<Self, ConfigError> {
        let mut warnings = raw.warnings;
        let Some(storage) = raw.storage else {
            return Err(ConfigError::whole(NO_STORAGE));
        };
        if raw.listeners.is_empty() {
            return Err(ConfigError::whole(
                "no listener: add a block such as  listener \"tcp\" { address = \"127.0.0.1:8200\" }",
            ));
        }
        let listeners = raw
            .listeners
            .into_iter()
            .map(|listener| listener::resolve(listener, &mut warnings))
            .collect::<Result<_, _>>()?;
        let (default_lease_ttl, max_lease_ttl) =
            lease_ttls(raw.default_lease_ttl, raw.max_lease_ttl)?;
        let level = raw.log_level.as_ref().map(level).transpose()?;
        let format = raw.log_format.as_ref().map(format).transpose()?;
        if let Some(address) = &raw.api_addr
            && !(address.value.starts_with("http://") || address.value.starts_with("https://"))
        {
            return Err(address.wrong("\"api_addr\" has to begin with http:// or https://"));
        }
        Ok(Self {
            listeners,
            storage: resolve_storage(storage),
            audits: audits(raw.audits)?,
            audit_rules: ApiRules {
                file_dir: raw.audit_file_dir.map(folder).transpose()?,
                lax: raw.audit_lax.is_some_and(|flag| flag.value),
                prefix: raw.audit_prefix.is_some_and(|flag| flag.value),
            },
            kms_libraries: kms::resolve(raw.kms_libraries)?,
            seals: seal::resolve(raw.seals.stanzas)?,
            shares_unseal: raw.seals.shares_unseal.is_none_or(|flag| flag.value),
            require: seal::require(raw.seals.require)?,
            initialize: raw.initialize,
            api_addr: raw.api_addr.map(|address| address.value),
            raw_storage: raw.raw_storage.is_some_and(|flag| flag.value),
            cluster_name: raw.cluster_name.map(|name| name.value),
            default_lease_ttl,
            max_lease_ttl,
            lockout: lockout::resolve(raw.lockouts)?,
            snapshots: raw.snapshots.map(|snapshots| snapshots.value),
            log: Log {
                level: level.unwrap_or_default(),
                format: format.unwrap_or_default(),
            },
            shutdown_delay: raw.shutdown_delay.map_or(Duration::ZERO, |d| d.value),
            pid_file: raw.pid_file.map(|file| file.value.into()),
            warnings,
        })
    }
}

impl Level {
    /// Reads a level as configuration and command line write it.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "trace" => Some(Self::Trace),
            "debug" => Some(Self::Debug),
            "info" | "notice" | "" => Some(Self::Info),
            "warn" | "warning" => Some(Self::Warn),
            "error" | "err" => Some(Self::Error),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// From the root on: where a server is started must not decide where its files are.
fn folder(text: Placed<String>) -> Result<PathBuf, ConfigError> {
    let path = PathBuf::from(&text.value);
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if !path.is_absolute() || !path.components().all(plain) {
        return Err(text.wrong("\"audit_file_dir\" has to be a path that begins with /"));
    }
    Ok(path)
}

fn level(text: &Placed<String>) -> Result<Level, ConfigError> {
    Level::parse(&text.value)
        .ok_or_else(|| text.wrong("\"log_level\" has to be trace, debug, info, warn or error"))
}

fn format(text: &Placed<String>) -> Result<Format, ConfigError> {
    match text.value.to_ascii_lowercase().as_str() {
        "" | "standard" => Ok(Format::Standard),
        "json" => Ok(Format::Json),
        _ => Err(text.wrong("\"log_format\" has to be standard or json")),
    }
}

fn lease_ttls(
    default: Option<Placed<Duration>>,
    max: Option<Placed<Duration>>,
) -> Result<(Duration, Duration), ConfigError> {
    let longest = max.as_ref().map_or(LEASE_TTL, |ttl| ttl.value);
    for (name, ttl) in [("default_lease_ttl", &default), ("max_lease_ttl", &max)] {
        if let Some(ttl) = ttl.as_ref().filter(|ttl| ttl.value.is_zero()) {
            return Err(ttl.wrong(format!("\"{name}\" has to be longer than nothing")));
        }
    }
    match default {
        Some(ttl) if ttl.value > longest => {
            Err(ttl.wrong("\"default_lease_ttl\" is longer than \"max_lease_ttl\""))
        }
        Some(ttl) => Ok((ttl.value, longest)),
        None => Ok((LEASE_TTL.min(longest), longest)),
    }
}

/// A storage as it was written.
pub(super) fn resolve_storage(raw: Placed<RawStorage>) -> Placed<Storage> {
    let RawStorage { kind, settings } = raw.value;
    Placed {
        value: Storage { kind, settings },
        place: raw.place,
    }
}

fn audits(raw: Vec<Placed<RawAudit>>) -> Result<Vec<Placed<Audit>>, ConfigError> {
    let mut audits: Vec<Placed<Audit>> = Vec::with_capacity(raw.len());
    for Placed { value, place } in raw {
        let audit = Audit {
            kind: value.kind,
            name: value.name.trim_matches('/').to_owned(),
            description: value.description.map(|text| text.value).unwrap_or_default(),
            options: value
                .options
                .into_iter()
                .map(|(name, v)| (name, v.value))
                .collect(),
        };
        let audit = Placed {
            value: audit,
            place,
        };
        if audit.value.name.is_empty() {
            return Err(audit.wrong("an audit device needs a name"));
        }
        if audits
            .iter()
            .any(|other| other.value.name == audit.value.name)
        {
            let message = format!("a second audit device \"{}\"", audit.value.name);
            return Err(audit.wrong(message));
        }
        audits.push(audit);
    }
    Ok(audits)
}
