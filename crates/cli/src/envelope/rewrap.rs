//! `keyfold rewrap`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use keyfold_envelope::{
    Directories, Durability, Error, KeyService, NoProgress, RewrapOptions, RewrapReport, Stopped,
    Store, Verify, move_wraps, retire_moved, rewrap,
};
use serde_json::{Value, json};

use super::place::{ADDRESSES, Place};
use super::register::register;
use super::scan::{Scan, Sum};
use super::target::{Move, TargetArgs};
use super::watch::{Watched, Watcher};
use super::{failures, seconds};
use crate::error::CliError;
use crate::exit::{self, Exit};
use crate::output::{self, Table};
use crate::progress::Bar;
use crate::session::Session;

/// What is assumed of a disk and of a server, to say how long a run may take.
const SYNC: Duration = Duration::from_millis(1);
const WRITE: Duration = Duration::from_micros(20);
const CALL: Duration = Duration::from_millis(5);

/// Arguments of `rewrap`.
#[derive(Args)]
#[command(after_help = format!("{WHICH}\n\n{ADDRESSES}"))]
pub(crate) struct RewrapArgs {
    /// Only count what would be done, and say how long it may take
    #[arg(long)]
    dry_run: bool,
    /// Do not tell the server what is left under which version; a server or a policy that takes no
    /// catalogs is told nothing anyway
    #[arg(long)]
    no_register: bool,
    /// What to check of each envelope; commit and full need the right to decrypt
    #[arg(long, value_enum, default_value_t = Check::None, value_name = "HOW")]
    verify: Check,
    /// When new wraps of files are made durable: each file by itself, or a batch of files at once
    #[arg(long, value_enum, default_value_t = Durable::File, value_name = "HOW")]
    durability: Durable,
    /// Send at most so many wraps a second to the server
    #[arg(long, value_name = "WRAPS")]
    server_rate: Option<NonZeroU32>,
    /// Change at most so many envelopes a second
    #[arg(long, value_name = "ENVELOPES")]
    store_rate: Option<NonZeroU32>,
    /// Threads; a few, and at least one a core, if it is not said
    #[arg(long, value_name = "THREADS")]
    workers: Option<NonZeroUsize>,
    /// Append a line for each envelope that was changed, or that could not be
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Print what happens as lines of JSON: started, progress each second, failure, finished
    #[arg(long)]
    json: bool,
    /// Envelopes, and folders with envelopes; or an address
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    target: TargetArgs,
    /// End a move: retire the wraps that were moved away from, where the one under --to opens the envelope
    #[arg(long, requires = "to")]
    retire_source: bool,
}

const WHICH: &str = "\
Rewrap answers a key (KEK) that is old or was lost: the data encryption key of each envelope is wrapped
by the newest version, and the payload stays as it is. It does not answer a data encryption key (DEK) or
a plaintext that was lost: that takes a new envelope, `keyfold reencrypt`.

A run that was stopped, whatever stopped it, goes on when the command is given again.";

