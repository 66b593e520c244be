//! Mounts as the wire shows them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::mounts::{Lockout, MountConfig, MountRecord};
use crate::tokens::{Limits, TokenType};

/// A mount as the wire shows it.
#[derive(Serialize)]
pub(in crate::sys) struct Shown<'a> {
    pub(in crate::sys) accessor: &'a str,
    config: ShownConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecation_status: Option<&'static str>,
    description: &'a str,
    external_entropy_access: bool,
    local: bool,
    pub(in crate::sys) options: &'a Option<BTreeMap<String, String>>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    user_lockout_config: Option<ShownLockout>,
}

#[derive(Serialize)]
struct ShownLockout {
    user_lockout_counter_reset_duration: u64,
    user_lockout_disable: bool,
    user_lockout_duration: u64,
    user_lockout_threshold: u64,
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
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allowed_managed_keys: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
}

#[derive(Serialize)]
pub(in crate::sys) struct ShownTune<'a> {
    default_lease_ttl: u64,
    max_lease_ttl: u64,
    force_no_cache: bool,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<&'a BTreeMap<String, String>>,
    #[serde(flatten)]
    more: Visible<'a>,
    #[serde(flatten)]
    user_lockout: Option<ShownLockout>,
}

pub(in crate::sys) fn show(record: &MountRecord) -> Shown<'_> {
    Shown {
        accessor: &record.accessor,
        config: ShownConfig {
            default_lease_ttl: record.config.default_lease_ttl,
            max_lease_ttl: record.config.max_lease_ttl,
            force_no_cache: record.config.force_no_cache,
            more: visible(record),
            user_lockout_config: record.config.user_lockout.as_ref().map(lockout),
        },
        deprecation_status: (!record.is_builtin()).then_some("supported"),
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

/// The tuning of a mount; times as they hold for it.
pub(in crate::sys) fn show_tune(record: &MountRecord, limits: Limits) -> ShownTune<'_> {
    ShownTune {
        default_lease_ttl: limits.default_ttl,
        max_lease_ttl: limits.max_ttl,
        force_no_cache: record.config.force_no_cache,
        description: &record.description,
        options: record.options.as_ref().filter(|o| !o.is_empty()),
        more: visible(record),
        user_lockout: record.config.user_lockout.as_ref().map(lockout),
    }
}

fn visible(record: &MountRecord) -> Visible<'_> {
    let config: &MountConfig = &record.config;
    Visible {
        listing_visibility: &config.listing_visibility,
        audit_non_hmac_request_keys: &config.audit_non_hmac_request_keys,
        audit_non_hmac_response_keys: &config.audit_non_hmac_response_keys,
        passthrough_request_headers: &config.passthrough_request_headers,
        allowed_response_headers: &config.allowed_response_headers,
        allowed_managed_keys: &config.allowed_managed_keys,
        token_type: record.is_auth().then(|| match config.token_type {
            TokenType::Default => TokenType::DefaultService.as_str(),
            kind => kind.as_str(),
        }),
    }
}

fn lockout(of: &Lockout) -> ShownLockout {
    ShownLockout {
        user_lockout_counter_reset_duration: of.counter_reset,
        user_lockout_disable: of.disable,
        user_lockout_duration: of.duration,
        user_lockout_threshold: of.threshold,
    }
}
