//! `keyfold decrypt`.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use keyfold_envelope::{
    Bounds, DecryptOptions, Opened, SUFFIX, decrypt_file, decrypt_stream, decrypt_verified,
    open_range, open_range_file,
};

use super::interrupt;
use super::parties::{Opener, With};
use super::{End, InOut, key_name, object, stdout};
use crate::error::CliError;
use crate::keyring::StoreName;
use crate::output::{self, Table};
use crate::progress::Bar;
use crate::session::Session;

/// Arguments of `decrypt`.
#[derive(Args)]
pub(crate) struct DecryptArgs {
    /// The keyring whose data key it is under: a file, kv:MOUNT/PATH, or pg://…
    #[arg(long, value_name = "STORE")]
    keyring: Option<StoreName>,
    /// A part alone, in bytes: A-B, A- to the end, or -N for the last N; to standard output unless -o names a file
    #[arg(long, value_name = "A-B", allow_hyphen_values = true)]
    range: Option<Bounds>,
    /// Read the file twice, and write to a pipe only once all of it is authentic
    #[arg(long, conflicts_with = "range")]
    verify_first: bool,
    #[command(flatten)]
    with: With,
    #[command(flatten)]
    ends: InOut,
}

/// Decrypts FILE.kf into FILE, or a stream into a stream. A file appears only when all of it is
/// authentic; of a stream each chunk is released when it is, or, if that is wished, when all are.
pub(crate) fn run(session: &Session, args: DecryptArgs) -> Result<(), CliError> {
    let ends = args.ends;
    let context = ends.context()?;
    let target = match ends.named_output() {
        Some(target) => target,
        None if args.range.is_some() => End::Pipe,
        None => End::File(without_suffix(&ends.input).ok_or_else(|| {
            CliError::Usage(format!(
                "the input's name does not end with {SUFFIX}: name the output with -o"
            ))
        })?),
    };
    let options = DecryptOptions {
        overwrite: ends.force,
        workers: None,
    };
    let opener = Opener::new(session, &args.with, args.keyring.as_ref())?;
    let identities = opener.identities();
    interrupt::remove_part_on_signal()?;
    let bar = Bar::bytes("decrypting");
    let failed = CliError::envelope(ends.subject());
    let (path, opened) = match (target, object::address_of(&ends.input)) {
        (End::Object(_), _) => return Err(object::no_plaintext()),
        (End::Pipe, Some(_)) if args.verify_first => return Err(object::to_a_file()),
        (target, Some(address)) => {
            let path = match target {
                End::File(path) => Some(path),
                _ => None,
            };
            let to = path.as_deref();
            let opened = object::decrypt(
                address,
                &identities,
                &context,
                to,
                args.range,
                &options,
                &bar,
            );
            (path, opened?)
        }
        (End::Pipe, None) => {
            let input = ends.reader()?;
            let opened = match args.range {
                Some(range) => open_range(&identities, &context, input, range, stdout()?),
                None if args.verify_first => {
                    decrypt_verified(&identities, &context, &input, stdout()?, &options, &bar)
                }
                None => decrypt_stream(&identities, &context, input, stdout()?, &options, &bar),
            };
            (None, opened.map_err(failed)?)
        }
        (End::File(path), None) => {
            let input = ends.input_path();
            let opened = match args.range {
                Some(range) => open_range_file(
                    &identities,
                    &context,
                    input,
                    range,
                    &path,
                    options.overwrite,
                ),
                // A file gets its name only when all of it is authentic anyway.
                None => decrypt_file(&identities, &context, input, &path, &options, &bar),
            };
            (Some(path), opened.map_err(failed)?)
        }
    };
    drop(bar);
    if opened.damaged_slots > 0 {
        output::note(&format!(
            "WARNING: {}: {} of its slots are damaged; another one opened it. Rewrap it.",
            ends.subject().display(),
            opened.damaged_slots
        ));
    }
    path.map_or(Ok(()), |path| show(session, &path, &opened))
}

fn show(session: &Session, path: &Path, opened: &Opened) -> Result<(), CliError> {
    let path = path.to_string_lossy();
    let slot = &opened.slot;
    let result = serde_json::json!({
        "path": path, "slot": slot.index, "type": slot.kind,
        "key": slot.locator.as_ref().map(|locator| locator.as_str()), "version": slot.version,
        "plaintext_bytes": opened.plaintext_len, "damaged_slots": opened.damaged_slots,
    });
    session.output.result(&result, || {
        let row = |key: &str, value: String| (key.to_owned(), value);
        Table::of_pairs([
            row("Plaintext", path.to_string()),
            row("Opened With", key_name(slot)),
            row("Size", format!("{} bytes", opened.plaintext_len)),
        ])
        .to_string()
    })
}

/// The name before `.kf`, if the name ends so.
fn without_suffix(path: &Path) -> Option<PathBuf> {
    let name = path.file_name().map(OsStr::as_bytes)?;
    let name = name
        .strip_suffix(SUFFIX.as_bytes())
        .filter(|name| !name.is_empty())?;
    Some(path.with_file_name(std::ffi::OsString::from_vec(name.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_is_taken_away() {
        assert_eq!(
            without_suffix(Path::new("a/b.pdf.kf")),
            Some(PathBuf::from("a/b.pdf"))
        );
        assert_eq!(without_suffix(Path::new("a/.kf")), None);
        assert_eq!(without_suffix(Path::new("a/b.pdf")), None);
    }
}
