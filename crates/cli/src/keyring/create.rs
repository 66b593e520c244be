//! `keyfold keyring create`.

use clap::Args;
use keyfold_envelope::Locator;
use keyfold_envelope::cache::{Clock as _, SystemClock};
use keyfold_envelope::keyring::{Keyring, ServiceDeks};

use super::{PLACES, StoreName, census, show};
use crate::error::CliError;
use crate::session::Session;

/// Arguments of `keyring create`.
#[derive(Args)]
#[command(after_help = PLACES)]
pub(crate) struct CreateArgs {
    /// The key of the server's that wraps the data keys: transit/payments
    #[arg(long, value_name = "MOUNT/NAME")]
    key: Locator,
    /// Where to keep it: a file, kv:MOUNT/PATH, or pg://…
    #[arg(long, value_name = "STORE")]
    store: StoreName,
    /// The service that the data belongs to
    #[arg(value_name = "NAME")]
    service: String,
}

/// Makes a keyring where none is.
pub(super) fn run(session: &Session, args: &CreateArgs) -> Result<(), CliError> {
    let empty = Keyring::new(&args.service, args.key.clone());
    let empty = empty.map_err(args.store.failed())?;
    let (store, keys) = (args.store.store(session)?, session.keys()?);
    let made = ServiceDeks::create(&*store, &keys, &empty, SystemClock::new().now());
    let made = made.map_err(args.store.failed())?;
    census::tell(session, &args.store);
    show::print(session, &args.store, &made)
}
