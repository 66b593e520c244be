//! The data plane: `encrypt`, `decrypt`, `inspect`, `slots`, `rewrap`, `reencrypt`, `census`, `drill`, `keygen`.

pub(crate) mod census;
pub(crate) mod decrypt;
pub(crate) mod drill;
pub(crate) mod encrypt;
mod events;
pub(crate) mod inspect;
mod interrupt;
mod journal;
pub(crate) mod keygen;
mod object;
pub(crate) mod parties;
mod pipe;
mod place;
pub(crate) mod reencrypt;
pub(crate) mod register;
pub(crate) mod rewrap;
mod scan;
pub(crate) mod secret_file;
pub(crate) mod slots;
pub(crate) mod target;
mod watch;

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use keyfold_envelope::slot::{SlotState, TYPE_KEYRING, TYPE_PASSPHRASE, TYPE_X_WING};
use keyfold_envelope::{Context, Locator, SlotInfo, Unreadable};
use serde_json::{Value, json};

pub(crate) use inspect::time;

use crate::error::CliError;
use crate::exit;

/// Where bytes come from and go to.
#[derive(Args)]
pub(crate) struct InOut {
    /// The output; `-` is standard output
    #[arg(short = 'o', long = "output", value_name = "OUT")]
    output: Option<PathBuf>,
    /// Replace an output that exists
    #[arg(long, short = 'f')]
    force: bool,
    /// The encryption context: pairs that decrypting needs again; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    context: Vec<String>,
    /// The input; `-` is standard input
    #[arg(value_name = "FILE|-")]
    input: PathBuf,
}

/// An end of the data plane.
pub(super) enum End {
    /// A file, by its name.
    File(PathBuf),
    /// Standard input or output.
    Pipe,
    /// An object of a bucket, by its address.
    Object(String),
}

impl InOut {
    fn context(&self) -> Result<Context, CliError> {
        context_of(&self.context)
    }

    /// The output that was named, or, for a pipe, standard output; `None` where the input's name
    /// has to tell.
    fn named_output(&self) -> Option<End> {
        match &self.output {
            Some(path) if is_dash(path) => Some(End::Pipe),
            Some(path) => Some(match object::address_of(path) {
                Some(address) => End::Object(address.to_owned()),
                None => End::File(path.clone()),
            }),
            None if is_dash(&self.input) => Some(End::Pipe),
            None => None,
        }
    }

    /// The input, opened for reading as a stream.
    fn reader(&self) -> Result<File, CliError> {
        if is_dash(&self.input) {
            pipe::widen(io::stdin());
            let stdin = io::stdin().as_fd().try_clone_to_owned();
            return stdin
                .map(File::from)
                .map_err(CliError::io("can't read standard input"));
        }
        File::open(&self.input)
            .map_err(CliError::io(format!("can't read {}", self.input.display())))
    }

    /// Where the input can be opened.
    fn input_path(&self) -> &Path {
        if is_dash(&self.input) {
            pipe::widen(io::stdin());
            Path::new("/dev/stdin")
        } else {
            &self.input
        }
    }

    /// Bytes of the input, where it is a file; else 0.
    fn input_len(&self) -> u64 {
        let metadata = std::fs::metadata(&self.input);
        metadata.map_or(0, |metadata| metadata.len())
    }

    /// What to call the input in an error.
    fn subject(&self) -> &Path {
        if is_dash(&self.input) {
            Path::new("standard input")
        } else {
            &self.input
        }
    }
}

fn context_of(pairs: &[String]) -> Result<Context, CliError> {
    Context::from_pairs(pairs).map_err(|error| CliError::Usage(error.to_string()))
}

/// Standard output without a buffer: the data plane writes whole batches.
struct Stdout(File);

fn stdout() -> Result<Stdout, CliError> {
    pipe::widen(io::stdout());
    let stdout = io::stdout().as_fd().try_clone_to_owned();
    stdout
        .map(|stdout| Stdout(File::from(stdout)))
        .map_err(CliError::io("can't write the output"))
}

/// Its errors say what they are of: what is told with them is the input's name.
impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| match error.kind() {
            ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, format!("can't write standard output: {error}")),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn state_name(state: SlotState) -> &'static str {
    match state {
        SlotState::Active => "active",
        SlotState::Pending => "pending",
        SlotState::Retired => "retired",
    }
}

/// What wraps a DEK, for people.
fn opens_with(locator: Option<&Locator>, kind: u8, kek_id: &[u8; 16], version: u32) -> String {
    match (locator, kind) {
        (Some(locator), _) => format!("{locator} version {version}"),
        (None, TYPE_X_WING) => {
            let id = hex(kek_id);
            format!("offline key {}", id.get(..16).unwrap_or(&id))
        }
        (None, TYPE_KEYRING) => format!("DEK {version} of a keyring"),
        (None, TYPE_PASSPHRASE) => "a passphrase".to_owned(),
        (None, kind) => format!("type {kind}"),
    }
}

/// The same, of a slot.
fn key_name(slot: &SlotInfo) -> String {
    opens_with(slot.locator.as_ref(), slot.kind, &slot.kek_id, slot.version)
}

/// What failed, for programs.
fn failures<'a>(failures: impl IntoIterator<Item = &'a Unreadable>) -> Vec<Value> {
    let failure = |failure: &Unreadable| {
        json!({
            "path": failure.path.to_string_lossy(),
            "error": failure.error.to_string(),
            "exit_code": exit::of_envelope(&failure.error).0,
        })
    };
    failures.into_iter().map(failure).collect()
}

/// Seconds, to the thousandth.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_hex() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
    }
}
