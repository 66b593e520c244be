//! `keyfold keyring rotate` and `destroy`.

use clap::Args;
use keyfold_envelope::cache::CacheLimits;
use keyfold_envelope::keyring::DekOptions;
use serde_json::json;

use super::{PLACES, StoreName, census};
use crate::error::CliError;
use crate::output::Table;
use crate::session::Session;

/// Arguments of `keyring rotate`.
#[derive(Args)]
#[command(after_help = PLACES)]
pub(crate) struct RotateArgs {
    /// The keyring: a file, kv:MOUNT/PATH, or pg://…
    #[arg(value_name = "STORE")]
    store: StoreName,
}

/// Arguments of `keyring destroy`.
#[derive(Args)]
#[command(after_help = PLACES)]
pub(crate) struct DestroyArgs {
    /// Needed: nothing brings the data back
    #[arg(long, short = 'f')]
    force: bool,
    /// The keyring: a file, kv:MOUNT/PATH, or pg://…
    #[arg(value_name = "STORE")]
    store: StoreName,
    /// The number of the data key
    #[arg(value_name = "DEK")]
    dek_no: u32,
}

/// Makes a new data key.
pub(super) fn run(session: &Session, args: &RotateArgs) -> Result<(), CliError> {
    let (store, options) = (&args.store, DekOptions::default());
    let deks = store.deks(session, options, CacheLimits::default())?;
    let dek_no = deks.rotate().map_err(store.failed())?;
    census::tell(session, store);
    let keyring = deks.keyring().map_err(store.failed())?;
    let row = keyring.row(dek_no);
    let version = row.and_then(|row| row.version()).unwrap_or_default();
    let key = row.map_or(keyring.key(), |row| &row.key);
    let result = json!({
        "store": store.to_string(), "service": keyring.service(), "dek_no": dek_no,
        "key": key.as_str(), "version": version,
    });
    session.output.result(&result, || {
        let row = |key: &str, value: String| (key.to_owned(), value);
        Table::of_pairs([
            row("Keyring", store.to_string()),
            row("Service", keyring.service().to_owned()),
            row("New DEK", dek_no.to_string()),
            row("Key", format!("{key} version {version}")),
        ])
        .to_string()
    })
}

/// Destroys the wrap of a data key.
pub(super) fn destroy(session: &Session, args: &DestroyArgs) -> Result<(), CliError> {
    if !args.force {
        return Err(CliError::Usage(format!(
            "what DEK {} encrypted would never open again: give -force if that is wanted",
            args.dek_no
        )));
    }
    let (store, options) = (&args.store, DekOptions::default());
    let deks = store.deks(session, options, CacheLimits::default())?;
    deks.destroy(args.dek_no).map_err(store.failed())?;
    census::tell(session, store);
    session
        .output
        .done(&format!("DEK {} of {store} is destroyed.", args.dek_no))
}
