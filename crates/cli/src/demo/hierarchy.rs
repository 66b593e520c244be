//! What wraps what, asked of the server, its store and the envelope each time it is drawn.

use std::collections::BTreeMap;
use std::path::Path;

use keyfold_client::Client;
use keyfold_envelope::inspect;
use keyfold_envelope::slot::SlotState;
use serde::Deserialize;

use super::cast::{KekVersions, Service};
use super::error::DemoError;
use super::page::grouped;
use super::site::{SealStatus, Site};
use super::tree::Tree;

/// Where the server keeps its own records.
const SYSTEM: &str = "sys/";

/// An envelope to draw below its KEK.
pub(super) struct Envelope<'a> {
    pub(super) name: &'a str,
    pub(super) path: &'a Path,
}

/// The hierarchy of a sealed server: all is wrapped, and what would open it is not here.
pub(super) fn sealed(status: &SealStatus) -> Tree {
    let below = Tree::new("keyring")
        .note("wrapped, in the store")
        .over(Tree::new("DEKs").note("wrapped, in the store"));
    let root = Tree::new("root key")
        .note("wrapped, in the store")
        .over(below);
    let given = format!(
        "not here: {} of {} shares given",
        status.progress, status.threshold
    );
    shares(status).over(Tree::new("unseal key").note(given).over(root))
}

/// The hierarchy of an unsealed server, down to the payload of an envelope.
pub(super) fn unsealed(
    site: &Site,
    operator: &Client,
    services: &[&Service],
    envelope: Option<&Envelope<'_>>,
) -> Result<Tree, DemoError> {
    let mounts = mounts(site, operator)?;
    let snapshot = site.snapshot()?;
    let term = site.key_status(operator)?.term;
    let mut keyring = Tree::new(format!("keyring: KEK, term {term}"));
    let deks = snapshot.deks();
    let mut paths: Vec<_> = deks
        .keys()
        .map(|uuid| mounts.get(*uuid).map_or(*uuid, String::as_str))
        .collect();
    paths.sort_unstable();
    for path in paths {
        let mut dek = Tree::new(format!("DEK of {path}"));
        if path == SYSTEM {
            dek = dek.note("mounts, policies, tokens");
        }
        for service in services {
            if path.trim_end_matches('/') == service.kek.mount() {
                dek = dek.over(kek(site, operator, service, envelope)?);
            }
        }
        keyring = keyring.over(dek);
    }
    let root = Tree::new("root key").over(keyring);
    Ok(shares(&site.seal_status()?).over(Tree::new("unseal key").over(root)))
}

fn shares(status: &SealStatus) -> Tree {
    Tree::new(format!(
        "{} shares, any {} open it",
        status.shares, status.threshold
    ))
}

/// A service's KEK, with the envelope below it where the KEK wraps that one's DEK.
fn kek(
    site: &Site,
    operator: &Client,
    service: &Service,
    envelope: Option<&Envelope<'_>>,
) -> Result<Tree, DemoError> {
    let versions = service.versions(site, operator)?;
    let tree = Tree::new(format!("KEK {}", service.kek)).note(spelled(&versions));
    let Some(envelope) = envelope else {
        return Ok(tree);
    };
    let found = inspect(envelope.path).map_err(DemoError::envelope("reading the header"))?;
    let slot = found.slots.iter().find(|slot| {
        slot.state == SlotState::Active && slot.locator.as_ref() == Some(&service.kek)
    });
    let Some(slot) = slot else {
        return Ok(tree);
    };
    let payload = Tree::new("payload").note(match found.plaintext_len {
        Some(len) => format!("{} bytes", grouped(len)),
        None => "cut".to_owned(),
    });
    let dek = Tree::new(format!("DEK of {}", envelope.name));
    let dek = dek.note(format!("wrapped by version {}", slot.version));
    Ok(tree.over(dek.over(payload)))
}

fn spelled(versions: &KekVersions) -> String {
    let KekVersions {
        latest_version: latest,
        min_decryption_version: lowest,
    } = versions;
    match (lowest, latest) {
        (1, 1) => "version 1".to_owned(),
        (1, _) => format!("versions 1 to {latest}"),
        _ => format!("version {latest}; what is below {lowest} opens nothing"),
    }
}

/// Paths of the mounts, by UUID.
fn mounts(site: &Site, operator: &Client) -> Result<BTreeMap<String, String>, DemoError> {
    #[derive(Deserialize)]
    struct Answer {
        data: BTreeMap<String, Mount>,
    }
    #[derive(Deserialize)]
    struct Mount {
        uuid: String,
    }
    let answer: Answer = site.read(operator, "sys/mounts")?;
    Ok(answer
        .data
        .into_iter()
        .map(|(path, mount)| (mount.uuid, path))
        .collect())
}
