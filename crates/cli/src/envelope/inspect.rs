//! `keyfold inspect`.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use keyfold_envelope::{Error, Inspection, SlotInfo, inspect, inspect_reader};
use serde_json::{Value, json};

use super::place::files_only;
use super::{hex, is_dash, key_name, state_name};
use crate::error::CliError;
use crate::output::Table;
use crate::session::Session;

/// What is done for an object.
pub(super) const HEADER_ALONE: &str =
    "the header of an object is one of 4 KiB, KEY.kf beside it, and can be fetched alone";

/// Arguments of `inspect`.
#[derive(Args)]
pub(crate) struct InspectArgs {
    /// Print how many bytes the plaintext has, by the file's length, and nothing else
    #[arg(long)]
    plaintext_size: bool,
    /// The envelope; `-` is standard input
    #[arg(value_name = "FILE|-")]
    input: PathBuf,
}

/// Prints what an envelope's header says. Nothing of it is proven before the file is decrypted.
pub(crate) fn run(session: &Session, args: &InspectArgs) -> Result<(), CliError> {
    files_only([&args.input], HEADER_ALONE)?;
    let found = if is_dash(&args.input) {
        inspect_reader(std::io::stdin().lock())
    } else {
        inspect(&args.input)
    };
    let found = found.map_err(CliError::envelope(&args.input))?;
    if args.plaintext_size {
        return plaintext_size(session, args, &found);
    }
    session.output.result(&document(&found), || text(&found))
}

fn plaintext_size(
    session: &Session,
    args: &InspectArgs,
    found: &Inspection,
) -> Result<(), CliError> {
    let Some(len) = found.plaintext_len else {
        return Err(match found.file_len {
            // No payload is so long.
            Some(_) if !found.is_detached => CliError::envelope(&args.input)(Error::Truncated),
            _ => CliError::Usage(
                "the plaintext's length follows from that of the file: this is a pipe, or a header without its payload"
                    .to_owned(),
            ),
        });
    };
    let document = json!({ "plaintext_bytes": len });
    session.output.result(&document, || format!("{len}\n"))
}

fn document(found: &Inspection) -> Value {
    json!({
        "format_version": found.format_version,
        "suite": found.suite,
        "object_id": hex(&found.object_id),
        "needs_context": found.has_context,
        "detached": found.is_detached,
        "labels": {
            "service": found.labels.service,
            "tenant": found.labels.tenant,
            "purpose": found.labels.purpose,
        },
        "slots": found.slots.iter().map(slot_document).collect::<Vec<_>>(),
        "damaged_slots": found.damaged_slots,
        "salt": hex(&found.salt),
        "commitment": hex(&found.commitment),
        "file_bytes": found.file_len,
        "plaintext_bytes": found.plaintext_len,
    })
}

pub(super) fn slot_document(slot: &SlotInfo) -> Value {
    json!({
        "slot": slot.index,
        "state": state_name(slot.state),
        "type": slot.kind,
        "opens_with": key_name(slot),
        "offline": slot.offline,
        "key": slot.locator.as_ref().map(|locator| locator.as_str()),
        "version": slot.version,
        "kek_id": hex(&slot.kek_id),
        "wrapped_at": time(slot.wrapped_at),
        "generation": slot.generation,
        "aad_bound": slot.aad_bound,
        "wrapped_bytes": slot.wrap_len,
    })
}

fn text(found: &Inspection) -> String {
    let row = |key: &str, value: String| (key.to_owned(), value);
    let bytes = |len: Option<u64>| len.map_or("unknown".to_owned(), |len| format!("{len} bytes"));
    let mut rows = vec![
        row(
            "Format",
            format!("{}, {}", found.format_version, found.suite),
        ),
        row("Object ID", hex(&found.object_id)),
        row("Size", bytes(found.file_len)),
        row("Plaintext", bytes(found.plaintext_len)),
        row("Needs Context", found.has_context.to_string()),
    ];
    let labels = &found.labels;
    for (name, label) in [
        ("Service", &labels.service),
        ("Tenant", &labels.tenant),
        ("Purpose", &labels.purpose),
    ] {
        rows.extend(label.as_ref().map(|label| row(name, printable(label))));
    }
    if !found.damaged_slots.is_empty() {
        rows.push(row("Damaged Slots", format!("{:?}", found.damaged_slots)));
    }
    format!("{}\n{}", Table::of_pairs(rows), slots(&found.slots))
}

pub(super) fn slots(slots: &[SlotInfo]) -> Table {
    let rows = slots.iter().map(|slot| {
        vec![
            slot.index.to_string(),
            state_name(slot.state).to_owned(),
            key_name(slot),
            time(slot.wrapped_at),
            if slot.aad_bound { "yes" } else { "no" }.to_owned(),
        ]
    });
    let headings = ["Slot", "State", "Opens With", "Wrapped At", "Bound To File"];
    Table::new(&headings, rows.collect())
}

pub(crate) fn time(unix_seconds: u64) -> String {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(unix_seconds))
        .filter(|_| unix_seconds < 1 << 37)
        .map(keyfold_api::time::format)
        .unwrap_or_default()
}

/// A text out of a file, without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_while_they_can_be() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(u64::MAX), "");
    }

    #[test]
    fn labels_can_not_drive_a_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a\u{FFFD}[2Jb");
    }
}
