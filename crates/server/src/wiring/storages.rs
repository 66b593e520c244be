//! The storages that can be configured, each with its settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyfold_api::duration;
use keyfold_backends::storage::etcd::{self, Etcd};
use keyfold_backends::storage::postgres::{self, Postgres};
use keyfold_backends::storage::{Memory, Options, Redb};
use keyfold_core::ports::storage::Storage;
use keyfold_secret::Secret;

use crate::config::{self, Config, ConfigError, Placed};

type Settings = BTreeMap<String, Placed<String>>;

/// A storage whose settings are sound.
enum Store<'a> {
    Memory,
    Redb(&'a Placed<String>, Options),
    Postgres(Box<postgres::Options>),
    Etcd(Box<etcd::Options>),
}

/// Of `storage "postgresql"`.
const POSTGRES: &[&str] = &[
    "connection_url",
    "freshness_bound",
    "max_connect_retries",
    "max_parallel",
    "skip_create_table",
    "table",
];
/// What others know there: all nodes serve, and each takes the connections that it needs.
const POSTGRES_UNUSED: &[&str] = &[
    "ha_enabled",
    "ha_table",
    "max_idle_connections",
    "transaction_max_parallel",
];

/// Of `storage "etcd"`; some have two names.
const ETCD: &[&str] = &[
    "address",
    "endpoints",
    "freshness_bound",
    "password",
    "path",
    "prefix",
    "tls_ca_file",
    "tls_cert_file",
    "tls_key_file",
    "tls_server_name",
    "username",
];
/// What others know there.
const ETCD_UNUSED: &[&str] = &[
    "etcd_api",
    "ha_enabled",
    "lock_timeout",
    "max_receive_size",
    "request_timeout",
    "sync",
];

/// What is wrong with the storage. Nothing is opened, nothing is asked.
pub fn fault(config: &Config) -> Option<ConfigError> {
    store(&config.storage).err()
}

/// Where a store is to be made that is not there yet.
pub fn to_be_made(config: &Placed<config::Storage>) -> Option<&Path> {
    match store(config) {
        Ok(Store::Redb(path, _)) => {
            let path = Path::new(&path.value);
            (!Redb::is_at(path)).then_some(path)
        }
        _ => None,
    }
}

/// Opens the storage that is configured; other nodes are told that clients reach this one at
/// `address`.
pub async fn storage(config: &Config, address: &str) -> Result<Arc<dyn Storage>, ConfigError> {
    match store(&config.storage)? {
        Store::Memory => Ok(Arc::new(Memory::new())),
        Store::Redb(path, options) => {
            let opened = Redb::open_with(&path.value, options);
            Ok(Arc::new(
                opened.map_err(|error| path.wrong(error.to_string()))?,
            ))
        }
        Store::Postgres(mut options) => {
            warn_of(&config.storage, POSTGRES_UNUSED);
            options.cluster = config.cluster_name.clone();
            options.host = host();
            address.clone_into(&mut options.address);
            env!("CARGO_PKG_VERSION").clone_into(&mut options.version);
            let opened = Postgres::open(*options).await;
            Ok(Arc::new(opened.map_err(|error| {
                config.storage.wrong(error.to_string())
            })?))
        }
        Store::Etcd(mut options) => {
            warn_of(&config.storage, ETCD_UNUSED);
            options.cluster = config.cluster_name.clone();
            options.host = host();
            address.clone_into(&mut options.address);
            env!("CARGO_PKG_VERSION").clone_into(&mut options.version);
            let opened = Etcd::open(*options).await;
            Ok(Arc::new(opened.map_err(|error| {
                config.storage.wrong(error.to_string())
            })?))
        }
    }
}

/// Tells of settings that are taken and do nothing.
fn warn_of(config: &Placed<config::Storage>, unused: &[&str]) {
    for name in unused {
        if let Some(value) = config.value.settings.get(*name) {
            let remark = value.remark(format!("\"{name}\" has no effect here"));
            tracing::warn!("{remark}");
        }
    }
}

/// What this machine calls itself.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

fn store(config: &Placed<config::Storage>) -> Result<Store<'_>, ConfigError> {
    let settings = &config.value.settings;
    match config.value.kind.as_str() {
        "inmem" => known(config, &[]).map(|()| Store::Memory),
        "redb" => {
            known(config, &["path", "cache_size", "verify"])?;
            let Some(path) = settings.get("path").filter(|path| !path.value.is_empty()) else {
                return Err(config.wrong("storage \"redb\" needs a \"path\""));
            };
            let mut options = Options::default();
            if let Some(bytes) = number(settings, "cache_size", "a number of bytes")? {
                options.cache_bytes = bytes;
            }
            if let Some(verify) = flag(settings, "verify")? {
                options.verify = verify;
            }
            Ok(Store::Redb(path, options))
        }
        "postgresql" => Ok(Store::Postgres(Box::new(database(config)?))),
        "etcd" => Ok(Store::Etcd(Box::new(cluster(config)?))),
        kind => {
            let message = format!(
                "storage \"{kind}\" is not offered: there are redb, postgresql, etcd and inmem"
            );
            Err(config.wrong(message))
        }
    }
}

