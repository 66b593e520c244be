//! What the process tells a vault about itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_core::Error;
use keyfold_core::ports::host::{Host, Ongoing};
use keyfold_core::reply::Json;
use serde::Serialize;

use crate::config::{Config, Format, Level, Listener};
use crate::http::Underway;
use crate::levels;

/// This process.
pub struct Process {
    config: Sanitized,
    underway: Arc<Underway>,
}

/// The configuration without settings that may hold a secret: those of storages, seals and audit devices.
#[derive(Serialize)]
struct Sanitized {
    api_addr: String,
    cluster_name: String,
    default_lease_ttl: u64,
    max_lease_ttl: u64,
    log_format: &'static str,
    log_level: &'static str,
    pid_file: String,
    listeners: Vec<Shown<Place>>,
    seals: Vec<Seal>,
    storage: Storage,
}

#[derive(Serialize)]
struct Shown<T> {
    config: T,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Place {
    address: String,
    tls_disable: bool,
}

#[derive(Serialize)]
struct Seal {
    disabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize)]
struct Storage {
    #[serde(rename = "type")]
    kind: String,
}

impl Process {
    /// The process that was started with `config`.
    pub fn new(config: &Config, api_addr: &str, underway: Arc<Underway>) -> Self {
        let path = config.pid_file.as_ref();
        let config = Sanitized {
            api_addr: api_addr.to_owned(),
            cluster_name: config.cluster_name.clone().unwrap_or_default(),
            default_lease_ttl: config.default_lease_ttl.as_secs(),
            max_lease_ttl: config.max_lease_ttl.as_secs(),
            log_format: match config.log.format {
                Format::Standard => "standard",
                Format::Json => "json",
            },
            log_level: config.log.level.name(),
            pid_file: path.map(|p| p.display().to_string()).unwrap_or_default(),
            listeners: config.listeners.iter().map(shown).collect(),
            seals: seals(config),
            storage: Storage {
                kind: config.storage.value.kind.clone(),
            },
        };
        Self { config, underway }
    }
}

/// The shares alone where there is nothing else.
fn seals(config: &Config) -> Vec<Seal> {
    let shares = Seal {
        disabled: false,
        name: None,
        kind: "shamir".to_owned(),
    };
    let machines = config.seals.iter().map(|seal| Seal {
        disabled: seal.value.disabled,
        name: Some(seal.value.name.clone()),
        kind: seal.value.kind.clone(),
    });
    match config.seals.is_empty() {
        true => vec![shares],
        false => machines.collect(),
    }
}

fn shown(listener: &Listener) -> Shown<Place> {
    match listener {
        Listener::Tcp(tcp) => Shown {
            config: Place {
                address: tcp.address.clone(),
                tls_disable: tcp.tls.is_none(),
            },
            kind: "tcp",
        },
        Listener::Unix(unix) => Shown {
            config: Place {
                address: unix.path.display().to_string(),
                tls_disable: true,
            },
            kind: "unix",
        },
    }
}

impl Host for Process {
    fn log_levels(&self) -> BTreeMap<&'static str, &'static str> {
        levels::all()
    }

    fn set_log_level(&self, logger: Option<&str>, level: Option<&str>) -> Result<(), Error> {
        let level = match level {
            None => None,
            Some(text) => Some(Level::parse(text).ok_or_else(|| {
                Error::bad(format!("invalid level provided: unknown log level: {text}"))
            })?),
        };
        levels::set(logger, level).map_err(|unknown| {
            Error::bad(format!(
                "logger \"{unknown}\" not found: a read lists those there are"
            ))
        })
    }

    fn config(&self) -> Result<Json, Error> {
        Json::of(&self.config)
    }

    fn ongoing(&self) -> BTreeMap<String, Ongoing> {
        self.underway.all()
    }
}
