//! `keyfold transit`: what reading and writing paths would not do for the keys of a service.

mod import;

use clap::Subcommand;

use crate::error::CliError;
use crate::session::Session;

/// The commands of `transit`.
#[derive(Subcommand)]
pub(crate) enum Transit {
    /// Take over a key that was made elsewhere
    Import(import::ImportArgs),
    /// Take over a version for a key that was imported
    ImportVersion(import::ImportArgs),
}

/// Runs one of them.
pub(crate) fn run(session: &Session, transit: Transit) -> Result<(), CliError> {
    match transit {
        Transit::Import(args) => import::run(session, &args, import::Call::Import),
        Transit::ImportVersion(args) => import::run(session, &args, import::Call::ImportVersion),
    }
}
