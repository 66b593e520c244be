//! A mount's record, and its tuning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::barrier::SYSTEM;
use crate::clock::Time;
use crate::error::Error;
use crate::id;
use crate::tokens::TokenType;

/// Where the auth methods are.
pub const AUTH: &str = "auth/";
/// The methods that can lock a name.
const LOCKING: [&str; 3] = ["userpass", "approle", "ldap"];

/// What is stored of a mount.
#[derive(Clone, Serialize, Deserialize)]
pub struct MountRecord {
    /// Where, with a slash at its end; auth methods begin with `auth/`.
    pub path: String,
    /// `transit`, `kv`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub description: String,
    /// Names its storage and its dek.
    pub uuid: String,
    /// Names it in answers and audit lines.
    pub accessor: String,
    /// Of the engine, such as kv's `version`.
    pub options: Option<BTreeMap<String, String>>,
    /// Tuning.
    pub config: MountConfig,
    /// Taken and shown; it has no meaning without replication.
    pub local: bool,
    /// Taken and shown; every record is sealed here.
    pub seal_wrap: bool,
    /// Taken and shown.
    pub external_entropy_access: bool,
    /// For auth methods: what logged in before is not theirs any more, because the method has moved.
    #[serde(default)]
    pub logins_since: Option<Time>,
    /// When it was mounted, and its first dek made. Mounts of older versions do not tell.
    #[serde(default)]
    pub created: Option<Time>,
}

/// Tuning of a mount. Zero and empty stand for "as the system has it".
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MountConfig {
    /// Seconds.
    pub default_lease_ttl: u64,
    /// Seconds.
    pub max_lease_ttl: u64,
    /// Taken and shown; there is no cache that it could turn off.
    pub force_no_cache: bool,
    /// `unauth`, `hidden` or empty.
    pub listing_visibility: String,
    /// Members of requests that the audit log shows in clear.
    pub audit_non_hmac_request_keys: Vec<String>,
    /// Members of answers that the audit log shows in clear.
    pub audit_non_hmac_response_keys: Vec<String>,
    /// Taken and shown.
    pub passthrough_request_headers: Vec<String>,
    /// Taken and shown.
    pub allowed_response_headers: Vec<String>,
    /// Managed keys that it may use, by name.
    pub allowed_managed_keys: Vec<String>,
    /// For auth methods: which kind of token a login makes.
    pub token_type: TokenType,
    /// For auth methods with names and passwords: after how many failures a name is locked. Absent:
    /// as the server has it.
    pub user_lockout: Option<Lockout>,
}

/// When a name that fails to log in is locked. Times in seconds; zero: as the server has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lockout {
    /// Failures in a row; zero: as the server has it.
    pub threshold: u64,
    /// How long a lock holds.
    pub duration: u64,
    /// How long a failure counts.
    pub counter_reset: u64,
    /// No locks at all.
    pub disable: bool,
}

/// A change of [`Lockout`]; what is absent stays.
#[derive(Default)]
pub struct LockoutTune {
    /// See [`Lockout`].
    pub threshold: Option<u64>,
    /// See [`Lockout`].
    pub duration: Option<u64>,
    /// See [`Lockout`].
    pub counter_reset: Option<u64>,
    /// See [`Lockout`].
    pub disable: Option<bool>,
}

/// A change of tuning; what is absent stays.
#[derive(Default)]
pub struct Tune {
    /// New text.
    pub description: Option<String>,
    /// Seconds; zero: as the system.
    pub default_lease_ttl: Option<u64>,
    /// Seconds; zero: as the system.
    pub max_lease_ttl: Option<u64>,
    /// See [`MountConfig`].
    pub listing_visibility: Option<String>,
    /// See [`MountConfig`].
    pub audit_non_hmac_request_keys: Option<Vec<String>>,
    /// See [`MountConfig`].
    pub audit_non_hmac_response_keys: Option<Vec<String>>,
    /// See [`MountConfig`].
    pub passthrough_request_headers: Option<Vec<String>>,
    /// See [`MountConfig`].
    pub allowed_response_headers: Option<Vec<String>>,
    /// See [`MountConfig`].
    pub allowed_managed_keys: Option<Vec<String>>,
    /// See [`MountConfig`].
    pub token_type: Option<TokenType>,
    /// See [`MountConfig`].
    pub user_lockout: Option<LockoutTune>,
    /// Options of the engine.
    pub options: Option<BTreeMap<String, String>>,
}

impl MountConfig {
    /// The parts fit each other.
    pub fn check(&self) -> Result<(), Error> {
        if !matches!(self.listing_visibility.as_str(), "" | "unauth" | "hidden") {
            return Err(Error::bad(format!(
                "invalid listing_visibility {}",
                self.listing_visibility
            )));
        }
        Ok(())
    }
}

