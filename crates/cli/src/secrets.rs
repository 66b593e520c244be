//! `keyfold secrets`: the mounts of secrets engines.

use clap::Subcommand;

use crate::error::CliError;
use crate::mounts::{self, Class, EnableArgs, TuneArgs, enable, tune};
use crate::session::Session;

/// The commands of `secrets`.
#[derive(Subcommand)]
pub(crate) enum Secrets {
    /// Mount an engine
    Enable(Box<EnableArgs>),
    /// Unmount an engine: its key and all it stored are destroyed
    Disable {
        /// The mount's path
        path: String,
    },
    /// List the mounts
    List {
        /// Show options and lease times too
        #[arg(long)]
        detailed: bool,
    },
    /// Move a mount to another path, with all it holds
    Move {
        /// Where it is
        from: String,
        /// Where it goes
        to: String,
    },
    /// Change a mount's tuning
    Tune(Box<TuneArgs>),
}

/// Runs one of them.
pub(crate) fn run(session: &Session, secrets: Secrets) -> Result<(), CliError> {
    let class = Class::Secrets;
    match secrets {
        Secrets::Enable(args) => enable::run(session, class, *args),
        Secrets::Disable { path } => mounts::disable(session, class, &path),
        Secrets::List { detailed } => mounts::list(session, class, detailed),
        Secrets::Move { from, to } => mounts::relocate(session, class, &from, &to),
        Secrets::Tune(args) => tune::run(session, class, *args),
    }
}
