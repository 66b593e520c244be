//! `keyfold keyring show`.

use clap::Args;
use keyfold_envelope::keyring::{DekState, Keyring, Row};
use serde_json::{Value, json};

use super::{PLACES, StoreName};
use crate::envelope::{hex, time};
use crate::error::CliError;
use crate::output::Table;
use crate::session::Session;

/// Arguments of `keyring show`.
#[derive(Args)]
#[command(after_help = PLACES)]
pub(crate) struct ShowArgs {
    /// The keyring: a file, kv:MOUNT/PATH, or pg://…
    #[arg(value_name = "STORE")]
    store: StoreName,
}

/// Prints the rows. Nothing of it is proven before a data key is used.
pub(super) fn run(session: &Session, args: &ShowArgs) -> Result<(), CliError> {
    let keyring = args.store.store(session)?.load();
    print(session, &args.store, &keyring.map_err(args.store.failed())?)
}

pub(super) fn print(
    session: &Session,
    store: &StoreName,
    keyring: &Keyring,
) -> Result<(), CliError> {
    let document = document(store, keyring);
    session.output.result(&document, || text(store, keyring))
}

fn document(store: &StoreName, keyring: &Keyring) -> Value {
    let active = keyring.active().map(|row| row.dek_no);
    json!({
        "store": store.to_string(),
        "service": keyring.service(),
        "key": keyring.key().as_str(),
        "active_dek_no": active,
        "deks": keyring.rows().iter().map(row_document).collect::<Vec<_>>(),
    })
}

fn row_document(row: &Row) -> Value {
    json!({
        "dek_no": row.dek_no,
        "dek_id": hex(&row.dek_id),
        "state": state_name(row.state),
        "key": row.key.as_str(),
        "kek_id": hex(&row.kek_id),
        "version": row.version(),
        "bound": row.bound,
        "created": time(row.created),
        "commitment": hex(&row.commitment),
        "uses": row.uses,
        "bytes": row.bytes,
    })
}

fn text(store: &StoreName, keyring: &Keyring) -> String {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let head = Table::of_pairs([
        pair("Keyring", store.to_string()),
        pair("Service", keyring.service().to_owned()),
        pair("Key", keyring.key().to_string()),
    ]);
    let headings = [
        "DEK", "State", "Key", "Version", "Created", "Objects", "Bytes", "ID",
    ];
    let rows = keyring.rows().iter().map(|row| {
        vec![
            row.dek_no.to_string(),
            state_name(row.state).to_owned(),
            row.key.to_string(),
            row.version()
                .map(|version| version.to_string())
                .unwrap_or_default(),
            time(row.created),
            row.uses.to_string(),
            row.bytes.to_string(),
            hex(&row.dek_id),
        ]
    });
    format!("{head}\n{}", Table::new(&headings, rows.collect()))
}

fn state_name(state: DekState) -> &'static str {
    match state {
        DekState::Active => "active",
        DekState::Retired => "retired",
        DekState::Destroyed => "destroyed",
    }
}
