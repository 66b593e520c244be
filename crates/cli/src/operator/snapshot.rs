//! `keyfold operator snapshot`: backups.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use keyfold_client::{Method, Request};
use keyfold_server::snapshot::{self, Draft, FileError, Summary};

use crate::error::CliError;
use crate::output::{Answer, Table, note, text_of};
use crate::session::Session;

/// The commands of `operator snapshot`.
#[derive(Subcommand)]
pub(crate) enum Snapshot {
    /// Save a snapshot of the store to a file, which gets its name once it is whole
    Save(FileArgs),
    /// Put a snapshot in the place of all that the server has; it is sealed then
    Restore(RestoreArgs),
    /// Show what a snapshot file holds, without a server and without keys
    Inspect(FileArgs),
}

/// A snapshot file.
#[derive(Args)]
pub(crate) struct FileArgs {
    /// The snapshot file
    file: PathBuf,
}

/// Arguments of `operator snapshot restore`.
#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// Take it though it is of another store: what the server has is lost all the same
    #[arg(long)]
    force: bool,
    /// The snapshot file
    file: PathBuf,
}

/// Runs one of them.
pub(crate) fn run(session: &Session, snapshot: &Snapshot) -> Result<(), CliError> {
    match snapshot {
        Snapshot::Save(args) => save(session, &args.file),
        Snapshot::Restore(args) => restore(session, args),
        Snapshot::Inspect(args) => inspect(session, &args.file),
    }
}

fn save(session: &Session, path: &Path) -> Result<(), CliError> {
    let request = Request::read("sys/storage/raft/snapshot");
    let mut draft = Draft::begin(path).map_err(refused)?;
    let what = format!("can't write {}", path.display());
    session.download(&request, &what, |piece| draft.write(piece))?;
    let summary = draft.keep().map_err(refused)?;
    session.output.result(&summary, || {
        format!(
            "Success! Saved {} records ({} bytes) as of revision {} to {}\n",
            summary.records,
            summary.bytes,
            summary.header.revision,
            path.display()
        )
    })
}

fn restore(session: &Session, args: &RestoreArgs) -> Result<(), CliError> {
    // What is broken is told before anything is sent.
    snapshot::inspect(&args.file).map_err(refused)?;
    let path = match args.force {
        false => "sys/storage/raft/snapshot",
        true => "sys/storage/raft/snapshot-force",
    };
    let what = format!("can't read {}", args.file.display());
    let file = File::open(&args.file).map_err(CliError::io(what.clone()))?;
    let request = Request::new(Method::Post, path);
    let answer = Answer::of(&session.upload(&request, &what, file)?)?;
    for warning in answer.warnings() {
        note(&format!("WARNING: {warning}"));
    }
    let data = answer.data.ok_or(CliError::Answer("data"))?;
    session.output.result(&data, || {
        let of = |name: &str| data.get(name).map(text_of).unwrap_or_default();
        format!(
            "Success! Restored {} records of {}. The server is sealed: what opened that store then \
             opens it now.\n",
            of("records"),
            of("created")
        )
    })
}

fn inspect(session: &Session, path: &Path) -> Result<(), CliError> {
    let summary = snapshot::inspect(path).map_err(of_file)?;
    session.output.result(&summary, || table(&summary))
}

fn table(summary: &Summary) -> String {
    let header = &summary.header;
    let rows = [
        ("Store", header.store.clone()),
        ("Created", header.created.clone()),
        ("Revision", header.revision.to_string()),
        ("Program", header.program.clone()),
        ("Records", summary.records.to_string()),
        ("Bytes", summary.bytes.to_string()),
        ("Checksum", format!("sha256:{}", summary.checksum)),
        ("Seals", summary.seals.join(", ")),
    ];
    let rows = rows.map(|(name, value)| (name.to_owned(), value));
    let folders = summary.folders.iter().map(|(name, folder)| {
        let (records, bytes) = (folder.records.to_string(), folder.bytes.to_string());
        vec![name.clone(), records, bytes]
    });
    format!(
        "{}\n{}",
        Table::of_pairs(rows),
        Table::new(&["Folder", "Records", "Bytes"], folders.collect())
    )
}

/// Not counted to this machine: existing clients have the server look at the file.
fn refused(error: FileError) -> CliError {
    CliError::Refused(error.to_string())
}

/// What is wrong with a file of this machine.
pub(super) fn of_file(error: FileError) -> CliError {
    match error {
        FileError::Io { path, source } => CliError::io(path.display().to_string())(source),
        fault @ FileError::Fault { .. } => CliError::Snapshot(fault),
    }
}
