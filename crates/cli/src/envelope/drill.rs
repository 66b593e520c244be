//! `keyfold drill`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use keyfold_envelope::{DrillOptions, DrillReport, drill};
use serde_json::{Value, json};

use super::parties::With;
use super::place::files_only;
use super::{context_of, failures};
use crate::error::CliError;
use crate::exit::{self, Exit};
use crate::output::{self, Table};
use crate::progress::Bar;
use crate::session::Session;

/// Arguments of `drill`.
#[derive(Args)]
pub(crate) struct DrillArgs {
    #[command(flatten)]
    with: With,
    /// Envelopes to open, drawn at random; 0 for all of them
    #[arg(long, value_name = "N", default_value_t = 100)]
    sample: usize,
    /// How much of each is opened
    #[arg(long, value_enum, default_value_t = Check::Full, value_name = "HOW")]
    verify: Check,
    /// The encryption context of the envelopes; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    context: Vec<String>,
    /// Envelopes, and folders with envelopes
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// The key, and that the payload commits to it
    Commit,
    /// As commit, and the whole payload is authentic
    Full,
}

/// Opens a sample without the server, and tells how that went.
pub(crate) fn run(session: &Session, args: &DrillArgs) -> Result<Exit, CliError> {
    if !args.with.is_some() {
        return Err(CliError::Usage(
            "nothing to open them with: give --identity, --kek-file or --passphrase".to_owned(),
        ));
    }
    files_only(
        &args.paths,
        "an object is tried by decrypt, which opens it without the server as well",
    )?;
    let context = context_of(&args.context)?;
    let identities = args.with.offline()?;
    let identities: Vec<_> = identities.iter().map(AsRef::as_ref).collect();
    let options = DrillOptions {
        sample: NonZeroUsize::new(args.sample),
        commitment_only: args.verify == Check::Commit,
    };
    let bar = Bar::files("opening");
    let report = drill(&args.paths, &identities, &context, options, &bar);
    drop(bar);
    for failure in report.failures.iter().chain(&report.unreadable) {
        output::note(&format!("{}: {}", failure.path.display(), failure.error));
    }
    session
        .output
        .result(&document(&report), || text(&report))?;
    if report.envelopes == 0 && report.unreadable.is_empty() {
        return Err(CliError::Usage("there is no envelope there".to_owned()));
    }
    let failed = report.failures.iter().chain(&report.unreadable);
    let codes = failed.map(|failure| exit::of_envelope(&failure.error));
    Ok(exit::of_many(codes, report.opened))
}

fn document(report: &DrillReport) -> Value {
    json!({
        "envelopes": report.envelopes,
        "other_files": report.other_files,
        "with_offline_slot": report.with_offline_slot,
        "tried": report.tried,
        "opened": report.opened,
        "plaintext_bytes": report.plaintext_bytes,
        "failures": failures(&report.failures),
        "unreadable": failures(&report.unreadable),
    })
}

fn text(report: &DrillReport) -> String {
    let row = |key: &str, value: u64| (key.to_owned(), value.to_string());
    let rows = [
        row("Envelopes", report.envelopes),
        row("With An Offline Slot", report.with_offline_slot),
        row("Tried", report.tried),
        row("Opened", report.opened),
        row("Failed", report.failures.len() as u64),
        row("Unreadable", report.unreadable.len() as u64),
        row("Other Files", report.other_files),
        row("Plaintext Bytes Checked", report.plaintext_bytes),
    ];
    Table::of_pairs(rows).to_string()
}
