//! `keyfold operator`: the seal and the keys below it.

mod ceremony;
mod cluster;
mod diagnose;
mod drill;
mod generate_root;
mod init;
mod key_status;
mod keys;
mod migrate;
mod rekey;
mod rotate;
mod rotate_dek;
mod seal;
mod share;
mod snapshot;
mod unseal;

use clap::Subcommand;

use crate::error::CliError;
use crate::exit::Exit;
use crate::session::Session;

/// The commands of `operator`.
#[derive(Subcommand)]
pub(crate) enum Operator {
    /// Make the server's keys: shares of the unseal key, and the first root token
    Init(init::InitArgs),
    /// Give one share; the server unseals when it has enough
    Unseal(unseal::UnsealArgs),
    /// Forget all keys until the server is unsealed again; or `check` what opens it
    Seal(seal::SealArgs),
    /// Check a share
    Share(share::ShareArgs),
    /// Make a new root token, by giving shares
    GenerateRoot(generate_root::GenerateRootArgs),
    /// Make new shares in the place of the old ones, by giving these
    Rekey(rekey::RekeyArgs),
    /// The same with a token besides; of a store that only shares open, a new root key is made too
    RotateKeys(rekey::RekeyArgs),
    /// Save the store to a file, put one in its place, look into one
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
    /// Rehearse a restore: put a snapshot into a sandbox, open it there, and report; exit code 2
    /// when something failed
    Drill(drill::DrillArgs),
    /// The snapshot commands under the name that other servers have for them
    #[command(subcommand)]
    Raft(Raft),
    /// Put a new KEK in place, under which all mount keys are wrapped anew; or say when that is done
    /// by itself
    Rotate(rotate::RotateArgs),
    /// Put a new root key in place by the seals alone, where no shares open the store; else
    /// `rotate-keys` does so with their holders
    RotateRoot,
    /// Put all records of a mount under a new DEK, and destroy the old one
    RotateDek(rotate_dek::RotateDekArgs),
    /// Account for every key
    Keys(keys::KeysArgs),
    /// Show the KEK's term, its age and its use
    KeyStatus,
    /// Say whether a server starts with a configuration; exit code 1 when not, 2 with warnings
    ValidateConfig(diagnose::ValidateArgs),
    /// The same, and try the storage, the seals and the listeners
    Diagnose(diagnose::DiagnoseArgs),
    /// Move a store into another storage, while no server runs: all of it in one step, and compared
    MigrateStore(migrate::StoreArgs),
    /// The same, told by a file with storage_source and storage_destination
    Migrate(migrate::FileArgs),
    /// List the nodes of the cluster
    Members,
    /// Have another node take the lead
    StepDown,
}

/// The commands of `operator raft`.
#[derive(Subcommand)]
pub(crate) enum Raft {
    /// Save the store to a file, put one in its place, look into one
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
}

/// Runs one of them.
pub(crate) fn run(session: &Session, operator: Operator) -> Result<Exit, CliError> {
    let done = match operator {
        Operator::Init(args) => return init::run(session, &args),
        Operator::Unseal(args) => unseal::run(session, args),
        Operator::Seal(args) => return seal::run(session, &args),
        Operator::Share(args) => share::run(session, args),
        Operator::GenerateRoot(args) => generate_root::run(session, args),
        Operator::Rekey(args) => rekey::run(session, args, rekey::Family::Rekey),
        Operator::RotateKeys(args) => rekey::run(session, args, rekey::Family::Rotate),
        Operator::Snapshot(args) | Operator::Raft(Raft::Snapshot(args)) => {
            snapshot::run(session, &args)
        }
        Operator::Drill(args) => return drill::run(session, args),
        Operator::Rotate(args) => rotate::run(session, &args),
        Operator::RotateRoot => rotate::root(session),
        Operator::RotateDek(args) => rotate_dek::run(session, &args),
        Operator::Keys(args) => keys::run(session, &args),
        Operator::KeyStatus => key_status::run(session),
        Operator::ValidateConfig(args) => return diagnose::validate(session, args),
        Operator::Diagnose(args) => return diagnose::run(session, args),
        Operator::MigrateStore(args) => migrate::store(session, &args),
        Operator::Migrate(args) => migrate::file(session, &args),
        Operator::Members => cluster::members(session),
        Operator::StepDown => cluster::step_down(session),
    };
    done.map(|()| Exit::OK)
}
