//! `keyfold auth`: the mounts of auth methods.

use clap::Subcommand;

use crate::error::CliError;
use crate::mounts::{self, Class, EnableArgs, TuneArgs, enable, tune};
use crate::path_help;
use crate::session::Session;

/// The commands of `auth`.
#[derive(Subcommand)]
pub(crate) enum Auth {
    /// Mount an auth method
    Enable(Box<EnableArgs>),
    /// Unmount an auth method: the tokens of its logins are revoked
    Disable {
        /// The mount's path
        path: String,
    },
    /// List the auth methods
    List {
        /// Show options and lease times too
        #[arg(long)]
        detailed: bool,
    },
    /// Move an auth method to another path, with all it holds
    Move {
        /// Where it is
        from: String,
        /// Where it goes
        to: String,
    },
    /// Change an auth method's tuning
    Tune(Box<TuneArgs>),
    /// Show what the paths of an auth method are for
    #[command(name = "help")]
    About {
        /// The mount's path
        path: String,
    },
}

/// Runs one of them.
pub(crate) fn run(session: &Session, auth: Auth) -> Result<(), CliError> {
    let class = Class::Auth;
    match auth {
        Auth::Enable(args) => enable::run(session, class, *args),
        Auth::Disable { path } => mounts::disable(session, class, &path),
        Auth::List { detailed } => mounts::list(session, class, detailed),
        Auth::Move { from, to } => mounts::relocate(session, class, &from, &to),
        Auth::Tune(args) => tune::run(session, class, *args),
        Auth::About { path } => path_help::run(session, &format!("auth/{path}")),
    }
}
