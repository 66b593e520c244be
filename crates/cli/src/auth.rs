//! `keyfold auth`: the mounts of auth methods.

use clap::Subcommand;

use crate::error::CliError;
use crate::mounts::{self, Class, Mounts};
use crate::path_help;
use crate::session::Session;

/// The commands of `auth`.
#[derive(Subcommand)]
pub(crate) enum Auth {
    #[command(flatten)]
    Mounts(Mounts),
    /// Show what the paths of an auth method are for
    #[command(name = "help")]
    About {
        /// The mount's path
        path: String,
    },
}

/// Runs one of them.
pub(crate) fn run(session: &Session, auth: Auth) -> Result<(), CliError> {
    match auth {
        Auth::Mounts(mounts) => mounts::run(session, Class::Auth, mounts),
        Auth::About { path } => path_help::run(session, &format!("auth/{path}")),
    }
}