#[derive(Clone, Copy, ValueEnum)]
enum Check {
    /// Nothing beyond the protocol
    None,
    /// The new slot reads back before the old one is retired, and what is left is counted after it
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

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Durable {
    /// Two syncs a file
    File,
    /// Two syncs of the file system for some thousand files
    Batch,
}

impl From<Durable> for Durability {
    fn from(durable: Durable) -> Self {
        match durable {
            Durable::File => Self::File,
            Durable::Batch => Self::Batch,
        }
    }
}

/// Rewraps, tells what was left as it was as it goes, and prints what was done.
pub(crate) fn run(session: &Session, args: &RewrapArgs) -> Result<Exit, CliError> {
    let options = RewrapOptions {
        dry_run: args.dry_run,
        verify: args.verify.into(),
        server_rate: args.server_rate,
        store_rate: args.store_rate,
        workers: args.workers,
    };
    let place = Place::of(&args.paths)?;
    let keys = session.keys()?;
    let moved = args.target.wanted()?;
    if args.retire_source && place.has_wraps_alone() {
        return Err(CliError::Usage(
            "wraps that stand alone have no second one to retire: the move replaces them"
                .to_owned(),
        ));
    }
    let journal = args.journal.as_deref().filter(|_| !args.dry_run);
    let watched = Watched {
        what: "rewrap",
        dry_run: args.dry_run,
        json: args.json,
        journal,
    };
    let watcher = Watcher::start(session, Bar::files("rewrapping"), &watched)?;
    let job = Job {
        keys: &keys,
        moved: moved.as_ref(),
        retires: args.retire_source,
        options: &options,
        watcher: &watcher,
    };
    let report = match &place {
        Place::Paths(paths) => job.run(&Directories::new(paths.clone(), args.durability.into())),
        Place::Rows(rows) => job.run(&**rows),
        Place::Objects(bucket) => job.run(&**bucket),
    };
    let report = report.map_err(CliError::envelope(place.subject()))?;
    if let Some(stopped) = &report.stopped {
        output::note(&format!(
            "stopped: {stopped}; run the command again to go on"
        ));
    }
    let through = report.stopped.is_none() && !args.dry_run;
    let looks = !args.no_register || options.verify > Verify::None;
    // Wraps that stand alone do not say their key: which of them have moved no scan can tell, nor that all have.
    let moves_alone = moved.as_ref().filter(|_| place.has_wraps_alone());
    let looks = looks && moves_alone.is_none();
    let scans = (through && looks).then(|| place.scan(&NoProgress));
    let left = scans.as_deref().map(Scan::sum);
    if let Some(to) = moves_alone
        && through
        && report.failed == 0
    {
        output::note(&format!(
            "wraps that stand alone are under {0} now: say key={0} in their address, and tell the keys by \
             `keyfold census --register`",
            to.key()
        ));
    }
    let offline = match (&moved, &left) {
        (Some(to), Some(left)) if to.allows_offline(&keys) == Some(false) => {
            left.offline_by_key.get(to.key()).copied()
        }
        _ => None,
    };
    if let (Some(to), Some(files)) = (&moved, offline) {
        output::note(&format!(
            "{files} of them open without a server too, which {} forbids (offline_slots_allowed): \
             remove that by `keyfold slots remove`",
            to.key()
        ));
    }
    let exit = match &report.stopped {
        Some(Stopped::Service(error)) => exit::of_service(error),
        Some(Stopped::Store(_)) => Exit::LOCAL,
        _ => watcher.exit(good(&report)),
    };
    let mut document = document(&report, args, left.as_ref());
    if let (Some(files), Some(members)) = (offline, document.as_object_mut()) {
        members.insert("offline_forbidden".to_owned(), files.into());
    }
    watcher.finish(document, || text(&report, args, left.as_ref()))?;
    if let Some(scans) = scans.filter(|_| !args.no_register) {
        // What was to be done is done, and said.
        let _ = register(session, &scans, &[]);
    }
    Ok(exit)
}

/// What is done wherever the envelopes are.
struct Job<'a> {
    keys: &'a dyn KeyService,
    moved: Option<&'a Move>,
    retires: bool,
    options: &'a RewrapOptions,
    watcher: &'a Watcher,
}

impl Job<'_> {
    fn run<S: Store>(&self, store: &S) -> Result<RewrapReport, Error> {
        let (keys, options) = (self.keys, self.options);
        match self.moved {
            None => rewrap(keys, store, options, self.watcher),
            Some(to) if self.retires => {
                retire_moved(keys, store, to.target(), options, self.watcher)
            }
            Some(to) => move_wraps(keys, store, to.target(), options, self.watcher),
        }
    }
}

/// Envelopes that did not fail.
fn good(report: &RewrapReport) -> u64 {
    let good = report.rewrapped.saturating_add(report.already_newest);
    good.saturating_add(report.finished)
}

