//! Settings that Vault or OpenBao know and this server has no use for. They are taken with a
//! warning, so that a configuration written for those starts here; any other name is an error.

/// At the top level.
pub const TOP: &[&str] = &[
    "administrative_namespace_path",
    "allow_unauthenticated_workflows",
    "cache_size",
    "cluster_addr",
    "cluster_cipher_suites",
    "default_max_request_duration",
    "detect_deadlocks",
    "disable_cache",
    "disable_clustering",
    "disable_indexing",
    "disable_mlock",
    "disable_performance_standby",
    "disable_printable_check",
    "disable_sealwrap",
    "disable_sentinel_trace",
    "disable_standby_reads",
    "enable_multiseal",
    "enable_response_header_hostname",
    "enable_response_header_raft_node_id",
    "experiments",
    "ha_storage",
    "imprecise_lease_role_tracking",
    "introspection_endpoint",
    "license_path",
    "log_file",
    "log_requests_level",
    "log_rotate_bytes",
    "log_rotate_duration",
    "log_rotate_max_files",
    "plugin_auto_download",
    "plugin_auto_register",
    "plugin_directory",
    "plugin_download_behavior",
    "plugin_download_max_size",
    "plugin_file_permissions",
    "plugin_file_uid",
    "plugin_tmpdir",
    "reporting",
    "service_registration",
    "telemetry",
    "ui",
    "unsafe_cross_namespace_identity",
    "unsafe_relative_paths",
];

/// At the top level, and wrong to leave out in silence: a server that ignored them would not keep
/// or protect what the operator believes it does.
pub const REFUSED: &[(&str, &str)] = &[
    (
        "entropy",
        "this version takes randomness from the operating system only",
    ),
    ("plugin", "this version runs no plugins"),
    ("replication", "this version does not replicate"),
];

/// In a listener of any kind.
pub const LISTENER: &[&str] = &[
    "cluster_address",
    "cors_allow_credentials",
    "cors_allowed_headers",
    "cors_allowed_origins",
    "cors_enabled",
    "http_read_header_timeout",
    "http_write_timeout",
    "inflight_requests_logging",
    "max_request_duration",
    "max_request_json_memory",
    "profiling",
    "proxy_protocol_authorized_addrs",
    "purpose",
    "role",
    "tls_auto_reload",
    "tls_key_exchange_preferences",
    "x_forwarded_for_client_cert_decoders",
    "x_forwarded_for_client_cert_header",
];

/// In a listener, and refused like [`REFUSED`]: whoever connects would be taken for the client.
pub const LISTENER_REFUSED: &[(&str, &str)] = &[(
    "proxy_protocol_behavior",
    "a proxy names its client in X-Forwarded-For, see \"x_forwarded_for_authorized_addrs\"",
)];

/// In the `telemetry` of a listener.
pub const LISTENER_TELEMETRY: &[&str] = &["disallow_metrics"];

/// In an `audit` block.
pub const AUDIT: &[&str] = &["local"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_in_order_and_without_duplicates() {
        for list in [TOP, LISTENER, AUDIT] {
            assert!(list.windows(2).all(|pair| pair[0] < pair[1]));
        }
        assert!(REFUSED.iter().all(|(key, _)| !TOP.contains(key)));
        assert!((LISTENER_REFUSED.iter()).all(|(key, _)| !LISTENER.contains(key)));
    }
}
