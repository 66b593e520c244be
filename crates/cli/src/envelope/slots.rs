//! `keyfold slots`: who may open an envelope that exists.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use keyfold_envelope::keyring::KeyringRecipient;
use keyfold_envelope::{Locator, SlotInfo, TransitKey, Which, add_slot, inspect, remove_slots};
use serde_json::json;

use super::parties::{For, Opener, With, check_offline_allowed};
use super::place::files_only;
use super::{context_of, inspect as shown};
use crate::error::CliError;
use crate::keyring::StoreName;
use crate::session::Session;

/// The commands of `slots`.
#[derive(Subcommand)]
pub(crate) enum Slots {
    /// Show the slots of an envelope; needs no key and no server
    List {
        /// The envelope
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Let somebody else open an envelope too. It is opened once for that, by the server unless an
    /// identity or a passphrase is given
    Add(AddArgs),
    /// Take somebody's slot away. Whoever opened the envelope with it may have kept the file's key: see
    /// `reencrypt` for that
    Remove(RemoveArgs),
}

/// Arguments of `slots add`.
#[derive(Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    parties: For,
    /// Open it with this file of offline keys or exported keys; may be given several times
    #[arg(long, visible_alias = "kek-file", value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Open it with the keyring whose data key it is under: a file, kv:MOUNT/PATH, or pg://…
    #[arg(long, value_name = "STORE")]
    unlock_keyring: Option<StoreName>,
    /// Open it with the passphrase that it has, which is asked for
    #[arg(long, conflicts_with = "unlock_passphrase_file")]
    unlock_passphrase: bool,
    /// The same, from the first line of a file
    #[arg(long, value_name = "FILE|-")]
    unlock_passphrase_file: Option<PathBuf>,
    /// The encryption context that it was encrypted with; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    context: Vec<String>,
    /// The envelope
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Arguments of `slots remove`.
#[derive(Args)]
pub(crate) struct RemoveArgs {
    /// The number of the slot, as `slots list` shows it
    #[arg(long, value_name = "NUMBER", required_unless_present = "key")]
    slot: Option<usize>,
    /// All slots of a key of the server's, retired ones too
    #[arg(long, value_name = "MOUNT/NAME", conflicts_with = "slot")]
    key: Option<Locator>,
    /// Remove it though it is the last one in use: the envelope never opens again
    #[arg(long, short = 'f')]
    force: bool,
    /// The envelope
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs one of them.
pub(crate) fn run(session: &Session, slots: &Slots) -> Result<(), CliError> {
    let file = match slots {
        Slots::List { file } => file,
        Slots::Add(args) => &args.file,
        Slots::Remove(args) => &args.file,
    };
    files_only([file], shown::HEADER_ALONE)?;
    match slots {
        Slots::List { file } => {
            let found = inspect(file).map_err(CliError::envelope(file))?;
            show(session, &found.slots)
        }
        Slots::Add(args) => add(session, args),
        Slots::Remove(args) => remove(session, args),
    }
}

fn add(session: &Session, args: &AddArgs) -> Result<(), CliError> {
    let context = context_of(&args.context)?;
    let offline = args.parties.offline()?;
    let deks = args.parties.deks(session)?;
    if offline.is_empty() && args.parties.key.is_none() && deks.is_none() {
        return Err(CliError::Usage(
            "nobody is named: give --key, --keyring, --recipient or --passphrase".to_owned(),
        ));
    }
    let failed = || CliError::envelope(&args.file);
    let there = inspect(&args.file).map_err(failed())?;
    if !offline.is_empty() {
        let wraps = there.slots.iter().filter_map(|slot| slot.locator.as_ref());
        let mut keys: Vec<_> = wraps.chain(&args.parties.key).collect();
        keys.extend(deks.as_ref().map(|(_, key)| key));
        keys.sort();
        keys.dedup();
        for key in keys {
            check_offline_allowed(&session.keys()?, key)?;
        }
    }
    let with = With {
        identity: args.identity.clone(),
        passphrase: args.unlock_passphrase,
        passphrase_file: args.unlock_passphrase_file.clone(),
    };
    let opener = Opener::new(session, &with, args.unlock_keyring.as_ref())?;
    let identities = opener.identities();
    let mut added = Vec::new();
    let server = match &args.parties.key {
        Some(key) => Some((session.keys()?, key)),
        None => None,
    };
    let key = server
        .as_ref()
        .map(|(keys, locator)| TransitKey::new(keys, locator));
    let bytes = there.plaintext_len.unwrap_or_default();
    let keyring = deks
        .as_ref()
        .map(|(deks, _)| KeyringRecipient::new(deks, bytes));
    for recipient in super::parties::all(key.as_ref(), keyring.as_ref(), &offline) {
        let slot = add_slot(&args.file, &identities, &context, recipient);
        added.push(slot.map_err(failed())?);
    }
    show(session, &added)
}

fn remove(session: &Session, args: &RemoveArgs) -> Result<(), CliError> {
    let which = match (&args.key, args.slot) {
        (Some(key), _) => Which::Key(key.clone()),
        (None, number) => Which::Number(number.unwrap_or_default()),
    };
    let removed = remove_slots(&args.file, &which, args.force);
    show(session, &removed.map_err(CliError::envelope(&args.file))?)
}

fn show(session: &Session, slots: &[SlotInfo]) -> Result<(), CliError> {
    let documents: Vec<_> = slots.iter().map(shown::slot_document).collect();
    session.output.result(&json!({"slots": documents}), || {
        shown::slots(slots).to_string()
    })
}
