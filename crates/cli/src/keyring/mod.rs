//! `keyfold keyring`: keyrings, whose DEKs serve many objects each.

mod census;
mod create;
mod rewrap;
mod rotate;
mod show;
mod store;

use clap::Subcommand;

use crate::error::CliError;
use crate::exit::Exit;
use crate::session::Session;

pub(crate) use store::{PLACES, StoreName};

/// The commands of `keyring`.
#[derive(Subcommand)]
pub(crate) enum Keyring {
    /// Make a keyring for a service, with a first data key
    Create(create::CreateArgs),
    /// Show the data keys of a keyring; needs no key
    Show(show::ShowArgs),
    /// Make a new data key now, for what is encrypted from now on
    Rotate(rotate::RotateArgs),
    /// Count its data keys by the version that wraps them
    Census(census::CensusArgs),
    /// Move all data keys to the newest version of the key that wraps them
    Rewrap(rewrap::RewrapArgs),
    /// Destroy a data key: what it encrypted never opens again
    Destroy(rotate::DestroyArgs),
}

/// Runs one of them.
pub(crate) fn run(session: &Session, keyring: Keyring) -> Result<Exit, CliError> {
    let done = match keyring {
        Keyring::Create(args) => create::run(session, &args),
        Keyring::Show(args) => show::run(session, &args),
        Keyring::Census(args) => census::run(session, &args),
        Keyring::Rotate(args) => rotate::run(session, &args),
        Keyring::Destroy(args) => rotate::destroy(session, &args),
        Keyring::Rewrap(args) => return rewrap::run(session, &args),
    };
    done.map(|()| Exit::OK)
}
