//! Configuration: from files to what a server is started with.
//!
//! ```text
//!   FILE or DIR/*.hcl, *.json ─► Raw (as written, with places) ─► Config (as used)
//! ```

mod environment;
mod faults;
mod forwarded;
mod initialize;
mod kms;
mod known;
pub mod listener;
mod lockout;
mod migration;
pub mod place;
mod raw;
pub mod resolved;
mod seal;
mod section;
mod snapshots;
mod suites;

use std::path::{Path, PathBuf};

pub use forwarded::Forwarded;
pub use kms::KmsLibrary;
pub use listener::{Limits, Listener, Tcp, Tls, Unix};
pub use place::{ConfigError, Place, Placed};
pub use resolved::{Audit, Config, Format, Level, Log, Storage};
pub use seal::Seal;
pub use snapshots::Snapshots;

use raw::Raw;

impl Config {
    /// Reads files and folders. Of a folder, all `*.hcl` and `*.json` in the order of their names
    /// count; what comes later is merged into what came before. Then the environment:
    /// `KEYFOLD_`, `BAO_` or `VAULT_` before `API_ADDR`, `LOG_LEVEL`, `LOG_FORMAT`,
    /// `PG_CONNECTION_URL` wins over files, and before `SEAL_TYPE` adds a seal; `ETCD_ADDR`,
    /// `ETCD_USERNAME` and `ETCD_PASSWORD` win over them, too.
    pub fn load(paths: &[PathBuf]) -> Result<Self, ConfigError> {
        Self::resolve(gather(paths)?)
    }

    /// Reads a text, HCL or JSON; errors call it `name`.
    pub fn parse(text: &str, name: &Path) -> Result<Self, ConfigError> {
        Self::resolve(Raw::parse(text, name)?)
    }
}

/// What files, folders and the environment say.
fn gather(paths: &[PathBuf]) -> Result<Raw, ConfigError> {
    let mut raw = Raw::default();
    for path in paths {
        for file in files(path)? {
            raw.merge(Raw::parse(&read(&file)?, &file)?)?;
        }
    }
    environment::apply(&mut raw, |name| std::env::var(name).ok());
    Ok(raw)
}