impl MountRecord {
    /// An auth method, not a secrets engine.
    pub fn is_auth(&self) -> bool {
        self.path.starts_with(AUTH)
    }

    /// Every vault has it, and it stays where it is.
    pub fn is_builtin(&self) -> bool {
        is_builtin(&self.kind)
    }

    /// The path as `sys/mounts` or `sys/auth` calls it.
    pub fn short_path(&self) -> &str {
        self.path.strip_prefix(AUTH).unwrap_or(&self.path)
    }

    /// The record after a change of tuning.
    pub fn tuned(mut self, tune: Tune) -> Result<Self, Error> {
        if tune.token_type.is_some() && !self.is_auth() {
            return Err(Error::bad(
                "'token_type' can only be modified on auth mounts",
            ));
        }
        if tune.token_type.is_some() && self.kind == "token" {
            return Err(Error::bad(
                "'token_type' cannot be set for 'token' or 'ns_token' auth mounts",
            ));
        }
        if tune.user_lockout.is_some() && !LOCKING.contains(&self.kind.as_str()) {
            return Err(Error::bad(format!(
                "tuning of user lockout configuration for auth type \"{}\" not allowed",
                self.kind
            )));
        }
        set(&mut self.description, tune.description);
        let config = &mut self.config;
        set(&mut config.default_lease_ttl, tune.default_lease_ttl);
        set(&mut config.max_lease_ttl, tune.max_lease_ttl);
        set(&mut config.listing_visibility, tune.listing_visibility);
        set(
            &mut config.audit_non_hmac_request_keys,
            tune.audit_non_hmac_request_keys,
        );
        set(
            &mut config.audit_non_hmac_response_keys,
            tune.audit_non_hmac_response_keys,
        );
        set(
            &mut config.passthrough_request_headers,
            tune.passthrough_request_headers,
        );
        set(
            &mut config.allowed_response_headers,
            tune.allowed_response_headers,
        );
        set(&mut config.allowed_managed_keys, tune.allowed_managed_keys);
        set(&mut config.token_type, tune.token_type);
        if let Some(tune) = tune.user_lockout {
            let lockout = config.user_lockout.get_or_insert_default();
            set(&mut lockout.threshold, tune.threshold);
            set(&mut lockout.duration, tune.duration);
            set(&mut lockout.counter_reset, tune.counter_reset);
            set(&mut lockout.disable, tune.disable);
        }
        let (default, max) = (config.default_lease_ttl, config.max_lease_ttl);
        if max > 0 && default > max {
            return Err(Error::bad(format!(
                "backend max lease TTL of {max} would be less than backend default lease TTL of \
                 {default}"
            )));
        }
        config.check()?;
        if let Some(options) = tune.options {
            let mut merged = self.options.take().unwrap_or_default();
            merged.extend(options);
            self.options = Some(merged);
        }
        Ok(self)
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// What core serves itself, once in every vault.
pub(super) fn is_builtin(kind: &str) -> bool {
    matches!(kind, "system" | "token" | "cubbyhole" | "identity")
}

/// A fresh accessor for a kind of mount.
pub(super) fn accessor(path: &str, kind: &str) -> String {
    let auth = if path.starts_with(AUTH) { "auth_" } else { "" };
    format!(
        "{auth}{kind}_{}",
        hex::encode(keyfold_keys::rng::bytes::<4>())
    )
}

/// What every vault has.
pub(super) fn builtin(now: Time) -> [MountRecord; 4] {
    let of = |path: &str, kind: &str, description: &str, uuid: String| MountRecord {
        path: path.to_owned(),
        kind: kind.to_owned(),
        description: description.to_owned(),
        accessor: accessor(path, kind),
        uuid,
        options: None,
        config: MountConfig::default(),
        local: kind == "cubbyhole",
        seal_wrap: false,
        external_entropy_access: false,
        logins_since: None,
        created: Some(now),
    };
    let mut system = of(
        "sys/",
        "system",
        "system endpoints used for control, policy and debugging",
        SYSTEM.to_owned(),
    );
    system.seal_wrap = true;
    system.config.passthrough_request_headers = vec!["Accept".to_owned()];
    let mut identity = of("identity/", "identity", "identity store", id::uuid());
    identity.config.passthrough_request_headers = vec!["Authorization".to_owned()];
    [
        system,
        of(
            "auth/token/",
            "token",
            "token based credentials",
            id::uuid(),
        ),
        identity,
        of(
            "cubbyhole/",
            "cubbyhole",
            "per-token private secret storage",
            id::uuid(),
        ),
    ]
}
