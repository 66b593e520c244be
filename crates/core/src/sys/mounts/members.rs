//! What a request says of a mount.

use std::collections::BTreeMap;

use keyfold_api::duration::{self, Seconds};
use keyfold_api::weak;
use serde::Deserialize;

use crate::error::Error;
use crate::mounts::{LockoutTune, MountConfig, NewMount, Tune};
use crate::tokens::TokenType;

#[derive(Deserialize)]
pub(in crate::sys) struct Mount {
    #[serde(default, rename = "type", deserialize_with = "weak::string")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    description: Option<String>,
    #[serde(default, deserialize_with = "weak::object")]
    config: Option<Tuning>,
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
    /// Taken, as existing servers do: every engine is built in, in one version. That of `config` is
    /// refused.
    #[serde(default, rename = "plugin_version", deserialize_with = "weak::string")]
    _plugin_version: Option<String>,
}

/// Tuning in a request. Durations are read by hand: their errors have words that clients know.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(in crate::sys) struct Tuning {
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
    #[serde(deserialize_with = "weak::list")]
    allowed_managed_keys: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::string")]
    token_type: Option<String>,
    #[serde(deserialize_with = "weak::object")]
    user_lockout_config: Option<LockoutConfig>,
    /// Of a mount that there is; a new one has it beside its tuning.
    #[serde(deserialize_with = "weak::string")]
    description: Option<String>,
    /// So, too.
    #[serde(deserialize_with = "weak::map")]
    options: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "weak::string")]
    plugin_version: Option<String>,
}

/// A part of the tuning; its errors have words of their own too.
#[derive(Deserialize, Default)]
#[serde(default)]
struct LockoutConfig {
    #[serde(deserialize_with = "weak::string")]
    lockout_threshold: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    lockout_duration: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    lockout_counter_reset_duration: Option<String>,
    #[serde(deserialize_with = "weak::boolean")]
    lockout_disable: Option<bool>,
}

impl Mount {
    /// What is wished for at a path, checked as far as it can be without the table.
    pub(in crate::sys) fn wish(self, path: String) -> Result<NewMount, Error> {
        let kind = self
            .kind
            // Old clients say so, and name the engine elsewhere.
            .filter(|kind| !kind.is_empty() && kind != "plugin")
            .or(self.plugin_name)
            .filter(|kind| !kind.is_empty())
            .ok_or_else(|| Error::bad("backend type must be specified as a string"))?;
        let given = self.config.unwrap_or_default();
        one_version(given.plugin_version.as_deref())?;
        let ttl = |text: Option<String>, what: &str| {
            seconds(text).map_err(|e| Error::bad(format!("unable to parse {what} TTL of {e}")))
        };
        let config = MountConfig {
            default_lease_ttl: ttl(given.default_lease_ttl, "default")?.unwrap_or(0),
            max_lease_ttl: ttl(given.max_lease_ttl, "max")?.unwrap_or(0),
            force_no_cache: given.force_no_cache.unwrap_or(false),
            listing_visibility: given.listing_visibility.unwrap_or_default(),
            audit_non_hmac_request_keys: given.audit_non_hmac_request_keys.unwrap_or_default(),
            audit_non_hmac_response_keys: given.audit_non_hmac_response_keys.unwrap_or_default(),
            passthrough_request_headers: given.passthrough_request_headers.unwrap_or_default(),
            allowed_response_headers: given.allowed_response_headers.unwrap_or_default(),
            allowed_managed_keys: given.allowed_managed_keys.unwrap_or_default(),
            token_type: token_type(given.token_type)?.unwrap_or_default(),
            user_lockout: None,
        };
        let (kind, options) = aliased(kind, self.options);
        Ok(NewMount {
            path,
            kind,
            description: self.description.unwrap_or_default(),
            options,
            config,
            local: self.local.unwrap_or(false),
            seal_wrap: self.seal_wrap.unwrap_or(false),
            external_entropy_access: self.external_entropy_access.unwrap_or(false),
        })
    }
}

impl Tuning {
    /// The change of tuning.
    pub(in crate::sys) fn tune(self) -> Result<Tune, Error> {
        one_version(self.plugin_version.as_deref())?;
        Ok(Tune {
            description: self.description,
            default_lease_ttl: tuned("default_lease_ttl", self.default_lease_ttl)?,
            max_lease_ttl: tuned("max_lease_ttl", self.max_lease_ttl)?,
            listing_visibility: self.listing_visibility,
            audit_non_hmac_request_keys: self.audit_non_hmac_request_keys,
            audit_non_hmac_response_keys: self.audit_non_hmac_response_keys,
            passthrough_request_headers: self.passthrough_request_headers,
            allowed_response_headers: self.allowed_response_headers,
            allowed_managed_keys: self.allowed_managed_keys,
            token_type: token_type(self.token_type)?,
            user_lockout: self.user_lockout_config.map(lockout).transpose()?,
            options: self.options,
        })
    }
}

/// Refuses the wish for a version of an engine.
fn one_version(asked: Option<&str>) -> Result<(), Error> {
    match asked {
        None | Some("") => Ok(()),
        Some(_) => Err(Error::field(
            "plugin_version",
            "engines are built in, each in one version",
        )),
    }
}

fn tuned(name: &str, text: Option<String>) -> Result<Option<u64>, Error> {
    seconds(text).map_err(|error| Error::field(name, error.cause))
}

fn lockout(given: LockoutConfig) -> Result<LockoutTune, Error> {
    let threshold = given.lockout_threshold.map(|text| {
        text.parse().map_err(|_| {
            Error::field(
                "lockout_threshold",
                format_args!("{text:?} is no count of failures"),
            )
        })
    });
    let reset = given.lockout_counter_reset_duration;
    Ok(LockoutTune {
        threshold: threshold.transpose()?,
        duration: tuned("lockout_duration", given.lockout_duration)?,
        counter_reset: tuned("lockout_counter_reset_duration", reset)?,
        disable: given.lockout_disable,
    })
}

/// A mount leaves it to the role in one of two ways, and has to say which.
fn token_type(text: Option<String>) -> Result<Option<TokenType>, Error> {
    match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => match TokenType::parse(text) {
            Ok(TokenType::Default) | Err(_) => Err(Error::bad("invalid value for 'token_type'")),
            Ok(kind) => Ok(Some(kind)),
        },
    }
}

/// `kv-v1` and `kv-v2` stand for kv with that version.
fn aliased(
    kind: String,
    options: Option<BTreeMap<String, String>>,
) -> (String, Option<BTreeMap<String, String>>) {
    let mut options = options.unwrap_or_default();
    let version = match kind.as_str() {
        "kv-v1" => "1",
        "kv-v2" => "2",
        _ => return (kind, Some(options)),
    };
    options.insert("version".to_owned(), version.to_owned());
    ("kv".to_owned(), Some(options))
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
