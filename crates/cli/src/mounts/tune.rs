//! Tuning of mounts: the flags of `enable` and `tune`, and `tune` itself.

use std::collections::BTreeMap;

use clap::Args;
use keyfold_client::Request;
use serde::Serialize;

use super::Class;
use crate::error::CliError;
use crate::logical;
use crate::output;
use crate::pairs::pair;
use crate::session::Session;
use crate::span::span;

/// The flags that set a mount's tuning.
#[derive(Args, Default)]
pub(crate) struct TuningArgs {
    /// Time to live of leases and tokens that ask for none
    #[arg(long, value_name = "DURATION", value_parser = span)]
    default_lease_ttl: Option<String>,
    /// The longest time to live
    #[arg(long, value_name = "DURATION", value_parser = span)]
    max_lease_ttl: Option<String>,
    /// unauth: listed without a token; hidden
    #[arg(long, value_name = "WHERE")]
    listing_visibility: Option<String>,
    /// A member of requests that audit logs show in clear; may be given several times
    #[arg(long, value_name = "NAME")]
    audit_non_hmac_request_keys: Option<Vec<String>>,
    /// A member of answers that audit logs show in clear; may be given several times
    #[arg(long, value_name = "NAME")]
    audit_non_hmac_response_keys: Option<Vec<String>>,
    /// A request header that is handed to the mount; may be given several times
    #[arg(long, value_name = "NAME")]
    passthrough_request_headers: Option<Vec<String>>,
    /// A header that the mount may set; may be given several times
    #[arg(long, value_name = "NAME")]
    allowed_response_headers: Option<Vec<String>>,
    /// A managed key that the mount may use; may be given several times
    #[arg(long, value_name = "NAME")]
    allowed_managed_keys: Option<Vec<String>>,
    /// Auth methods: default-service, default-batch, service or batch
    #[arg(long, value_name = "TYPE")]
    token_type: Option<String>,
}

/// The same as members of a body.
#[derive(Serialize)]
pub(super) struct Tuning<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    default_lease_ttl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_lease_ttl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listing_visibility: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_non_hmac_request_keys: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_non_hmac_response_keys: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passthrough_request_headers: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_response_headers: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_managed_keys: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'a str>,
}

impl TuningArgs {
    pub(super) fn body(&self) -> Tuning<'_> {
        Tuning {
            default_lease_ttl: self.default_lease_ttl.as_deref(),
            max_lease_ttl: self.max_lease_ttl.as_deref(),
            listing_visibility: self.listing_visibility.as_deref(),
            audit_non_hmac_request_keys: self.audit_non_hmac_request_keys.as_deref(),
            audit_non_hmac_response_keys: self.audit_non_hmac_response_keys.as_deref(),
            passthrough_request_headers: self.passthrough_request_headers.as_deref(),
            allowed_response_headers: self.allowed_response_headers.as_deref(),
            allowed_managed_keys: self.allowed_managed_keys.as_deref(),
            token_type: self.token_type.as_deref(),
        }
    }
}

/// Arguments of `tune`.
#[derive(Args)]
pub(crate) struct TuneArgs {
    /// A remark for people
    #[arg(long)]
    description: Option<String>,
    /// The version of the engine: 2 makes a kv mount keep versions
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// Options of the engine; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
    #[command(flatten)]
    tuning: TuningArgs,
    #[command(flatten)]
    lockout: LockoutArgs,
    /// The mount's path
    path: String,
}

/// When names that fail to log in are locked.
#[derive(Args)]
#[command(next_help_heading = "Auth methods")]
struct LockoutArgs {
    /// Failed logins after which a name is locked
    #[arg(long, value_name = "N")]
    user_lockout_threshold: Option<u64>,
    /// How long it is locked
    #[arg(long, value_name = "DURATION", value_parser = span)]
    user_lockout_duration: Option<String>,
    /// After how long without a failure it counts from the beginning
    #[arg(long, value_name = "DURATION", value_parser = span)]
    user_lockout_counter_reset_duration: Option<String>,
    /// Whether no name is locked
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    user_lockout_disable: Option<bool>,
}

/// The same as members of a body.
#[derive(Serialize)]
struct Lockout<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    lockout_threshold: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lockout_duration: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lockout_counter_reset_duration: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lockout_disable: Option<bool>,
}

impl LockoutArgs {
    /// None where nothing is to change.
    fn body(&self) -> Option<Lockout<'_>> {
        let any = self.user_lockout_threshold.is_some()
            || self.user_lockout_duration.is_some()
            || self.user_lockout_counter_reset_duration.is_some()
            || self.user_lockout_disable.is_some();
        any.then(|| Lockout {
            // Servers take this number as a text.
            lockout_threshold: self.user_lockout_threshold.map(|number| number.to_string()),
            lockout_duration: self.user_lockout_duration.as_deref(),
            lockout_counter_reset_duration: self.user_lockout_counter_reset_duration.as_deref(),
            lockout_disable: self.user_lockout_disable,
        })
    }
}

#[derive(Serialize)]
struct Tune<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    options: BTreeMap<String, String>,
    #[serde(flatten)]
    tuning: Tuning<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_lockout_config: Option<Lockout<'a>>,
}

/// Changes a mount's tuning.
pub(crate) fn run(session: &Session, class: Class, args: TuneArgs) -> Result<(), CliError> {
    let mut options: BTreeMap<_, _> = args.options.into_iter().collect();
    if let Some(version) = args.version {
        options.insert("version".to_owned(), version.to_string());
    }
    let user_lockout_config = args.lockout.body();
    if user_lockout_config.is_some() && class == Class::Secrets {
        return Err(CliError::Usage(
            "-user-lockout-… are for auth methods: nobody logs in to a secrets engine".to_owned(),
        ));
    }
    let body = Tune {
        description: args.description.as_deref(),
        options,
        tuning: args.tuning.body(),
        user_lockout_config,
    };
    let path = args.path.trim_matches('/');
    // Auth methods are tuned below sys/mounts too, where every token that may tune reaches them.
    let place = format!("sys/mounts/{}{path}/tune", class.root());
    let answer = session.call(&Request::write(&place, &body)?)?;
    logical::show_warnings(&answer)?;
    output::line(&format!("Success! Tuned the {} at: {path}/", class.noun()))
}