fn database(config: &Placed<config::Storage>) -> Result<postgres::Options, ConfigError> {
    known(config, &[POSTGRES, POSTGRES_UNUSED].concat())?;
    let settings = &config.value.settings;
    let text = |name: &str| settings.get(name).filter(|text| !text.value.is_empty());
    let Some(url) = text("connection_url") else {
        return Err(config.wrong(
            "storage \"postgresql\" needs a \"connection_url\", here or in KEYFOLD_PG_CONNECTION_URL",
        ));
    };
    let table = text("table").map_or(postgres::TABLE, |table| table.value.as_str());
    let var = |name: &str| std::env::var(name).ok();
    let options = postgres::Options::new(&url.value, table, &var);
    let mut options = options.map_err(|why| config.wrong(why))?;
    if let Some(most) = number(settings, "max_parallel", "a number of connections")? {
        options.max_parallel = most.max(1);
    }
    if let Some(retries) = number(settings, "max_connect_retries", "a number")? {
        options.connect_retries = retries;
    }
    if let Some(skips) = flag(settings, "skip_create_table")? {
        options.creates = !skips;
    }
    if let Some(bound) = freshness(settings, postgres::Options::FRESHNESS)? {
        options.freshness = bound;
    }
    Ok(options)
}

fn cluster(config: &Placed<config::Storage>) -> Result<etcd::Options, ConfigError> {
    known(config, &[ETCD, ETCD_UNUSED].concat())?;
    let settings = &config.value.settings;
    let text = |name: &str| settings.get(name).filter(|text| !text.value.is_empty());
    let either = |name: &str, other: &str| match (text(name), text(other)) {
        (Some(_), Some(twice)) => {
            Err(twice.wrong(format!("\"{other}\" is another name of \"{name}\"")))
        }
        (one, other) => Ok(one.or(other)),
    };
    let Some(endpoints) = either("endpoints", "address")? else {
        return Err(config.wrong("storage \"etcd\" needs \"endpoints\", or ETCD_ADDR"));
    };
    let prefix = either("prefix", "path")?.map_or(etcd::PREFIX, |prefix| prefix.value.as_str());
    let file = |name: &str| text(name).map(|file| PathBuf::from(&file.value));
    let tls = etcd::Tls {
        ca_file: file("tls_ca_file"),
        cert_file: file("tls_cert_file"),
        key_file: file("tls_key_file"),
        server_name: text("tls_server_name").map(|name| name.value.clone()),
    };
    let options = etcd::Options::new(&endpoints.value, prefix, &tls);
    let mut options = options.map_err(|why| config.wrong(why))?;
    options = match (text("username"), text("password")) {
        (None, None) => options,
        (Some(name), Some(password)) => {
            let password = Secret::new(password.value.clone());
            options.with_user(name.value.clone(), password)
        }
        _ => return Err(config.wrong("\"username\" and \"password\" go together")),
    };
    if let Some(bound) = freshness(settings, etcd::Options::FRESHNESS)? {
        options.freshness = bound;
    }
    Ok(options)
}

/// How long a node that hears nothing may go on answering from memory.
fn freshness(
    settings: &Settings,
    (least, most): (Duration, Duration),
) -> Result<Option<Duration>, ConfigError> {
    let Some(bound) = settings.get("freshness_bound") else {
        return Ok(None);
    };
    let found = bound_of(&bound.value).filter(|bound| (least..=most).contains(bound));
    let wrong =
        || bound.wrong("\"freshness_bound\" has to be a duration from \"100ms\" to \"10s\"");
    found.map(Some).ok_or_else(wrong)
}

/// A duration, of milliseconds too.
fn bound_of(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => duration::parse(text).ok()?.to_duration(),
    }
}

fn known(config: &Placed<config::Storage>, names: &[&str]) -> Result<(), ConfigError> {
    let unknown = config
        .value
        .settings
        .iter()
        .find(|(name, _)| !names.contains(&name.as_str()));
    unknown.map_or(Ok(()), |(name, value)| {
        let kind = &config.value.kind;
        Err(value.wrong(format!("unknown setting \"{name}\" of storage \"{kind}\"")))
    })
}

fn number(settings: &Settings, name: &str, what: &str) -> Result<Option<usize>, ConfigError> {
    let Some(text) = settings.get(name) else {
        return Ok(None);
    };
    let wrong = || text.wrong(format!("\"{name}\" has to be {what}"));
    text.value.parse().map(Some).map_err(|_| wrong())
}

