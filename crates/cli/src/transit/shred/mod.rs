//! `keyfold transit shred`: a key is destroyed for good, by two people.

mod show;
mod verify;

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use keyfold_client::Request;
use keyfold_envelope::Locator;
use serde_json::{Map, Value};

use super::path;
use crate::error::CliError;
use crate::output::Answer;
use crate::session::Session;
use crate::span::span;

/// Arguments of `transit shred`.
#[derive(Args)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct ShredArgs {
    /// The next steps; without one the destruction of a key is asked for
    #[command(subcommand)]
    step: Option<Step>,
    /// Why the key goes: the receipt tells it
    #[arg(long, value_name = "TEXT", required = true)]
    reason: Option<String>,
    /// How long it waits before it may be destroyed; a week when absent
    #[arg(long, value_name = "DURATION", value_parser = span)]
    delay: Option<String>,
    /// The key: transit/payments, or payments for one of the mount transit
    #[arg(value_name = "MOUNT/NAME", value_parser = super::key, required = true)]
    key: Option<Locator>,
}

/// The steps after the first.
#[derive(Subcommand)]
enum Step {
    /// Agree to the destruction that somebody else has asked for
    Approve(Named),
    /// Keep the key
    Cancel(Named),
    /// Destroy the key, after its delay, and print the receipt
    Destroy {
        /// Keep the signed receipt in this file, which must not be there yet
        #[arg(long, value_name = "FILE")]
        receipt: Option<PathBuf>,
        #[command(flatten)]
        named: Named,
    },
    /// Show how far it is, what needs the key yet, and what the destruction does not reach
    Status(Named),
    /// Verify a signed receipt, without the server
    Verify(verify::VerifyArgs),
}

/// A key.
#[derive(Args)]
struct Named {
    /// The key: transit/payments, or payments for one of the mount transit
    #[arg(value_name = "MOUNT/NAME", value_parser = super::key)]
    key: Locator,
}

/// Runs one of them.
pub(crate) fn run(session: &Session, args: &ShredArgs) -> Result<(), CliError> {
    let Some(step) = &args.step else {
        return begin(session, args);
    };
    if args.reason.is_some() || args.delay.is_some() {
        let text = "--reason and --delay are for the first step, `transit shred MOUNT/NAME`";
        return Err(CliError::Usage(text.to_owned()));
    }
    match step {
        Step::Approve(named) => tell(session, write(&named.key, "shred/approve", &Map::new())?),
        Step::Cancel(named) => tell(session, write(&named.key, "shred/cancel", &Map::new())?),
        Step::Status(named) => tell(session, Request::read(&path(&named.key, "shred"))),
        Step::Destroy { receipt, named } => destroy(session, &named.key, receipt.as_deref()),
        Step::Verify(args) => verify::run(session, args),
    }
}

fn begin(session: &Session, args: &ShredArgs) -> Result<(), CliError> {
    let missing = |what: &str| CliError::Usage(format!("{what} is missing"));
    let key = args.key.as_ref().ok_or_else(|| missing("MOUNT/NAME"))?;
    let reason = args.reason.clone().ok_or_else(|| missing("--reason"))?;
    let mut body = Map::new();
    body.insert("reason".to_owned(), reason.into());
    if let Some(delay) = &args.delay {
        body.insert("delay".to_owned(), delay.clone().into());
    }
    tell(session, write(key, "shred", &body)?)
}

fn write(key: &Locator, below: &str, body: &Map<String, Value>) -> Result<Request, CliError> {
    Ok(Request::write(&path(key, below), body)?)
}

/// Takes a step, or none, and shows how far it is then.
fn tell(session: &Session, request: Request) -> Result<(), CliError> {
    let answer = Answer::of(&session.call(&request)?)?;
    session.output.warnings(answer.warnings());
    let data = Value::Object(answer.data.ok_or(CliError::Answer("data"))?);
    session.output.result(&data, || show::state(&data))
}

fn destroy(session: &Session, key: &Locator, file: Option<&Path>) -> Result<(), CliError> {
    // Before the key is gone: a file that can't be written is told in time.
    let mut kept = file.map(Kept::begin).transpose()?;
    let request = write(key, "shred/destroy", &Map::new())?;
    let answer = Answer::of(&session.call(&request)?)?;
    let data = Value::Object(answer.data.ok_or(CliError::Answer("data"))?);
    if let Some(kept) = &mut kept {
        let envelope = data.get("envelope").ok_or(CliError::Answer("envelope"))?;
        kept.write(envelope)?;
    }
    session.output.result(&data, || show::receipt(&data))
}

/// A file for a receipt, removed where nothing came of it.
struct Kept<'p> {
    path: &'p Path,
    file: File,
    written: bool,
}

impl<'p> Kept<'p> {
    fn begin(path: &'p Path) -> Result<Self, CliError> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let what = format!("can't write {}", path.display());
        Ok(Self {
            path,
            file: file.map_err(CliError::io(what))?,
            written: false,
        })
    }

    fn write(&mut self, envelope: &Value) -> Result<(), CliError> {
        let text = format!("{envelope}\n");
        let done = self.file.write_all(text.as_bytes());
        let done = done.and_then(|()| self.file.sync_all());
        let what = format!(
            "the key is destroyed, and its receipt can't be written to {}; the server has it, below \
             shred/receipts of the mount",
            self.path.display()
        );
        done.map_err(CliError::io(what))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if !self.written {
            let _nothing_to_do = std::fs::remove_file(self.path);
        }
    }
}
