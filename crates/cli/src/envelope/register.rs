//! Tells the server what a scan of envelopes or of a keyring found, so that it knows what still needs a version.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use keyfold_client::Request;
use keyfold_envelope::{Census, Locator};
use keyfold_keys::digest::Digest;
use serde_json::json;

use super::hex;
use super::place::address_of;
use super::scan::{Scan, by_version};
use crate::error::CliError;
use crate::session::Session;

/// Items that need a version, by version, for each key.
pub(crate) type Needed = BTreeMap<Locator, BTreeMap<u32, u64>>;

/// The status of what is not there.
const NOT_FOUND: u16 = 404;
/// Bytes of the hash that names a catalog.
const NAME: usize = 12;

/// Registers what was found below each path: a catalog for each key of each, and of `also`, of which
/// there may be none left. After something else was done the caller may pass over the error: there are
/// servers without catalogs, and policies that let a token write none.
pub(super) fn register(
    session: &Session,
    scans: &[Scan],
    also: &[Locator],
) -> Result<(), CliError> {
    for Scan { path, began, found } in scans {
        let unreadable = found.unreadable.len();
        let mut needed = by_key(found);
        for key in also {
            needed.entry(key.clone()).or_default();
        }
        register_items(session, &root_of(path), &needed, unreadable, *began)?;
    }
    Ok(())
}

/// The same for keys that are told by name that nothing is left. Each has to know the place already: one that is
/// misspelt holds nothing either, and the first catalog of a key stands for its ledger.
pub(super) fn register_also(
    session: &Session,
    scans: &[Scan],
    also: &[Locator],
) -> Result<(), CliError> {
    for Scan { path, found, .. } in scans {
        let (root, needed) = (root_of(path), by_key(found));
        for key in also.iter().filter(|key| !needed.contains_key(*key)) {
            let catalog = Request::read(&catalog_of(&root, key));
            let answer = session.ask(&catalog)?;
            if answer.status == NOT_FOUND {
                return Err(CliError::Refused(format!(
                    "{key} was told of no items at {root} before, and none are there: is it the right place?"
                )));
            }
            answer.success()?;
        }
    }
    register(session, scans, also)
}

/// Registers what one place was found to need, in a scan that `began` then and could not read some items.
pub(crate) fn register_items(
    session: &Session,
    root: &str,
    needed: &Needed,
    unreadable: usize,
    began: Instant,
) -> Result<(), CliError> {
    for (key, items) in needed {
        let asked = request(root, key, items, unreadable, began)?;
        session.ask(&asked)?.success()?;
    }
    Ok(())
}

/// What to call the place, so that no other one has the name: an address is the same from every machine, but for one of
/// this machine's, and a bucket is somebody's at one endpoint.
pub(crate) fn root_of(path: &Path) -> String {
    let root = match address_of(path) {
        Some(address) if address.starts_with("s3:") => return at_endpoint(address),
        Some(address) if !is_local(address) => return address.to_owned(),
        Some(address) => PathBuf::from(address),
        None => fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
    };
    format!("{}:{}", host(), root.display())
}

/// True for the address of a database at this machine, or at a socket of it.
fn is_local(address: &str) -> bool {
    let (_, rest) = address.split_once("://").unwrap_or(("", address));
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let is_loopback = |text: &str| text.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    host.is_empty() || host == "localhost" || is_loopback(host) || rest.starts_with("::1")
}

fn at_endpoint(address: &str) -> String {
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    let endpoint = endpoint
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    match endpoint {
        Some(endpoint) => format!("{address} at {}", endpoint.trim_end_matches('/')),
        None => address.to_owned(),
    }
}

fn request(
    root: &str,
    key: &Locator,
    items: &BTreeMap<u32, u64>,
    unreadable: usize,
    began: Instant,
) -> Result<Request, CliError> {
    let path = catalog_of(root, key);
    let body = json!({
        "root": root.replace(char::is_control, "?"),
        "items": items,
        "unreadable": unreadable,
        // What is made meanwhile may lie where the scan has been already.
        "took": began.elapsed().as_secs(),
    });
    Ok(Request::write(&path, &body)?)
}

/// Where the key's catalog of a place lies.
fn catalog_of(root: &str, key: &Locator) -> String {
    let name = Digest::Sha2_256.of(root.as_bytes());
    let name = hex(name.get(..NAME).unwrap_or(&name));
    format!("{}/keys/{}/catalogs/{name}", key.mount(), key.key())
}

/// Items by version for each key.
fn by_key(found: &Census) -> Needed {
    let mut keys = Needed::new();
    for (opens, files) in by_version(&found.rows) {
        if let Some(key) = opens.key {
            let items = keys.entry(key.clone()).or_default();
            items.insert(opens.version, files);
        }
    }
    keys
}

/// This machine, as its kernel calls it.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use keyfold_envelope::CensusRow;
    use keyfold_envelope::slot::{SlotState, TYPE_TRANSIT};

    use super::*;

    #[test]
    fn retired_slots_need_nothing() {
        let row = |version, state, files| CensusRow {
            locator: Some("transit/k".parse().unwrap()),
            kind: TYPE_TRANSIT,
            kek_id: [0; 16],
            version,
            state,
            files,
            bytes: 0,
        };
        let found = Census {
            rows: vec![
                row(1, SlotState::Retired, 4),
                row(2, SlotState::Active, 3),
                row(2, SlotState::Pending, 1),
            ],
            ..Census::default()
        };
        let keys = by_key(&found);
        let items = keys.values().next().unwrap();
        assert_eq!(items, &BTreeMap::from([(1, 0), (2, 4)]));
    }

    #[test]
    fn a_place_of_this_machine_is_no_other_machines() {
        for address in [
            "pg://localhost:5432/d/t",
            "pg://127.0.0.1:5432/d/t",
            "pg://::1:5432/d/t",
            "pg:///run/postgresql:5432/d/t",
        ] {
            assert!(is_local(address), "{address}");
        }
        let far = "pg://db.example:5433/shop/t";
        assert_eq!(root_of(Path::new(far)), far);
    }

    #[test]
    fn a_root_has_one_catalog() {
        let key = "transit/k".parse().unwrap();
        let path = |root: &str| {
            let made = request(root, &key, &BTreeMap::new(), 0, Instant::now());
            made.unwrap().path().to_owned()
        };
        assert_eq!(path("/a"), path("/a"));
        assert_ne!(path("/a"), path("/b"));
        assert!(path("/a").starts_with("transit/keys/k/catalogs/"));
    }
}
