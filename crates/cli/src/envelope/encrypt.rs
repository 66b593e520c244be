//! `keyfold encrypt`.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use clap::Args;
use keyfold_envelope::keyring::KeyringRecipient;
use keyfold_envelope::{
    EncryptOptions, Encrypted, Labels, SUFFIX, TransitKey, encrypt_file, encrypt_stream,
};

use super::inspect::slot_document;
use super::parties::{self, For, check_offline_allowed};
use super::{End, InOut, hex, interrupt, key_name, object, stdout};
use crate::error::CliError;
use crate::output::{self, Table};
use crate::progress::Bar;
use crate::session::Session;

/// Arguments of `encrypt`.
#[derive(Args)]
pub(crate) struct EncryptArgs {
    #[command(flatten)]
    parties: For,
    /// Service that the data belongs to; stored in clear
    #[arg(long, value_name = "TEXT")]
    label_service: Option<String>,
    /// Tenant that the data belongs to; stored in clear
    #[arg(long, value_name = "TEXT")]
    label_tenant: Option<String>,
    /// What the data is for; stored in clear
    #[arg(long, value_name = "TEXT")]
    label_purpose: Option<String>,
    #[command(flatten)]
    ends: InOut,
}

/// Encrypts FILE into FILE.kf, a stream into a stream or a file into an object, for a key of the server's, offline keys and
/// a passphrase, as many of these as are named.
pub(crate) fn run(session: &Session, args: EncryptArgs) -> Result<(), CliError> {
    let context = args.ends.context()?;
    let target = args
        .ends
        .named_output()
        .unwrap_or_else(|| End::File(with_suffix(&args.ends.input)));
    if matches!(target, End::Pipe) && io::stdout().is_terminal() && !args.ends.force {
        return Err(CliError::Usage(
            "the output is binary and standard output is a terminal: give -o OUT".to_owned(),
        ));
    }
    let options = EncryptOptions {
        labels: Labels {
            service: args.label_service,
            tenant: args.label_tenant,
            purpose: args.label_purpose,
        },
        overwrite: args.ends.force,
        workers: None,
    };
    let offline = args.parties.offline()?;
    let server = match &args.parties.key {
        Some(key) => Some((session.keys()?, key)),
        None => None,
    };
    if let (Some((keys, key)), false) = (&server, offline.is_empty()) {
        check_offline_allowed(keys, key)?;
    }
    let key = server
        .as_ref()
        .map(|(keys, locator)| TransitKey::new(keys, locator));
    let deks = args.parties.deks(session)?;
    if let (Some((_, key)), false) = (&deks, offline.is_empty()) {
        check_offline_allowed(&session.keys()?, key)?;
    }
    let keyring = deks
        .as_ref()
        .map(|(deks, _)| KeyringRecipient::new(deks, args.ends.input_len()));
    let recipients = parties::all(key.as_ref(), keyring.as_ref(), &offline);
    if recipients.is_empty() {
        return Err(CliError::Usage(
            "nobody could open it: give --key, --keyring, --recipient or --passphrase".to_owned(),
        ));
    }
    if key.is_none() && keyring.is_none() {
        output::note("No key of a server is named: the envelope opens offline only.");
    }
    interrupt::remove_part_on_signal()?;
    let bar = Bar::bytes("encrypting");
    let failed = CliError::envelope(args.ends.subject());
    let path = match target {
        End::Pipe => {
            let input = args.ends.reader()?;
            encrypt_stream(&recipients, &context, input, stdout()?, &options, &bar)
                .map_err(failed)?;
            return Ok(());
        }
        End::Object(address) => {
            let made =
                object::encrypt(&address, &recipients, &context, &args.ends, &options, &bar)?;
            drop(bar);
            return show(session, Path::new(&address), &made);
        }
        End::File(path) => path,
    };
    let input = args.ends.input_path();
    let made = encrypt_file(&recipients, &context, input, &path, &options, &bar);
    let made = made.map_err(failed)?;
    drop(bar);
    show(session, &path, &made)
}

fn show(session: &Session, path: &Path, made: &Encrypted) -> Result<(), CliError> {
    let path = path.to_string_lossy();
    let key = made.slots.iter().find(|slot| slot.locator.is_some());
    let result = serde_json::json!({
        "path": path, "key": key.and_then(|slot| slot.locator.as_ref()).map(|key| key.as_str()),
        "version": key.map(|slot| slot.version),
        "slots": made.slots.iter().map(slot_document).collect::<Vec<_>>(),
        "plaintext_bytes": made.plaintext_len, "envelope_bytes": made.envelope_len,
        "object_id": hex(&made.object_id),
    });
    session.output.result(&result, || {
        let opens_with: Vec<_> = made.slots.iter().map(key_name).collect();
        let row = |key: &str, value: String| (key.to_owned(), value);
        Table::of_pairs([
            row("Envelope", path.to_string()),
            row("Opens With", opens_with.join(", ")),
            row("Plaintext", format!("{} bytes", made.plaintext_len)),
            row("Size", format!("{} bytes", made.envelope_len)),
        ])
        .to_string()
    })
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(SUFFIX);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_is_added_to_the_whole_name() {
        assert_eq!(with_suffix(Path::new("a/b.pdf")), Path::new("a/b.pdf.kf"));
    }
}
