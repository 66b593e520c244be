//! What this server is made of: the only file that names storages, engines and audit devices.
//! A new one is its folder in `backends` and a line here.

mod seals;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use keyfold_backends::audit;
use keyfold_backends::auth::{approle, jwt, userpass};
use keyfold_backends::engines::{kv, transit};
use keyfold_backends::managed::pkcs11::Pkcs11Keys;
use keyfold_backends::storage::{Memory, Options, Redb};
use keyfold_core::audit::{AuditSetup, DeviceSpec};
use keyfold_core::mounts::Kinds;
use keyfold_core::ports::audit::{AuditKind, Origin};
use keyfold_core::ports::managed::ManagedKind;
use keyfold_core::ports::storage::Storage;

use crate::config::{self, Config, ConfigError, Placed};
use crate::web::Web;

pub use self::seals::{seals, seals_anew, seals_of_command};
/// What a transit key answers that has a public half only.
pub use keyfold_backends::engines::transit::NO_PRIVATE_HALF;

/// What can be mounted.
pub const KINDS: Kinds = Kinds {
    engines: &[transit::KIND, kv::KIND, kv::GENERIC],
    auths: &[approle::KIND, userpass::KIND, jwt::KIND, jwt::OIDC],
    fetch: &Web,
};

/// Loggers of what is made here, and the part of the program that each is for.
pub const LOGGERS: [(&str, &str); 4] = [
    ("auth", "keyfold_backends::auth"),
    ("seal", "keyfold_backends::seals"),
    ("secrets", "keyfold_backends::engines"),
    ("storage", "keyfold_backends::storage"),
];

/// What can keep audit lines.
pub static AUDIT: &[AuditKind] = &audit::KINDS;

/// Devices whose keys may be used: those that the configured libraries lead to.
pub fn managed(config: &Config) -> Vec<Arc<dyn ManagedKind>> {
    let libraries = config.kms_libraries.iter();
    let libraries = libraries.map(|library| (&*library.name, &*library.path));
    vec![Arc::new(Pkcs11Keys::new(libraries))]
}

type Settings = BTreeMap<String, Placed<String>>;

/// A storage whose settings are sound.
enum Store<'a> {
    Memory,
    Redb(&'a Placed<String>, Options),
}

/// What is wrong with kinds and their settings. Nothing is opened, nothing is asked.
pub fn faults(config: &Config) -> Vec<ConfigError> {
    let mut faults: Vec<_> = store(&config.storage).err().into_iter().collect();
    let audits = config.audits.iter();
    faults.extend(audits.filter_map(|audit| audit_kind(audit).err()));
    faults.extend(seals::faults(config));
    faults
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

/// Opens the storage that is configured.
pub fn storage(config: &Placed<config::Storage>) -> Result<Arc<dyn Storage>, ConfigError> {
    match store(config)? {
        Store::Memory => Ok(Arc::new(Memory::new())),
        Store::Redb(path, options) => {
            let opened = Redb::open_with(&path.value, options);
            Ok(Arc::new(
                opened.map_err(|error| path.wrong(error.to_string()))?,
            ))
        }
    }
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
            if let Some(bytes) = number(settings, "cache_size")? {
                options.cache_bytes = bytes;
            }
            if let Some(verify) = flag(settings, "verify")? {
                options.verify = verify;
            }
            Ok(Store::Redb(path, options))
        }
        kind => {
            let message = format!("storage \"{kind}\" is not offered: there are redb and inmem");
            Err(config.wrong(message))
        }
    }
}

fn audit_kind(config: &Placed<config::Audit>) -> Result<(), ConfigError> {
    let kind = &config.value.kind;
    let kinds: Vec<_> = AUDIT.iter().map(|kind| kind.name).collect();
    if kinds.contains(&kind.as_str()) {
        return Ok(());
    }
    let kinds = kinds.join(", ");
    Err(config.wrong(format!(
        "audit \"{kind}\" is not offered: there are {kinds}"
    )))
}

/// Opens an audit device that is configured.
pub fn audit_device(config: &Placed<config::Audit>) -> Result<AuditSetup, ConfigError> {
    audit_kind(config)?;
    let audit = &config.value;
    let spec = DeviceSpec {
        kind: audit.kind.clone(),
        description: audit.description.clone(),
        options: audit.options.clone(),
        local: false,
    };
    AuditSetup::open(AUDIT, Origin::Operator, &audit.name, spec)
        .map_err(|why| config.wrong(format!("audit \"{}\": {why}", audit.name)))
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

fn number(settings: &Settings, name: &str) -> Result<Option<usize>, ConfigError> {
    let Some(text) = settings.get(name) else {
        return Ok(None);
    };
    let wrong = || text.wrong(format!("\"{name}\" has to be a number of bytes"));
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

    fn config(kind: &str, settings: &[(&str, &str)]) -> Placed<config::Storage> {
        let settings = settings.iter();
        let settings = settings.map(|(k, v)| ((*k).to_owned(), Placed::given((*v).to_owned())));
        Placed::given(config::Storage {
            kind: kind.to_owned(),
            settings: settings.collect(),
        })
    }

    fn error(kind: &str, settings: &[(&str, &str)]) -> String {
        storage(&config(kind, settings)).err().unwrap().to_string()
    }

    #[tokio::test]
    async fn storages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let path = path.to_str().unwrap();
        assert_eq!(storage(&config("inmem", &[])).unwrap().kind(), "inmem");
        let open = storage(&config("redb", &[("path", path)])).unwrap();
        assert_eq!(open.kind(), "redb");
        let second = error("redb", &[("path", path)]);
        assert!(second.contains("in use by another"), "{second}");
    }

    #[test]
    fn mistakes() {
        assert!(error("raft", &[]).starts_with("storage \"raft\" is not offered"));
        assert!(error("redb", &[]).contains("needs a \"path\""));
        assert!(error("inmem", &[("path", "x")]).contains("unknown setting \"path\""));
        let cache = error("redb", &[("path", "/nonexistent/x"), ("cache_size", "big")]);
        assert!(
            cache.contains("\"cache_size\" has to be a number"),
            "{cache}"
        );
    }

    #[test]
    fn audit_devices() {
        let audit = |kind: &str, options: &[(&str, &str)]| {
            let options = options
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            audit_device(&Placed::given(config::Audit {
                kind: kind.to_owned(),
                name: "a".to_owned(),
                description: String::new(),
                options: options.collect(),
            }))
        };
        assert!(audit("file", &[("file_path", "discard")]).is_ok());
        assert!(
            audit("file", &[])
                .err()
                .unwrap()
                .to_string()
                .starts_with("audit \"a\": ")
        );
        assert!(
            audit("pigeon", &[])
                .err()
                .unwrap()
                .to_string()
                .contains("not offered")
        );
    }
}