fn flag(settings: &Settings, name: &str) -> Result<Option<bool>, ConfigError> {
    let Some(text) = settings.get(name) else {
        return Ok(None);
    };
    match text.value.as_str() {
        "true" | "1" => Ok(Some(true)),
        "false" | "0" => Ok(Some(false)),
        _ => Err(text.wrong(format!("\"{name}\" has to be true or false"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Listener, Tcp};

    fn config(kind: &str, settings: &[(&str, &str)]) -> Config {
        Config::embedded(kind, settings, Listener::Tcp(Tcp::plain("127.0.0.1:0")))
    }

    async fn error(kind: &str, settings: &[(&str, &str)]) -> String {
        let opened = storage(&config(kind, settings), "").await;
        opened.err().unwrap().to_string()
    }

    #[tokio::test]
    async fn storages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let path = path.to_str().unwrap();
        let memory = storage(&config("inmem", &[]), "").await.unwrap();
        assert_eq!(memory.kind(), "inmem");
        let redb = config("redb", &[("path", path)]);
        let open = storage(&redb, "").await.unwrap();
        assert_eq!(open.kind(), "redb");
        let second = error("redb", &[("path", path)]).await;
        assert!(second.contains("in use by another"), "{second}");
    }

    #[tokio::test]
    async fn mistakes() {
        let raft = error("raft", &[]).await;
        assert!(
            raft.starts_with("storage \"raft\" is not offered"),
            "{raft}"
        );
        let lacking = error("redb", &[]).await;
        assert!(lacking.contains("needs a \"path\""), "{lacking}");
        let unknown = error("inmem", &[("path", "x")]).await;
        assert!(unknown.contains("unknown setting \"path\""), "{unknown}");
        let cache = [("path", "/nonexistent/x"), ("cache_size", "big")];
        let cache = error("redb", &cache).await;
        assert!(
            cache.contains("\"cache_size\" has to be a number"),
            "{cache}"
        );
    }

    #[test]
    fn mistakes_about_a_database() {
        let url = ("connection_url", "postgres://bob:hunter2@localhost/d");
        for (settings, word) in [
            (&[] as &[(&str, &str)], "needs a \"connection_url\""),
            (&[("connection_url", "localhost")], "begin with postgres://"),
            (&[url, ("tabel", "t")], "unknown setting \"tabel\""),
            (&[url, ("table", "a b")], "\"table\""),
            (
                &[url, ("max_parallel", "all")],
                "\"max_parallel\" has to be",
            ),
            (
                &[url, ("skip_create_table", "no")],
                "\"skip_create_table\" has to be",
            ),
            (
                &[url, ("freshness_bound", "5ms")],
                "\"freshness_bound\" has to be",
            ),
            (
                &[url, ("freshness_bound", "2m")],
                "\"freshness_bound\" has to be",
            ),
            (
                &[url, ("freshness_bound", "soon")],
                "\"freshness_bound\" has to be",
            ),
        ] {
            let error = fault(&config("postgresql", settings)).unwrap().to_string();
            assert!(error.contains(word), "{settings:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let sound = [url, ("freshness_bound", "500ms"), ("ha_enabled", "true")];
        assert!(fault(&config("postgresql", &sound)).is_none());
    }

    #[test]
    fn mistakes_about_a_cluster() {
        let at = ("endpoints", "http://localhost:2379");
        for (settings, word) in [
            (&[] as &[(&str, &str)], "needs \"endpoints\""),
            (&[("endpoints", "localhost")], "begin with https://"),
            (
                &[("address", "http://bob:hunter2@h:1")],
                "no place for a password",
            ),
            (
                &[at, ("address", "http://h:1")],
                "another name of \"endpoints\"",
            ),
            (
                &[at, ("prefix", "a"), ("path", "b")],
                "another name of \"prefix\"",
            ),
            (&[at, ("prefix", "a//b")], "\"prefix\""),
            (&[at, ("endpoint", "h")], "unknown setting \"endpoint\""),
            (&[at, ("password", "hunter2")], "go together"),
            (&[at, ("username", "bob")], "go together"),
            (&[at, ("tls_key_file", "/nonexistent")], "go together"),
            (&[at, ("tls_ca_file", "/nonexistent")], "\"tls_ca_file\""),
            (
                &[at, ("freshness_bound", "1h")],
                "\"freshness_bound\" has to be",
            ),
        ] {
            let error = fault(&config("etcd", settings)).unwrap().to_string();
            assert!(error.contains(word), "{settings:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let plain = [
            ("address", "http://h:1,http://i:1"),
            ("path", "vault/"),
            ("sync", "true"),
        ];
        assert!(fault(&config("etcd", &plain)).is_none());
    }
}
