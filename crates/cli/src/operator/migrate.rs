//! `keyfold operator migrate-store` and `operator migrate`.

use std::path::PathBuf;

use clap::Args;
use keyfold_server::migrate::{MigrateError, Migration, Moved};

use crate::error::CliError;
use crate::output::{self, Table};
use crate::progress::Bar;
use crate::session::Session;

/// Arguments of `operator migrate-store`.
#[derive(Args)]
pub(crate) struct StoreArgs {
    /// The configuration of the server whose store it is: a file or a folder; its storage counts,
    /// nothing else of it. May be given several times
    #[arg(long, value_name = "PATH", required = true)]
    from: Vec<PathBuf>,
    /// The configuration of the server that is to have it; its storage has to be empty
    #[arg(long, value_name = "PATH", required = true)]
    to: Vec<PathBuf>,
}

/// Arguments of `operator migrate`.
#[derive(Args)]
pub(crate) struct FileArgs {
    /// A file with the blocks storage_source and storage_destination
    #[arg(long, value_name = "FILE", required = true)]
    config: PathBuf,
    /// Refused: all is moved in one step
    #[arg(long, value_name = "KEY", hide = true)]
    start: Option<String>,
    /// Without effect: a move that was stopped leaves nothing behind
    #[arg(long, hide = true)]
    reset: bool,
    /// Without effect: one after the other
    #[arg(long, value_name = "N", hide = true)]
    max_parallel: Option<u32>,
}

/// Moves a store from one server's storage to another's.
pub(crate) fn store(session: &Session, args: &StoreArgs) -> Result<(), CliError> {
    run(session, Migration::between(&args.from, &args.to))
}

/// The same in the form that other servers have for it.
pub(crate) fn file(session: &Session, args: &FileArgs) -> Result<(), CliError> {
    if args.start.is_some() {
        return Err(CliError::Usage(
            "-start is not offered: all is moved in one step, or nothing".to_owned(),
        ));
    }
    for (given, flag) in [
        (args.reset, "-reset"),
        (args.max_parallel.is_some(), "-max-parallel"),
    ] {
        if given {
            output::note(&format!("WARNING: {flag} has no effect"));
        }
    }
    run(session, Migration::read(&args.config))
}

fn run(session: &Session, migration: Result<Migration, MigrateError>) -> Result<(), CliError> {
    let failed = |error: MigrateError| CliError::Usage(error.to_string());
    let bar = Bar::records();
    let watch = |what: &'static str, passed: usize, of: usize| {
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        bar.show(what, number(passed), number(of));
    };
    let moved = migration.and_then(|migration| migration.run(&watch));
    drop(bar);
    let moved = moved.map_err(failed)?;
    session.output.result(&moved, || table(&moved))
}

fn table(moved: &Moved) -> String {
    let rows = [
        ("From", moved.from.clone()),
        ("To", moved.to.clone()),
        ("Records", moved.records.to_string()),
        ("Bytes", moved.bytes.to_string()),
        ("Revision of the source", moved.revision.to_string()),
    ];
    let rows = rows.map(|(name, value)| (name.to_owned(), value));
    format!(
        "{}\nSuccess! Moved, and every record compared. What opens the old store opens the new one. The \
         old one is as it was: start no server on it again.\n",
        Table::of_pairs(rows)
    )
}
