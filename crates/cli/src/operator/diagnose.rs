//! `keyfold operator validate-config` and `operator diagnose`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use keyfold_server::diagnose::{self, Finding, Part, Status};

use crate::error::CliError;
use crate::exit::Exit;
use crate::output;
use crate::session::Session;
use crate::variable;

/// Arguments of `operator validate-config`.
#[derive(Args)]
pub(crate) struct ValidateArgs {
    /// Configuration: a file, or a folder with *.hcl and *.json; may be given several times
    /// [env: VAULT_CONFIG_PATH]
    #[arg(long, value_name = "PATH")]
    config: Vec<PathBuf>,
}

/// Arguments of `operator diagnose`.
#[derive(Args)]
pub(crate) struct DiagnoseArgs {
    #[command(flatten)]
    of: ValidateArgs,
    /// A part to leave out; while a server runs, it has the storage and the listeners. May be
    /// given several times
    #[arg(long, value_enum, value_name = "PART")]
    skip: Vec<Skip>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Skip {
    /// The store.
    Storage,
    /// The seals.
    Autounseal,
    /// The addresses and their TLS files.
    Listener,
}

/// Checks a configuration. Exit code 0: a server starts with it; 2: and has something to remark;
/// 1: it does not start.
pub(crate) fn validate(session: &Session, args: ValidateArgs) -> Result<Exit, CliError> {
    let Some(paths) = named(args.config) else {
        return Ok(unnamed());
    };
    let finding = diagnose::validate(&paths);
    session.output.result(&finding, || text(&finding))?;
    Ok(match finding.status {
        Status::Fail => Exit::LOCAL,
        Status::Warn => Exit::SERVER,
        Status::Ok | Status::Skipped => Exit::OK,
    })
}

/// Checks what a start needs. Exit codes as of [`validate`], and 4 where the configuration or the
/// storage can't be used.
pub(crate) fn run(session: &Session, args: DiagnoseArgs) -> Result<Exit, CliError> {
    let Some(paths) = named(args.of.config) else {
        return Ok(unnamed());
    };
    let skipped: Vec<_> = args.skip.into_iter().map(Part::from).collect();
    let diagnosis = diagnose::diagnose(&paths, &skipped);
    let diagnosis = diagnosis.map_err(CliError::io("can't start a thread"))?;
    let finding = &diagnosis.finding;
    session.output.result(finding, || text(finding))?;
    Ok(match finding.status {
        _ if !diagnosis.complete => Exit::UNUSABLE,
        Status::Fail => Exit::LOCAL,
        Status::Warn => Exit::SERVER,
        Status::Ok | Status::Skipped => Exit::OK,
    })
}

fn named(given: Vec<PathBuf>) -> Option<Vec<PathBuf>> {
    if !given.is_empty() {
        return Some(given);
    }
    let (_, path) = variable::find("CONFIG_PATH")?;
    Some(vec![PathBuf::from(path)])
}

fn unnamed() -> Exit {
    output::note("keyfold: name a configuration: -config=FILE or -config=DIR");
    Exit::UNNAMED
}

fn text(finding: &Finding) -> String {
    let mut text = format!("Keyfold v{}\n", env!("CARGO_PKG_VERSION"));
    add(&mut text, finding, 0);
    text
}

fn add(text: &mut String, finding: &Finding, depth: usize) {
    let word = |status| match status {
        Status::Ok => "success",
        Status::Warn => "warning",
        Status::Fail => "failure",
        Status::Skipped => "skipped",
    };
    let indent = "  ".repeat(depth);
    let message = match &finding.message {
        Some(message) => format!(": {message}"),
        None => String::new(),
    };
    let (status, name) = (word(finding.status), &finding.name);
    text.push_str(&format!("{indent}[ {status} ] {name}{message}\n"));
    for warning in &finding.warnings {
        text.push_str(&format!("{indent}  [ warning ] {warning}\n"));
    }
    for child in &finding.children {
        add(text, child, depth + 1);
    }
}

impl From<Skip> for Part {
    fn from(skip: Skip) -> Self {
        match skip {
            Skip::Storage => Self::Storage,
            Skip::Autounseal => Self::Seals,
            Skip::Listener => Self::Listeners,
        }
    }
}
