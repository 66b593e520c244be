//! `sys/mounts`.

use std::collections::BTreeMap;

use keyfold_api::duration::{self, Seconds};
use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::System;
use crate::error::{Error, UnsupportedReason};
use crate::mounts::{MountConfig, MountRecord, NewMount, Tune};
use crate::ports::engine::Call;
use crate::reply::Reply;

#[derive(Deserialize)]
struct Mount {
    #[serde(default, rename = "type", deserialize_with = "weak::string")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    description: Option<String>,
    #[serde(default)]
    config: Option<Config>,
    #[serde(default, deserialize_with = "weak::map")]
    options: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "weak::boolean")]
    local: Option<bool>,
    #[serde(default, deserialize_with = "weak::boolean")]
    seal_wrap: Option<bool>,
    #[serde(default, deserialize_with = "weak::boolean")]
    external_entropy_access: Option<bool>,
    /// Old clients name the engine here.
    #[serde(default, deserialize_with = "weak::string")]
    plugin_name: Option<String>,
    /// Taken: every engine is built in, in one version.
    #[serde(default, rename = "plugin_version", deserialize_with = "weak::string")]
    _plugin_version: Option<String>,
}

/// Tuning in a request. Durations are read by hand: their errors have words that clients know.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    #[serde(deserialize_with = "weak::string")]
    default_lease_ttl: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    max_lease_ttl: Option<String>,
    #[serde(deserialize_with = "weak::boolean")]
    force_no_cache: Option<bool>,
    #[serde(deserialize_with = "weak::string")]
    listing_visibility: Option<String>,
    #[serde(deserialize_with = "weak::list")]
    audit_non_hmac_request_keys: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::list")]
    audit_non_hmac_response_keys: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::list")]
    passthrough_request_headers: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::list")]
    allowed_response_headers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct TuneBody {
    #[serde(flatten)]
    config: Config,
    #[serde(default, deserialize_with = "weak::string")]
    description: Option<String>,
    #[serde(default, deserialize_with = "weak::map")]
    options: Option<BTreeMap<String, String>>,
}

/// A mount as the wire shows it.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    pub(super) accessor: &'a str,
    config: ShownConfig<'a>,
    deprecation_status: &'static str,
    description: &'a str,
    external_entropy_access: bool,
    local: bool,
    pub(super) options: &'a Option<BTreeMap<String, String>>,
    plugin_version: &'static str,
    running_plugin_version: &'static str,
    running_sha256: &'static str,
    seal_wrap: bool,
    #[serde(rename = "type")]
    kind: &'a str,
    uuid: &'a str,
}

#[derive(Serialize)]
struct ShownConfig<'a> {
    default_lease_ttl: u64,
    max_lease_ttl: u64,
    force_no_cache: bool,
    #[serde(flatten)]
    more: Visible<'a>,
}

/// The tuning that is shown where it is set.
#[derive(Serialize)]
struct Visible<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    listing_visibility: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    audit_non_hmac_request_keys: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    audit_non_hmac_response_keys: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    passthrough_request_headers: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allowed_response_headers: &'a [String],
}

#[derive(Serialize)]
struct ShownTune<'a> {
    default_lease_ttl: u64,
    max_lease_ttl: u64,
    force_no_cache: bool,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: &'a Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    more: Visible<'a>,
}

impl System {
    pub(super) async fn mounts_list(&self) -> Result<Reply, Error> {
        let table = self.vault.mounts.table();
        let shown: BTreeMap<&str, Shown<'_>> = table
            .sorted()
            .into_iter()
            .filter(|m| !m.record.path.starts_with("auth/"))
            .map(|m| (m.record.path.as_str(), show(&m.record)))
            .collect();
        Reply::injected(&shown)
    }

