//! `keyfold census`.

use std::path::PathBuf;

use clap::Args;
use keyfold_envelope::slot::{SlotState, TYPE_KEYRING};
use keyfold_envelope::{CensusRow, Locator, Unreadable};
use serde_json::{Value, json};

use super::place::{ADDRESSES, Place};
use super::register::register_also;
use super::scan::{Scan, Sum};
use super::{failures, hex, opens_with, state_name};
use crate::error::CliError;
use crate::exit::{self, Exit};
use crate::output::{self, Table};
use crate::progress::Bar;
use crate::session::Session;

/// Arguments of `census`.
#[derive(Args)]
#[command(after_help = ADDRESSES)]
pub(crate) struct CensusArgs {
    /// Tell the servers' keys what was found: a catalog of each path, by this machine's name and the path
    #[arg(long)]
    register: bool,
    /// Tell this key, too, when nothing is found under it: what it was told before is gone
    #[arg(long = "key", value_name = "MOUNT/NAME", requires = "register")]
    keys: Vec<Locator>,
    /// Envelopes, and folders with envelopes; or an address
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

/// Counts which key versions hold what, and lists what could not be read on stderr.
pub(crate) fn run(session: &Session, args: &CensusArgs) -> Result<Exit, CliError> {
    let place = Place::of(&args.paths)?;
    let scans = place.scan(&Bar::files("counting"));
    let counted = Scan::sum(&scans);
    let unreadable = || scans.iter().flat_map(|scan| &scan.found.unreadable);
    for failure in unreadable() {
        output::note(&format!("{}: {}", failure.path.display(), failure.error));
    }
    session
        .output
        .result(&document(&counted, unreadable()), || text(&counted))?;
    if args.register {
        register_also(session, &scans, &args.keys)?;
        tell_forbidden(session, &counted)?;
        tell_keyrings(&counted);
    }
    let codes = unreadable().map(|failure| exit::of_envelope(&failure.error));
    Ok(exit::of_many(codes, counted.envelopes))
}

/// Tells of envelopes that have offline slots against the setting of their key.
fn tell_forbidden(session: &Session, counted: &Sum) -> Result<(), CliError> {
    for (key, files) in &counted.offline_by_key {
        let told = session.keys()?.offline_slots_allowed(key);
        if told.is_ok_and(|allowed| allowed == Some(false)) {
            output::note(&format!(
                "WARNING: {files} envelopes under {key} have offline slots, and its setting \
                 offline_slots_allowed is false"
            ));
        }
    }
    Ok(())
}

/// Tells of what is not told by this: which versions the keyrings need that envelopes are under.
fn tell_keyrings(counted: &Sum) {
    let in_use = |row: &CensusRow| row.kind == TYPE_KEYRING && row.state != SlotState::Retired;
    if counted.rows.iter().any(in_use) {
        output::note(
            "there are envelopes under keyrings, which have catalogs of their own: \
             `keyfold keyring census -register`",
        );
    }
}

fn document<'a>(counted: &Sum, unreadable: impl Iterator<Item = &'a Unreadable>) -> Value {
    let rows = counted.rows.iter().map(|row| {
        json!({
            "key": row.locator.as_ref().map(|locator| locator.as_str()),
            "type": row.kind,
            "opens_with": row_key(row),
            "kek_id": hex(&row.kek_id),
            "version": row.version,
            "state": state_name(row.state),
            "files": row.files,
            "bytes": row.bytes,
        })
    });
    let offline = counted.offline_by_key.iter();
    let offline = offline.map(|(key, files)| (key.to_string(), (*files).into()));
    json!({
        "envelopes": counted.envelopes,
        "bytes": counted.bytes,
        "other_files": counted.other_files,
        "with_damaged_slots": counted.with_damaged_slots,
        "without_active_slot": counted.without_active_slot,
        "with_offline_slot": counted.with_offline_slot,
        "offline_by_key": offline.collect::<serde_json::Map<_, _>>(),
        "versions": rows.collect::<Vec<_>>(),
        "unreadable": failures(unreadable),
    })
}

fn row_key(row: &CensusRow) -> String {
    opens_with(row.locator.as_ref(), row.kind, &row.kek_id, row.version)
}

fn text(counted: &Sum) -> String {
    let rows = counted.rows.iter().map(|row| {
        vec![
            row_key(row),
            state_name(row.state).to_owned(),
            row.files.to_string(),
            row.bytes.to_string(),
            hex(&row.kek_id),
        ]
    });
    let headings = ["Opens With", "State", "Files", "Bytes", "KEK ID"];
    let table = Table::new(&headings, rows.collect());
    let mut text = format!(
        "{table}\n{} envelopes, {} bytes; {} other files; {} unreadable\n",
        counted.envelopes, counted.bytes, counted.other_files, counted.unreadable
    );
    for (count, what) in [
        (
            counted.with_damaged_slots,
            "with a damaged slot: rewrap them",
        ),
        (counted.without_active_slot, "without an active slot"),
        (
            counted.with_offline_slot,
            "with an offline slot: no server is needed to open them",
        ),
    ] {
        if count > 0 {
            text.push_str(&format!("{count} {what}\n"));
        }
    }
    text
}
