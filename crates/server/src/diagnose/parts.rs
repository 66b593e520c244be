//! The parts of a server, each tried as a start would.

use std::path::Path;
use std::sync::Arc;

use keyfold_core::Core;
use keyfold_core::lifecycle::probe;
use keyfold_core::ports::seal::SealSetup;

use super::{Finding, Status};
use crate::config::{Config, Listener};
use crate::http::listener::{self, Address};
use crate::{idle, wiring};

/// Opens the store, where there is one; else looks whether one can be made.
pub(super) async fn storage(config: &Config) -> (Finding, Option<Arc<Core>>) {
    let name = "Check Storage";
    let failed = |message: String| (Finding::new(name, Status::Fail).saying(message), None);
    if let Some(path) = wiring::to_be_made(&config.storage) {
        return match place_for(path) {
            Ok(()) => {
                let message = "there is no store yet: the first start makes one";
                (Finding::new(name, Status::Ok).saying(message), None)
            }
            Err(message) => failed(message),
        };
    }
    let opened = async {
        let storage = wiring::storage(config, "").await;
        let storage = storage.map_err(|e| e.to_string())?;
        let seals = wiring::seals_of_command(config).map_err(|e| e.to_string())?;
        let core = idle::open(storage, seals, config).await;
        core.map_err(|e| e.to_string())
    };
    match opened.await {
        Err(message) => failed(message),
        Ok(core) => {
            let initialized = core.is_initialized();
            let message = match initialized {
                true => "the store is whole",
                false => "the store is whole, and not initialised",
            };
            let finding = Finding::new(name, Status::Ok).saying(message);
            (finding, initialized.then_some(core))
        }
    }
}

/// Whether a store can be made: its folder, or the nearest one above that is there, can be
/// written to.
fn place_for(path: &Path) -> Result<(), String> {
    let above = path.ancestors().skip(1).find(|folder| folder.exists());
    // A relative path without a folder is in this one.
    let folder = above.unwrap_or(Path::new("."));
    match std::fs::metadata(folder) {
        Err(error) => Err(format!("{}: {error}", folder.display())),
        Ok(found) if !found.is_dir() => Err(format!("{} is no folder", folder.display())),
        Ok(found) if found.permissions().readonly() => {
            Err(format!("{} can't be written to", folder.display()))
        }
        Ok(_) => Ok(()),
    }
}

/// Has every seal show that it works, and that it opens the store where there is one.
pub(super) async fn seals(config: &Config, core: Option<&Core>) -> Finding {
    let name = "Check Seals";
    let setups = match wiring::seals_of_command(config) {
        Ok(seals) => seals.seals,
        Err(error) => return Finding::new(name, Status::Fail).saying(error.to_string()),
    };
    if setups.is_empty() {
        let message = "no seal is configured: shares open the store";
        return Finding::new(name, Status::Skipped).saying(message);
    }
    let opening = match core {
        None => Vec::new(),
        Some(core) => match core.rehearse().await {
            Ok(rehearsal) => rehearsal.seals,
            Err(error) => return Finding::new(name, Status::Fail).saying(error.to_string()),
        },
    };
    let mut children = Vec::with_capacity(setups.len());
    for setup in &setups {
        let found = opening.iter().find(|found| found.name == setup.name);
        let remark = found.and_then(|found| found.remark.as_deref());
        let said = |status, otherwise| {
            Finding::new(title(setup), status).saying(remark.unwrap_or(otherwise))
        };
        children.push(match found {
            Some(found) if found.opens => said(Status::Ok, "it opens the store"),
            Some(found) if found.wrapped => said(Status::Fail, "it does not open the store"),
            _ => works(setup, remark).await,
        });
    }
    Finding::of(name, children)
}

fn title(setup: &SealSetup) -> String {
    format!("Seal {} ({})", setup.name, setup.kind)
}

/// Whether it works at all, where it has nothing to open. `remark`: why it has not.
async fn works(setup: &SealSetup, remark: Option<&str>) -> Finding {
    if setup.disabled {
        let message = "disabled: it is given nothing to keep";
        return Finding::new(title(setup), Status::Skipped).saying(message);
    }
    match probe(setup).await {
        Err(error) => Finding::new(title(setup), Status::Fail).saying(error.to_string()),
        Ok(()) => {
            let finding = Finding::new(title(setup), Status::Ok).saying("it works");
            finding.warning(remark.map(str::to_owned).into_iter().collect())
        }
    }
}

/// Reads the TLS files, and listens for a moment.
pub(super) async fn listeners(config: &Config) -> Finding {
    let mut children = Vec::with_capacity(config.listeners.len());
    for configured in &config.listeners {
        let place = match configured {
            Listener::Tcp(tcp) => tcp.address.clone(),
            Listener::Unix(unix) => unix.path.display().to_string(),
        };
        let title = format!("Listener {place}");
        children.push(match listener::bind(configured).await {
            Err(error) => Finding::new(title, Status::Fail).saying(error.to_string()),
            Ok(bound) => {
                release(bound.address());
                Finding::new(title, Status::Ok).warning(exposed(bound.address()))
            }
        });
    }
    Finding::of("Start Listeners", children)
}

/// A socket in the file system stays behind whoever listened.
fn release(address: &Address) {
    if let Address::Unix(path) = address
        && let Err(error) = std::fs::remove_file(path)
    {
        tracing::debug!(socket = %path.display(), %error, "socket not removed");
    }
}

fn exposed(address: &Address) -> Vec<String> {
    match address {
        Address::Tcp { socket, tls: false } if !socket.ip().is_loopback() => {
            vec!["no TLS: tokens and secrets cross the network in clear".to_owned()]
        }
        _ => Vec::new(),
    }
}