    pub(super) async fn mount_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (path, tune) = split(call.param("path"));
        let table = self.vault.mounts.table();
        let mount = table.at(&path).ok_or_else(|| {
            Error::bad(match tune {
                true => format!("cannot fetch sysview for path \"{path}\""),
                false => format!("No secret engine mount at {path}"),
            })
        })?;
        let record = &mount.record;
        if !tune {
            return Reply::injected(&show(record));
        }
        let limits = self.vault.mounts.limits(&record.path, &self.vault.settings);
        Reply::injected(&ShownTune {
            default_lease_ttl: limits.default_ttl,
            max_lease_ttl: limits.max_ttl,
            force_no_cache: record.config.force_no_cache,
            description: &record.description,
            options: &record.options,
            more: visible(&record.config),
        })
    }

    pub(super) async fn mount_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        match split(named(call)?) {
            (path, true) => self.tune(&path, call).await,
            (path, false) => self.mount(path, call).await,
        }
    }

    async fn mount(&self, path: String, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Mount>()?;
        let kind = asked
            .kind
            .or(asked.plugin_name)
            .filter(|kind| !kind.is_empty())
            .ok_or_else(|| Error::bad("backend type must be specified as a string"))?;
        let given = asked.config.unwrap_or_default();
        let ttl = |text: Option<String>, what: &str| {
            seconds(text).map_err(|e| Error::bad(format!("unable to parse {what} TTL of {e}")))
        };
        let tune = Tune {
            default_lease_ttl: ttl(given.default_lease_ttl.clone(), "default")?,
            max_lease_ttl: ttl(given.max_lease_ttl.clone(), "max")?,
            ..Tune::default()
        };
        let config = MountConfig {
            default_lease_ttl: tune.default_lease_ttl.unwrap_or(0),
            max_lease_ttl: tune.max_lease_ttl.unwrap_or(0),
            force_no_cache: given.force_no_cache.unwrap_or(false),
            listing_visibility: given.listing_visibility.unwrap_or_default(),
            audit_non_hmac_request_keys: given.audit_non_hmac_request_keys.unwrap_or_default(),
            audit_non_hmac_response_keys: given.audit_non_hmac_response_keys.unwrap_or_default(),
            passthrough_request_headers: given.passthrough_request_headers.unwrap_or_default(),
            allowed_response_headers: given.allowed_response_headers.unwrap_or_default(),
            ..MountConfig::default()
        };
        let (kind, options) = aliased(kind, asked.options);
        let new = NewMount {
            path,
            kind,
            description: asked.description.unwrap_or_default(),
            options,
            config,
            local: asked.local.unwrap_or(false),
            seal_wrap: asked.seal_wrap.unwrap_or(false),
            external_entropy_access: asked.external_entropy_access.unwrap_or(false),
        };
        self.vault.mounts.mount(new).await?;
        Ok(Reply::none())
    }

    async fn tune(&self, path: &str, call: &Call<'_>) -> Result<Reply, Error> {
        let body = call.decode::<TuneBody>()?;
        let ttl = |text| seconds(text).map_err(|e| Error::bad(e.cause));
        let tune = Tune {
            description: body.description,
            default_lease_ttl: ttl(body.config.default_lease_ttl)?,
            max_lease_ttl: ttl(body.config.max_lease_ttl)?,
            listing_visibility: body.config.listing_visibility,
            audit_non_hmac_request_keys: body.config.audit_non_hmac_request_keys,
            audit_non_hmac_response_keys: body.config.audit_non_hmac_response_keys,
            passthrough_request_headers: body.config.passthrough_request_headers,
            allowed_response_headers: body.config.allowed_response_headers,
            options: body.options,
            ..Tune::default()
        };
        self.vault.mounts.tune(path, tune).await?;
        Ok(Reply::none())
    }

    pub(super) async fn mount_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = folder(named(call)?);
        let meant = call.full_path.trim_end_matches('/');
        self.permit_meant(call, meant).await?;
        self.vault.mounts.unmount(&path).await?;
        Ok(Reply::none())
    }
}

pub(super) fn show(record: &MountRecord) -> Shown<'_> {
    Shown {
        accessor: &record.accessor,
        config: ShownConfig {
            default_lease_ttl: record.config.default_lease_ttl,
            max_lease_ttl: record.config.max_lease_ttl,
            force_no_cache: record.config.force_no_cache,
            more: visible(&record.config),
        },
        deprecation_status: "supported",
        description: &record.description,
        external_entropy_access: record.external_entropy_access,
        local: record.local,
        options: &record.options,
        plugin_version: "",
        running_plugin_version: concat!("v", env!("CARGO_PKG_VERSION"), "+builtin.keyfold"),
        running_sha256: "",
        seal_wrap: record.seal_wrap,
        kind: &record.kind,
        uuid: &record.uuid,
    }
}

fn visible(config: &MountConfig) -> Visible<'_> {
    Visible {
        listing_visibility: &config.listing_visibility,
        audit_non_hmac_request_keys: &config.audit_non_hmac_request_keys,
        audit_non_hmac_response_keys: &config.audit_non_hmac_response_keys,
        passthrough_request_headers: &config.passthrough_request_headers,
        allowed_response_headers: &config.allowed_response_headers,
    }
}

/// `kv-v2` stands for kv with version 2.
fn aliased(
    kind: String,
    options: Option<BTreeMap<String, String>>,
) -> (String, Option<BTreeMap<String, String>>) {
    let mut options = options.unwrap_or_default();
    if kind != "kv-v2" {
        return (kind, Some(options));
    }
    options.insert("version".to_owned(), "2".to_owned());
    ("kv".to_owned(), Some(options))
}

/// The path that a call names; the list of mounts itself can't be written or removed.
fn named<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    let path = call.param("path");
    match path.trim_matches('/') {
        "" => Err(Error::Unsupported(UnsupportedReason::Operation)),
        _ => Ok(path),
    }
}

/// The mount's path with its slash, and whether its tuning is meant.
fn split(path: &str) -> (String, bool) {
    match path.trim_end_matches('/').strip_suffix("/tune") {
        Some(path) => (folder(path), true),
        None => (folder(path), false),
    }
}

fn folder(path: &str) -> String {
    format!("{}/", path.trim_end_matches('/'))
}

struct BadTtl {
    text: String,
    cause: String,
}

impl std::fmt::Display for BadTtl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.text, self.cause)
    }
}

/// Seconds of a duration's text; `system` leaves it to the system, an empty text says nothing.
fn seconds(text: Option<String>) -> Result<Option<u64>, BadTtl> {
    let Some(text) = text else { return Ok(None) };
    if text.is_empty() {
        return Ok(None);
    }
    if text == "system" {
        return Ok(Some(0));
    }
    let bad = |cause: String| BadTtl {
        text: text.clone(),
        cause,
    };
    let Seconds(secs) = duration::parse(&text).map_err(|e| bad(e.quoting(&text)))?;
    u64::try_from(secs)
        .map(Some)
        .map_err(|_| bad("it cannot be negative".to_owned()))
}
