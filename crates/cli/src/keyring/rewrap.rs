//! `keyfold keyring rewrap`.

use clap::Args;
use keyfold_envelope::keyring::{KeyringRewrap, move_keyring, rewrap_keyring};
use serde_json::{Value, json};

use super::{PLACES, StoreName, census};
use crate::envelope::target::TargetArgs;
use crate::error::CliError;
use crate::exit::{self, Exit};
use crate::output::{self, Table};
use crate::session::Session;

/// Arguments of `keyring rewrap`.
#[derive(Args)]
#[command(after_help = PLACES)]
pub(crate) struct RewrapArgs {
    /// See that each new wrap opens the right data key before it is saved; needs the right to decrypt
    #[arg(long)]
    verify: bool,
    /// The keyring: a file, kv:MOUNT/PATH, or pg://…
    #[arg(value_name = "STORE")]
    store: StoreName,
    #[command(flatten)]
    target: TargetArgs,
}

/// Rewraps, prints what was done, and lists what was left as it was on stderr.
pub(super) fn run(session: &Session, args: &RewrapArgs) -> Result<Exit, CliError> {
    let (store, keys) = (args.store.store(session)?, session.keys()?);
    let moved = args.target.wanted()?;
    let report = match &moved {
        None => rewrap_keyring(&*store, &keys, args.verify),
        Some(to) => move_keyring(&*store, &keys, to.target(), args.verify),
    };
    let report = report.map_err(args.store.failed())?;
    // This server's key of that name is another one, where rows are under another server's.
    if !moved.is_some_and(|to| to.is_elsewhere()) {
        census::tell_also(session, &args.store, &report.left);
    }
    for (dek_no, error) in &report.failures {
        output::note(&format!("DEK {dek_no}: {error}"));
    }
    if let Some(key) = &report.stays {
        output::note(&format!(
            "new data keys are made under {key} still, as the newest row has not moved: where it is destroyed, \
             `keyfold keyring rotate` and move again"
        ));
    }
    let document = document(&args.store, &report);
    session
        .output
        .result(&document, || text(&args.store, &report))?;
    let mut codes = report
        .failures
        .iter()
        .map(|(_, error)| exit::of_keyring(error));
    Ok(match codes.next() {
        None => Exit::OK,
        Some(first) if codes.all(|code| code == first) => first,
        Some(_) => Exit::PARTIAL,
    })
}

fn document(store: &StoreName, report: &KeyringRewrap) -> Value {
    let newest = report
        .newest
        .iter()
        .map(|(key, version)| (key.to_string(), (*version).into()));
    let failures = report.failures.iter().map(|(dek_no, error)| {
        json!({"dek_no": dek_no, "error": error.to_string(),
            "exit_code": exit::of_keyring(error).0})
    });
    json!({
        "store": store.to_string(),
        "deks": report.deks,
        "rewrapped": report.rewrapped,
        "already_newest": report.already_newest,
        "server_calls": report.server_calls,
        "newest": newest.collect::<serde_json::Map<_, _>>(),
        "failures": failures.collect::<Vec<_>>(),
    })
}

fn text(store: &StoreName, report: &KeyringRewrap) -> String {
    let row = |key: &str, value: u64| (key.to_owned(), value.to_string());
    let mut rows = vec![
        ("Keyring".to_owned(), store.to_string()),
        row("DEKs", report.deks),
        row("Rewrapped", report.rewrapped),
        row("Already Newest", report.already_newest),
        row("Failed", report.failures.len() as u64),
        row("Server Calls", report.server_calls),
    ];
    for (key, version) in &report.newest {
        rows.push((format!("Newest {key}"), version.to_string()));
    }
    Table::of_pairs(rows).to_string()
}
