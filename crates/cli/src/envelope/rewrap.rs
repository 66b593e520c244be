//! `keyfold rewrap`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use keyfold_envelope::{RewrapOptions, RewrapReport, Verify, rewrap};
use serde_json::{Value, json};

use super::exit_of;
use super::register::try_to_register;
use crate::error::{CliError, envelope_hint};
use crate::exit::{self, Exit};
use crate::output::{self, Table};
use crate::progress::Bar;
use crate::session::Session;

/// Arguments of `rewrap`.
#[derive(Args)]
pub(crate) struct RewrapArgs {
    /// Only count what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do not tell the server what is left under which version; a server or a policy that takes no
    /// catalogs is told nothing anyway
    #[arg(long)]
    no_register: bool,
    /// What to check of each envelope; commit and full need the right to decrypt
    #[arg(long, value_enum, default_value_t = Check::None, value_name = "HOW")]
    verify: Check,
    /// Envelopes, and folders with envelopes
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Check {
    /// Nothing beyond the protocol
    None,
    /// The new slot reads back before the old one is retired
    Slot,
    /// The new wrap opens the payload's commitment before anything is written
    Commit,
    /// As commit, and the whole payload is authentic
    Full,
}

impl From<Check> for Verify {
    fn from(check: Check) -> Self {
        match check {
            Check::None => Self::None,
            Check::Slot => Self::Slot,
            Check::Commit => Self::Commit,
            Check::Full => Self::Full,
        }
    }
}

/// Rewraps, prints what was done, and lists what was left as it was on stderr.
pub(crate) fn run(session: &Session, args: RewrapArgs) -> Result<Exit, CliError> {
    let options = RewrapOptions {
        dry_run: args.dry_run,
        verify: args.verify.into(),
    };
    let keys = session.keys()?;
    let first = args.paths.first().cloned().unwrap_or_default();
    let report = rewrap(&keys, &args.paths, options, &Bar::files("rewrapping"))
        .map_err(CliError::envelope(&first))?;
    for failure in &report.failures {
        output::note(&format!("{}: {}", failure.path.display(), failure.error));
    }
    if let Some(hint) = report
        .failures
        .first()
        .and_then(|failure| envelope_hint(&failure.error, &session.setup()))
    {
        output::note(&format!("  {hint}"));
    }
    if let Some(error) = &report.stopped {
        output::note(&format!("stopped: {error}; run the command again to go on"));
    }
    session
        .output
        .result(&document(&report, args.dry_run), || {
            text(&report, args.dry_run)
        })?;
    if !args.no_register && !args.dry_run && report.stopped.is_none() {
        try_to_register(session, &args.paths);
    }
    Ok(match &report.stopped {
        Some(error) => exit::of_service(error),
        None => exit_of(&report.failures),
    })
}

fn document(report: &RewrapReport, dry_run: bool) -> Value {
    let newest = report
        .newest
        .iter()
        .map(|(key, version)| (key.to_string(), (*version).into()));
    let failures = report.failures.iter().map(|failure| {
        json!({"path": failure.path.to_string_lossy(), "error": failure.error.to_string(),
            "exit_code": exit::of_envelope(&failure.error).0})
    });
    json!({
        "dry_run": dry_run,
        "envelopes": report.envelopes,
        "other_files": report.other_files,
        "rewrapped": report.rewrapped,
        "already_newest": report.already_newest,
        "finished": report.finished,
        "bytes_written": report.bytes_written,
        "payload_bytes_untouched": report.payload_bytes,
        "server_calls": report.server_calls,
        "wraps_sent": report.wraps_sent,
        "newest": newest.collect::<serde_json::Map<_, _>>(),
        "failures": failures.collect::<Vec<_>>(),
        "stopped": report.stopped.as_ref().map(ToString::to_string),
    })
}

fn text(report: &RewrapReport, dry_run: bool) -> String {
    let row = |key: &str, value: u64| (key.to_owned(), value.to_string());
    let rewrapped = if dry_run {
        "Would Be Rewrapped"
    } else {
        "Rewrapped"
    };
    let mut rows = vec![
        row("Envelopes", report.envelopes),
        row(rewrapped, report.rewrapped),
        row("Already Newest", report.already_newest),
        row("Left-overs Retired", report.finished),
        row("Failed", report.failures.len() as u64),
        row("Other Files", report.other_files),
        row("Bytes Written", report.bytes_written),
        row("Payload Bytes Untouched", report.payload_bytes),
        row("Server Calls", report.server_calls),
    ];
    for (key, version) in &report.newest {
        rows.push((format!("Newest {key}"), version.to_string()));
    }
    Table::of_pairs(rows).to_string()
}
