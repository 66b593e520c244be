//! `keyfold transit`: what reading and writing paths would not do for the keys of a service: to bring one, to see what its
//! versions are used for, to let old ones go, and to destroy one for good.

mod catalogs;
mod census;
mod compromised;
mod export_kek;
mod import;
mod retire;
mod shred;

use clap::Subcommand;
use keyfold_envelope::Locator;
use serde_json::Value;

use crate::error::CliError;
use crate::output::text_of;
use crate::session::Session;

/// The commands of `transit`.
#[derive(Subcommand)]
pub(crate) enum Transit {
    /// Take over a key that was made elsewhere
    Import(import::ImportArgs),
    /// Take over a version for a key that was imported
    ImportVersion(import::ImportArgs),
    /// Show what each version of a key was used for
    Census(census::CensusArgs),
    /// List the scans that told what they found under the versions of a key
    Catalogs {
        /// The key: transit/payments, or payments for one of the mount transit
        #[arg(value_name = "MOUNT/NAME", value_parser = key)]
        key: Locator,
    },
    /// Retire old versions that nothing needs any more, or list what still does
    Retire(retire::RetireArgs),
    /// Write an exportable key into a file that opens envelopes without the server
    ExportKek(export_kek::ExportKekArgs),
    /// Mark a version that somebody else may have: a new one is made, and what the old one touched is told
    Compromised(compromised::CompromisedArgs),
    /// Destroy a key for good: after a delay, with a second person, and with a receipt
    Shred(shred::ShredArgs),
}

/// Runs one of them.
pub(crate) fn run(session: &Session, transit: Transit) -> Result<(), CliError> {
    match transit {
        Transit::Import(args) => import::run(session, &args, import::Call::Import),
        Transit::ImportVersion(args) => import::run(session, &args, import::Call::ImportVersion),
        Transit::Census(args) => census::run(session, &args),
        Transit::Catalogs { key } => catalogs::run(session, &key),
        Transit::Retire(args) => retire::run(session, &args),
        Transit::ExportKek(args) => export_kek::run(session, &args),
        Transit::Compromised(args) => compromised::run(session, &args),
        Transit::Shred(args) => shred::run(session, &args),
    }
}

/// `mount/key`, a key of the mount where transit usually is, or the path of a key in the API.
fn key(text: &str) -> Result<Locator, String> {
    let whole = match text.rsplit_once("/keys/") {
        Some((mount, name)) => format!("{mount}/{name}"),
        None if text.contains('/') => text.to_owned(),
        None => format!("transit/{text}"),
    };
    whole
        .parse()
        .map_err(|error: keyfold_envelope::LocatorError| error.to_string())
}

/// The API's path of a key, or of what lies below it.
fn path(key: &Locator, below: &str) -> String {
    format!("{}/keys/{}/{below}", key.mount(), key.key())
}

/// A member for people: nothing where it is null.
fn shown(value: &Value, member: &str) -> String {
    match value.get(member) {
        None | Some(Value::Null) => String::new(),
        Some(value) => text_of(value),
    }
}

fn number(value: &Value, member: &str) -> u64 {
    value
        .get(member)
        .and_then(Value::as_u64)
        .unwrap_or_default()
}

fn list<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    let list = value.get(member).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_by_name_and_by_place() {
        assert_eq!(key("k").unwrap().as_str(), "transit/k");
        assert_eq!(key("team/t/k").unwrap().mount(), "team/t");
        assert_eq!(key("team/t/keys/k").unwrap().as_str(), "team/t/k");
        assert!(key("").is_err());
        assert_eq!(path(&key("k").unwrap(), "census"), "transit/keys/k/census");
    }
}
