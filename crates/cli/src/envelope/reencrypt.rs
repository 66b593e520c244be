//! `keyfold reencrypt`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use keyfold_envelope::cache::CacheLimits;
use keyfold_envelope::keyring::DekOptions;
use keyfold_envelope::{Context, ReencryptOptions, ReencryptReport, Stopped, reencrypt};
use serde_json::{Value, json};

use super::place::files_only;
use super::watch::{Watched, Watcher};
use crate::error::CliError;
use crate::exit::{self, Exit};
use crate::keyring::StoreName;
use crate::output::{self, Table};
use crate::progress::Bar;
use crate::session::Session;

/// Arguments of `reencrypt`.
#[derive(Args)]
#[command(after_help = WHICH)]
pub(crate) struct ReencryptArgs {
    /// Only count what would be done
    #[arg(long)]
    dry_run: bool,
    /// The keyring whose data key they are under: a file, kv:MOUNT/PATH, or pg://…; it has to have another one by now
    #[arg(long, value_name = "STORE")]
    keyring: Option<StoreName>,
    /// The encryption context of the envelopes; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    context: Vec<String>,
    /// Threads; a few, and at least one a core, if it is not said
    #[arg(long, value_name = "THREADS")]
    workers: Option<NonZeroUsize>,
    /// Append a line for each envelope; a run that was stopped goes on where its journal ends
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Print what happens as lines of JSON: started, progress each second, failure, finished
    #[arg(long)]
    json: bool,
    /// Envelopes, and folders with envelopes
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

const WHICH: &str = "\
Reencrypt answers a data encryption key (DEK) or a plaintext that was lost: each envelope is made anew in
its place, with another DEK, and all of its payload is read and written. A key (KEK) that is old or was
lost is answered by `keyfold rewrap`, which leaves the payload alone.

What is under a data key of a keyring comes under the current one: `keyfold keyring rotate` goes before.

The old envelope stays until the new one is whole; copies elsewhere stay what they are.";

/// Makes envelopes anew, tells what was left as it was as it goes, and prints what was done.
pub(crate) fn run(session: &Session, args: &ReencryptArgs) -> Result<Exit, CliError> {
    let instead = "a row is encrypted anew by the program that writes it; of an object, payload and header can't be \
                   replaced at once: decrypt it, encrypt it into another one, and delete the old pair";
    files_only(&args.paths, instead)?;
    let context = Context::from_pairs(&args.context);
    let context = context.map_err(|error| CliError::Usage(error.to_string()))?;
    let keys = session.keys()?;
    let deks = args
        .keyring
        .as_ref()
        .map(|store| store.deks(session, DekOptions::default(), CacheLimits::default()))
        .transpose()?;
    let watched = Watched {
        what: "reencrypt",
        dry_run: args.dry_run,
        json: args.json,
        journal: args.journal.as_deref(),
    };
    let watcher = Watcher::start(session, Bar::files("encrypting anew"), &watched)?;
    let options = ReencryptOptions {
        dry_run: args.dry_run,
        made: watcher.made(),
        workers: args.workers,
    };
    let report = reencrypt(
        &keys,
        deks.as_ref(),
        &context,
        &args.paths,
        &options,
        &watcher,
    );
    if let Some(stopped) = &report.stopped {
        let again = match args.journal {
            Some(_) => "run the command again to go on",
            None => "without a journal the next run begins anew",
        };
        output::note(&format!("stopped: {stopped}; {again}"));
    }
    let exit = match &report.stopped {
        Some(Stopped::Service(error)) => exit::of_service(error),
        _ => watcher.exit(report.reencrypted.saturating_add(report.already_made)),
    };
    watcher.finish(document(&report, args), || text(&report, args))?;
    if let (Some(deks), Some(store)) = (&deks, &args.keyring) {
        deks.finish().map_err(store.failed())?;
    }
    Ok(exit)
}

fn document(report: &ReencryptReport, args: &ReencryptArgs) -> Value {
    json!({
        "dry_run": args.dry_run,
        "envelopes": report.envelopes,
        "other_files": report.other_files,
        "reencrypted": report.reencrypted,
        "already_made": report.already_made,
        "plaintext_bytes": report.plaintext_bytes,
        "failed": report.failed,
        "failures": super::failures(&report.failures),
        "stopped": report.stopped.as_ref().map(ToString::to_string),
        "seconds": super::seconds(report.elapsed),
    })
}

fn text(report: &ReencryptReport, args: &ReencryptArgs) -> String {
    let row = |key: &str, value: u64| (key.to_owned(), value.to_string());
    let done = match args.dry_run {
        true => "Would Be Encrypted Anew",
        false => "Encrypted Anew",
    };
    let rows = [
        row("Envelopes", report.envelopes),
        row(done, report.reencrypted),
        row("By An Earlier Run", report.already_made),
        row("Failed", report.failed),
        row("Other Files", report.other_files),
        row("Plaintext Bytes", report.plaintext_bytes),
    ];
    Table::of_pairs(rows).to_string()
}