/// The file itself, or what a folder has to offer.
fn files(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file
            .extension()
            .is_some_and(|kind| kind == "hcl" || kind == "json")
            && file.is_file()
        {
            files.push(file);
        }
    }
    if files.is_empty() {
        let message = format!("{}: no *.hcl and no *.json in this folder", path.display());
        return Err(ConfigError::whole(message));
    }
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|source| ConfigError::Unreadable {
        path: file.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::listener::{Statuses, TlsVersion};
    use super::*;

    const PLAIN: &str = "storage \"inmem\" {}\nlistener \"tcp\" { tls_disable = true }\n";

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("k.hcl"))
    }

    fn error(text: &str) -> String {
        match parse(text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => error.to_string(),
        }
    }

    fn tcp(config: &Config) -> &Tcp {
        match &config.listeners[0] {
            Listener::Tcp(tcp) => tcp,
            Listener::Unix(_) => panic!("not tcp"),
        }
    }

    #[test]
    fn everything_at_once() {
        let config = parse(
            r#"
            api_addr = "https://keys.example:8200"
            cluster_name = "north"
            log_level = "WARN"
            log_format = "JSON"
            default_lease_ttl = "1h"
            max_lease_ttl = 7200
            pid_file = "/run/k.pid"
            audit_file_dir = "/var/log/k"
            allow_audit_log_prefixing = true
            storage "redb" { path = "store.redb" }
            listener "tcp" {
              address = "0.0.0.0:8300"
              tls_cert_file = "c.pem"
              tls_key_file = "k.pem"
              tls_min_version = "tls13"
              tls_client_ca_file = "ca.pem"
              tls_require_and_verify_client_cert = "true"
              max_request_size = 1024
              max_request_json_strings = 5000
              http_read_timeout = "5s"
              custom_response_headers {
                "default" = { "X-All" = ["a", "b"] }
                "4xx" = { "X-Missing" = ["so"] }
              }
            }
            listener "unix" { address = "/run/k.sock" socket_mode = "0660" socket_group = "keys" }
            audit "file" "to-file" { description = "d" options { file_path = "/a.log" mode = 0600 } }
            "#,
        )
        .unwrap();
        assert_eq!(
            config.api_addr.as_deref(),
            Some("https://keys.example:8200")
        );
        assert_eq!(config.cluster_name.as_deref(), Some("north"));
        assert_eq!(
            config.log,
            Log {
                level: Level::Warn,
                format: Format::Json
            }
        );
        assert_eq!(config.default_lease_ttl, Duration::from_secs(3600));
        assert_eq!(config.max_lease_ttl, Duration::from_secs(7200));
        assert_eq!(config.storage.value.kind, "redb");
        assert_eq!(config.storage.value.settings["path"].value, "store.redb");
        let tcp = tcp(&config);
        assert_eq!(tcp.address, "0.0.0.0:8300");
        let tls = tcp.tls.as_ref().unwrap();
        assert_eq!((tls.min, tls.max), (TlsVersion::Tls13, TlsVersion::Tls13));
        assert!(tls.client_cert_required);
        assert_eq!((tcp.limits.body, tcp.limits.json_strings), (1024, 5000));
        assert_eq!(tcp.limits.read_timeout, Duration::from_secs(5));
        assert_eq!(tcp.headers[0].value, "a; b");
        assert_eq!(tcp.headers[1].on, Statuses::Class(4));
        let Listener::Unix(unix) = &config.listeners[1] else {
            panic!("not unix")
        };
        assert_eq!(
            (unix.mode, unix.group.as_deref()),
            (Some(0o660), Some("keys"))
        );
        assert_eq!(config.audits[0].value.options["mode"], "0600");
        let rules = &config.audit_rules;
        assert_eq!(rules.file_dir.as_deref(), Some(Path::new("/var/log/k")));
        assert!(rules.prefix && !rules.lax);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }

    #[test]
    fn json_with_old_and_useless_names() {
        let config = parse(
            r#"{"backend": {"redb": {"path": "d"}}, "disable_mlock": true, "ui": true,
                "listener": {"tcp": {"address": "127.0.0.1:1", "tls_disable": 1}},
                "default_lease_ttl": "30s", "max_lease_ttl": "1h"}"#,
        )
        .unwrap();
        assert_eq!(config.storage.value.kind, "redb");
        assert_eq!(config.default_lease_ttl, Duration::from_secs(30));
        assert!(tcp(&config).tls.is_none());
        assert_eq!(config.warnings.len(), 2);
        assert!(
            config.warnings[0].contains("k.hcl:1: \"disable_mlock\""),
            "{:?}",
            config.warnings
        );
    }

    #[test]
    fn the_smallest_has_the_documented_defaults() {
        let config = parse(PLAIN).unwrap();
        assert_eq!(tcp(&config).address, "127.0.0.1:8200");
        assert_eq!(tcp(&config).limits, Limits::default());
        assert_eq!(config.default_lease_ttl, Duration::from_secs(768 * 3600));
        assert_eq!(config.log, Log::default());
    }

    #[test]
    fn mistakes_name_file_and_line() {
        let table = [
            ("banana = 1\n", "k.hcl:3: unknown setting \"banana\""),
            ("log_level = \"loud\"\n", "k.hcl:3: \"log_level\" has to be"),
            (
                "\nlog_level = [1]\n",
                "k.hcl:4: \"log_level\" has to be a string",
            ),
            (
                "ui = true\napi_addr = \"a\"\n",
                "k.hcl:4: \"api_addr\" has to begin with",
            ),
            (
                "audit_file_dir = \"logs\"\n",
                "k.hcl:3: \"audit_file_dir\" has to be",
            ),
            (
                "default_lease_ttl = \"soon\"\n",
                "k.hcl:3: \"default_lease_ttl\" has to be a duration",
            ),
            (
                "default_lease_ttl = \"-1h\"\n",
                "k.hcl:3: \"default_lease_ttl\" has to be a duration",
            ),
            (
                "default_lease_ttl = \"800h\"\n",
                "k.hcl:3: \"default_lease_ttl\" is longer than",
            ),
            (
                "shutdown_delay = \"soon\"\n",
                "k.hcl:3: \"shutdown_delay\" has to be a duration",
            ),
            (
                "max_lease_ttl = 0\n",
                "k.hcl:3: \"max_lease_ttl\" has to be longer",
            ),
            (
                "log_level = \"info\"\nlog_level = \"warn\"\n",
                "k.hcl:4: \"log_level\" is set twice",
            ),
            ("storage \"redb\" {}\n", "k.hcl:3: a server has one storage"),
            ("backend \"redb\" {}\n", "k.hcl:3: a server has one storage"),
            (
                "entropy \"seal\" {}\n",
                "k.hcl:3: \"entropy\" is not offered",
            ),
            (
                "listener \"tcp\" { tls_disable = true\n proxy_protocol_behavior = \"use_always\" }\n",
                "k.hcl:4: \"proxy_protocol_behavior\" is not offered",
            ),
            (
                "listener \"tcp\" { tls_cert_file = \"c\" tls_key_file = \"k\"\n \
                 tls_cipher_suites = \"TLS_RSA_WITH_RC4_128_SHA\" }\n",
                "k.hcl:4: \"tls_cipher_suites\": \"TLS_RSA_WITH_RC4_128_SHA\" is not offered",
            ),
            (
                "listener \"tcp\" { tls_cert_file = \"c\" tls_key_file = \"k\" tls_max_version = \"tls12\"\n \
                 tls_cipher_suites = \"TLS_AES_128_GCM_SHA256\" }\n",
                "k.hcl:4: \"tls_cipher_suites\" names none of TLS 1.2",
            ),
            (
                "listener \"unix\" { address = \"/s\" x_forwarded_for_authorized_addrs = \"::1\" }\n",
                "k.hcl:3: \"x_forwarded_for_authorized_addrs\" does not belong",
            ),
            (
                "audit \"file\" \"a\" { x = 1 }\n",
                "k.hcl:3: unknown setting \"x\" of audit",
            ),
            (
                "audit \"file\" \"a\" {}\naudit \"file\" \"a/\" {}\n",
                "k.hcl:4: a second audit device",
            ),
            (
                "listener \"pigeon\" {}\n",
                "k.hcl:3: unknown listener \"pigeon\"",
            ),
            (
                "listener \"tcp\" {\n tls_disabel = 1\n}\n",
                "k.hcl:4: unknown setting \"tls_disabel\"",
            ),
            (
                "listener \"tcp\" {\n tls_disable = 2\n}\n",
                "k.hcl:4: \"tls_disable\" of listener",
            ),
            (
                "listener \"tcp\" {}\n",
                "k.hcl:3: listener \"tcp\" needs a \"tls_cert_file\"",
            ),
            (
                "listener \"tcp\" { tls_disable = true\n max_request_size = -1 }\n",
                "k.hcl:4: \"max_request_size\" of listener \"tcp\" has to be a number",
            ),
            (
                "listener \"unix\" {}\n",
                "k.hcl:3: listener \"unix\" needs an \"address\"",
            ),
            (
                "listener \"unix\" {\n address = \"a\"\n socket_mode = \"rw\"\n}\n",
                "k.hcl:5: \"socket_mode\" has to be",
            ),
            (
                "listener \"tcp\" {\n socket_mode = \"0600\"\n}\n",
                "k.hcl:4: \"socket_mode\" does not",
            ),
            (
                "listener \"tcp\" {\n tls_cert_file = \"c\" tls_key_file = \"k\"\n \
                 tls_min_version = \"ssl3\"\n}\n",
                "k.hcl:5: \"tls_min_version\" has to be",
            ),
            (
                "listener \"tcp\" { tls_cert_file = \"c\" tls_key_file = \"k\" \
                 tls_require_and_verify_client_cert = true }\n",
                "k.hcl:3: \"tls_require_and_verify_client_cert\" needs",
            ),
            (
                "listener \"tcp\" { tls_disable = true\n custom_response_headers { \"9xx\" = { \
                 \"A\" = [\"b\"] } } }\n",
                "k.hcl:4: \"9xx\" is no status",
            ),
            ("storage = 1\n", "k.hcl:3: "),
            ("= = =\n", "k.hcl:3: "),
        ];
        for (text, wanted) in table {
            let error = error(&format!("{PLAIN}{text}"));
            assert!(error.starts_with(wanted), "{text:?}: {error}");
        }
    }

    #[test]
    fn no_listener_and_no_storage() {
        assert!(error("storage \"inmem\" {}").starts_with("no listener"));
        assert!(error("listener \"tcp\" { tls_disable = true }").starts_with("no storage"));
        assert!(error("").starts_with("no storage"));
    }

    #[test]
    fn old_tls_is_a_warning() {
        let text = "storage \"inmem\" {}\nlistener \"tcp\" {\n tls_cert_file = \"c\"\n \
                    tls_key_file = \"k\"\n tls_min_version = \"tls10\"\n}";
        let config = parse(text).unwrap();
        assert_eq!(tcp(&config).tls.as_ref().unwrap().min, TlsVersion::Tls12);
        assert!(config.warnings[0].starts_with("k.hcl:5: TLS before 1.2"));
    }

    #[test]
    fn settings_of_tls_without_effect_are_warnings() {
        let suite = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
        let listener = |inner: &str| {
            let text = format!("storage \"inmem\" {{}}\nlistener \"tcp\" {{\n{inner}\n}}");
            parse(&text).unwrap().warnings
        };
        let off = format!(
            "tls_disable = true\ntls_cipher_suites = \"{suite}\"\ntls_min_version = \"tls13\"\n\
             tls_require_and_verify_client_cert = true\nproxy_protocol_behavior = \"\""
        );
        let off = listener(&off);
        for (remark, wanted) in off.iter().zip([
            "k.hcl:5: \"tls_min_version\" has no effect: tls_disable",
            "k.hcl:4: \"tls_cipher_suites\" has no effect: tls_disable",
            "k.hcl:6: \"tls_require_and_verify_client_cert\" has no effect: tls_disable",
        ]) {
            assert!(remark.starts_with(wanted), "{remark}");
        }
        let newest = format!(
            "tls_cert_file = \"c\"\ntls_key_file = \"k\"\ntls_min_version = \"tls13\"\n\
             tls_cipher_suites = \"{suite}\""
        );
        let newest = listener(&newest);
        assert!(
            newest[0].starts_with("k.hcl:6: \"tls_cipher_suites\" has no effect"),
            "{newest:?}"
        );
        assert_eq!((off.len(), newest.len()), (3, 1));
    }

    #[test]
    fn a_folder_is_merged_in_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "b.hcl",
            "log_level = \"debug\"\nlistener \"unix\" { address = \"/s\" }",
        );
        write("a.hcl", &format!("{PLAIN}log_level = \"error\""));
        write("c.json", r#"{"cluster_name": "c"}"#);
        write("d.txt", "this is no configuration");
        let config = Config::load(&[folder.path().to_owned()]).unwrap();
        assert_eq!(config.log.level, Level::Debug);
        assert_eq!(config.cluster_name.as_deref(), Some("c"));
        assert!(matches!(
            config.listeners[..],
            [Listener::Tcp(_), Listener::Unix(_)]
        ));
        assert!(config.warnings[0].contains("b.hcl:1: \"log_level\" replaces that of"));

        write("e.hcl", "storage \"inmem\" {}");
        let error = Config::load(&[folder.path().to_owned()])
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("e.hcl:1: a server has one storage"),
            "{error}"
        );
    }

    #[test]
    fn missing_files_and_empty_folders_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Config::load(&[folder.path().to_owned()])
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("no *.hcl"), "{error}");
        let missing = folder.path().join("missing.hcl");
        let error = Config::load(std::slice::from_ref(&missing))
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with(missing.to_str().unwrap()), "{error}");
    }
}
