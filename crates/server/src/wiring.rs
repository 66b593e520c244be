//! What this server is made of: the only file that names storages, engines and audit devices.
//! A new one is its folder in `backends` and a line here.

mod seals;
mod storages;

use std::sync::Arc;

use keyfold_backends::audit;
use keyfold_backends::auth::{approle, jwt, userpass};
use keyfold_backends::engines::{kv, transit};
use keyfold_backends::managed::pkcs11::Pkcs11Keys;
use keyfold_core::audit::{AuditSetup, DeviceSpec};
use keyfold_core::mounts::Kinds;
use keyfold_core::ports::audit::{AuditKind, Origin};
use keyfold_core::ports::managed::ManagedKind;

use crate::config::{self, Config, ConfigError, Placed};
use crate::web::Web;

pub use self::seals::{seals, seals_anew, seals_of_command};
pub use self::storages::{storage, to_be_made};
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

/// What is wrong with kinds and their settings. Nothing is opened, nothing is asked.
pub fn faults(config: &Config) -> Vec<ConfigError> {
    let mut faults: Vec<_> = storages::fault(config).into_iter().collect();
    let audits = config.audits.iter();
    faults.extend(audits.filter_map(|audit| audit_kind(audit).err()));
    faults.extend(seals::faults(config));
    faults
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

#[cfg(test)]
mod tests {
    use super::*;

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