/// How long a run may take that a dry run was made for.
fn estimate(report: &RewrapReport, args: &RewrapArgs) -> Duration {
    let times =
        |each: Duration, count: u64| each.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
    let write = match args.durability {
        // Two syncs, and some threads.
        Durable::File => SYNC / 2,
        Durable::Batch => WRITE,
    };
    let work = report
        .elapsed
        .saturating_add(times(write, report.rewrapped))
        .saturating_add(times(CALL, report.server_calls));
    let paced = |rate: Option<NonZeroU32>, count: u64| {
        rate.map_or(Duration::ZERO, |rate| {
            times(Duration::from_secs(1), count) / rate.get()
        })
    };
    work.max(paced(args.server_rate, report.wraps_sent))
        .max(paced(args.store_rate, report.rewrapped))
}

fn document(report: &RewrapReport, args: &RewrapArgs, left: Option<&Sum>) -> Value {
    let newest = report
        .newest
        .iter()
        .map(|(key, version)| (key.to_string(), (*version).into()));
    let left = left.map(|left| {
        let rows = left.in_use().into_iter().map(|(opens, files)| {
            json!({"key": opens.key.map(|key| key.as_str()), "version": opens.version,
                "opens_with": opens.name, "files": files})
        });
        rows.collect::<Vec<_>>()
    });
    json!({
        "dry_run": args.dry_run,
        "envelopes": report.envelopes,
        "other_files": report.other_files,
        "rewrapped": report.rewrapped,
        "already_newest": report.already_newest,
        "finished": report.finished,
        "failed": report.failed,
        "bytes_written": report.bytes_written,
        "payload_bytes_untouched": report.payload_bytes,
        "server_calls": report.server_calls,
        "wraps_sent": report.wraps_sent,
        "newest": newest.collect::<serde_json::Map<_, _>>(),
        "failures": failures(&report.failures),
        "stopped": report.stopped.as_ref().map(ToString::to_string),
        "in_use": left,
        "seconds": seconds(report.elapsed),
        "estimated_seconds": args.dry_run.then(|| seconds(estimate(report, args))),
    })
}

fn text(report: &RewrapReport, args: &RewrapArgs, left: Option<&Sum>) -> String {
    let row = |key: &str, value: u64| (key.to_owned(), value.to_string());
    let rewrapped = if args.dry_run {
        "Would Be Rewrapped"
    } else {
        "Rewrapped"
    };
    let mut rows = vec![
        row("Envelopes", report.envelopes),
        row(rewrapped, report.rewrapped),
        row("Already Newest", report.already_newest),
        row("Left-overs Retired", report.finished),
        row("Failed", report.failed),
        row("Other Files", report.other_files),
        row("Bytes Written", report.bytes_written),
        row("Payload Bytes Untouched", report.payload_bytes),
        row("Distinct Wraps", report.wraps_sent),
        row("Server Calls", report.server_calls),
    ];
    for (key, version) in &report.newest {
        rows.push((format!("Newest {key}"), version.to_string()));
    }
    if args.dry_run {
        let seconds = estimate(report, args).as_secs_f64();
        rows.push((
            "Estimated Time".to_owned(),
            format!(
                "{seconds:.1} s (reading as measured; {SYNC:?} a sync, {CALL:?} a call assumed)"
            ),
        ));
    }
    for (opens, files) in left.into_iter().flat_map(Sum::in_use) {
        rows.push((format!("In Use: {}", opens.name), files.to_string()));
    }
    Table::of_pairs(rows).to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: RewrapArgs,
    }

    fn args(flags: &[&str]) -> RewrapArgs {
        let line = ["rewrap", "data"].iter().chain(flags);
        Cli::parse_from(line).args
    }

    #[test]
    fn an_estimate_heeds_the_rates_that_were_asked_for() {
        let report = RewrapReport {
            rewrapped: 10_000,
            wraps_sent: 5_000,
            server_calls: 5,
            elapsed: Duration::from_secs(1),
            ..RewrapReport::default()
        };
        let takes = |flags: &[&str]| estimate(&report, &args(flags)).as_millis();
        assert_eq!(takes(&[]), 1000 + 5000 + 25);
        assert_eq!(takes(&["--durability=batch"]), 1000 + 200 + 25);
        assert_eq!(takes(&["--store-rate=100"]), 100_000);
        assert_eq!(takes(&["--server-rate=10"]), 500_000);
    }
}
