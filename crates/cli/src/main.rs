//! The `keyfold` binary: the server, the commands that talk to one, and the data plane.
//!
//! ```text
//! argv ──rewrite──→ Cli ──dispatch──→ a command ──Session──→ client · envelope · server
//!                                         └→ Output (stdout, stderr), CliError → exit code
//! ```
//!
//! Called as `vault` or `bao` it behaves the same; nothing depends on the name.
#![forbid(unsafe_code)]

mod args;
mod argv;
mod audit;
mod auth;
mod completion;
mod demo;
mod envelope;
mod error;
mod exit;
mod keyring;
mod kv;
mod lease;
mod list;
mod logical;
mod login;
mod mounts;
mod namespace;
mod operator;
mod output;
mod pairs;
mod path_help;
mod plugin;
mod policy;
mod progress;
mod prompt;
mod rehearsal;
mod server;
mod session;
mod span;
mod status;
mod token;
mod transit;
mod unwrap;
mod value;
mod variable;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use keyfold_client::Setup;

use crate::args::{Cli, Command};
use crate::error::CliError;
use crate::exit::Exit;
use crate::session::Session;

#[global_allocator]
static ALLOCATOR: keyfold_secret::WipingAllocator = keyfold_secret::WipingAllocator;

fn main() -> ExitCode {
    // Where the kernel refuses this, a short command has nobody to tell; the server warns.
    let _ = keyfold_secret::harden();
    match start(std::env::args_os().collect()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::report(&error, &Setup::default());
            error.exit().into()
        }
    }
}

fn start(argv: Vec<OsString>) -> Result<Exit, CliError> {
    if asks_version(&argv) {
        output::line(&format!("Keyfold v{}", env!("CARGO_PKG_VERSION")))?;
        return Ok(Exit::OK);
    }
    let mut command = Cli::command();
    // Names the flags that clap adds by itself, such as --help.
    command.build();
    let argv = argv::rewrite(&command, argv);
    match parse(&argv) {
        Ok(cli) => dispatch(cli),
        Err(error) => {
            let error = argv::as_typed(error, &argv, |argv| parse(argv).err());
            match output::usage(&error)? {
                Exit::LOCAL if argv::names_no_command(&error, &command, &argv) => {
                    Ok(Exit::NO_COMMAND)
                }
                exit => Ok(exit),
            }
        }
    }
}

fn parse(argv: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches_from(argv)?;
    Cli::from_arg_matches(&matches)
}

/// `keyfold -version`: one line whose second word is the version, which scripts look for.
fn asks_version(argv: &[OsString]) -> bool {
    let first = argv.get(1).and_then(|argument| argument.to_str());
    matches!(first, Some("-version" | "--version" | "-v" | "version"))
}

fn dispatch(cli: Cli) -> Result<Exit, CliError> {
    let session = Session::new(cli.global)?;
    run(&session, cli.command).or_else(|error| {
        output::report(&error, &session.setup());
        Ok(error.exit())
    })
}

fn run(session: &Session, command: Command) -> Result<Exit, CliError> {
    if session.output.is_raw() && !matches!(command, Command::Read(_)) {
        return Err(CliError::Usage(
            "the format raw is for `read`, and for no other command".to_owned(),
        ));
    }
    let done = match command {
        Command::Server(args) => return Ok(server::run(args)),
        Command::Demo(args) => return Ok(demo::run(&args)),
        Command::Status => return status::run(session),
        Command::Operator(operator) => return operator::run(session, operator),
        Command::Rewrap(args) => return envelope::rewrap::run(session, &args),
        Command::Reencrypt(args) => return envelope::reencrypt::run(session, &args),
        Command::Census(args) => return envelope::census::run(session, &args),
        Command::Drill(args) => return envelope::drill::run(session, &args),
        Command::Keyring(keyring) => return keyring::run(session, keyring),
        Command::Login(args) => login::run(session, args),
        Command::Secrets(secrets) => mounts::run(session, mounts::Class::Secrets, secrets),
        Command::Print(print) => login::print(session, &print),
        Command::Auth(auth) => auth::run(session, auth),
        Command::Lease(lease) => lease::run(session, lease),
        Command::Namespace(namespace) => namespace::run(session, namespace),
        Command::Plugin(plugin) => plugin::run(session, plugin),
        Command::Audit(audit) => audit::run(session, audit),
        Command::Patch(args) => logical::patch(session, &args),
        Command::Unwrap { token } => unwrap::run(session, token),
        Command::PathHelp { path } => path_help::run(session, &path),
        Command::Completion(args) => completion::run(&args),
        Command::VersionHistory => version::history(session),
        Command::Policy(policy) => policy::run(session, policy),
        Command::Token(token) => token::run(session, token),
        Command::Kv(kv) => kv::run(session, kv),
        Command::Transit(transit) => transit::run(session, transit),
        Command::Read(args) => logical::read(session, &args),
        Command::Write(args) => logical::write(session, &args),
        Command::List(args) => list::run(session, &args, list::Depth::Folder),
        Command::Scan(args) => list::run(session, &args, list::Depth::Below),
        Command::Delete(args) => logical::delete(session, &args),
        Command::Keygen(args) => envelope::keygen::run(session, &args),
        Command::Slots(slots) => envelope::slots::run(session, &slots),
        Command::Value(args) => value::run(session, &args),
        Command::Encrypt(args) => envelope::encrypt::run(session, args),
        Command::Decrypt(args) => envelope::decrypt::run(session, args),
        Command::Inspect(args) => envelope::inspect::run(session, &args),
        Command::ExitCodes => output::raw(exit::table().as_bytes()),
    };
    done.map(|()| Exit::OK)
}
