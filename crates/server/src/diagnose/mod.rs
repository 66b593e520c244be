//! `keyfold operator validate-config` and `operator diagnose`: would a server start with this?
//!
//! ```text
//!   files ─► configuration ─► storage ─► seals ─► listeners
//!            └ validate ┘
//! ```
//!
//! Nothing is changed: a store that is not there is not made, what is opened is closed again.

mod finding;
mod parts;

use std::io;
use std::path::PathBuf;

pub use self::finding::{Finding, Status};
use crate::config::{Config, ConfigError};
use crate::wiring;

/// A part that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The store, which only one process can have open.
    Storage,
    /// The seals, which are asked.
    Seals,
    /// The addresses, which only one process can listen on.
    Listeners,
}

/// What [`diagnose`] found.
pub struct Diagnosis {
    /// All checks.
    pub finding: Finding,
    /// The configuration and the store could be used: what is missing below was left out on
    /// purpose.
    pub complete: bool,
}

/// Looks at the configuration alone, as on another machine than the server's. A seal's secrets
/// that lie in files or variables have to be there.
pub fn validate(paths: &[PathBuf]) -> Finding {
    read("Validate Config", paths).1
}

/// Looks at all that a start needs. Makes its own runtime, so call it outside of any.
///
/// # Errors
///
/// The system gives no threads.
pub fn diagnose(paths: &[PathBuf], skipped: &[Part]) -> io::Result<Diagnosis> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(examine(paths, skipped)))
}

async fn examine(paths: &[PathBuf], skipped: &[Part]) -> Diagnosis {
    let (config, finding) = read("Parse Configuration", paths);
    let mut children = vec![finding];
    let mut complete = config.is_some();
    if let Some(config) = config {
        let wished = |part| !skipped.contains(&part);
        let (storage, core) = match wished(Part::Storage) {
            true => parts::storage(&config).await,
            false => (left_out("Check Storage"), None),
        };
        complete = storage.status != Status::Fail;
        children.push(storage);
        children.push(match wished(Part::Seals) {
            true => parts::seals(&config, core.as_deref()).await,
            false => left_out("Check Seals"),
        });
        children.push(match wished(Part::Listeners) {
            true => parts::listeners(&config).await,
            false => left_out("Start Listeners"),
        });
    }
    Diagnosis {
        finding: Finding::of("Keyfold Diagnose", children),
        complete,
    }
}

fn left_out(name: &str) -> Finding {
    Finding::new(name, Status::Skipped).saying("left out, as it was wished")
}

/// The configuration, where a server would start with it, and what is to say of it.
fn read(name: &str, paths: &[PathBuf]) -> (Option<Config>, Finding) {
    let checked = Config::check(paths).and_then(|config| {
        let faults = wiring::faults(&config);
        match faults.is_empty() {
            true => Ok(config),
            false => Err(faults),
        }
    });
    match checked {
        Ok(config) => {
            let finding = Finding::new(name, Status::Ok).warning(config.warnings.clone());
            (Some(config), finding)
        }
        Err(faults) => (None, Finding::of(name, faults.iter().map(fault).collect())),
    }
}

/// Named by its place.
fn fault(error: &ConfigError) -> Finding {
    match error {
        ConfigError::Wrong { place, message } => {
            let name = match place {
                Some(place) => place.to_string(),
                None => "configuration".to_owned(),
            };
            Finding::new(name, Status::Fail).saying(message)
        }
        ConfigError::Unreadable { path, source } => {
            Finding::new(path.display().to_string(), Status::Fail).saying(source.to_string())
        }
    }
}
