//! `keyfold server`.

use std::path::PathBuf;

use clap::Args;

use crate::exit::Exit;

/// Arguments of `server`.
#[derive(Args)]
pub(crate) struct ServerArgs {
    /// Configuration: a file, or a folder with *.hcl and *.json; may be given several times
    #[arg(long, value_name = "PATH")]
    config: Vec<PathBuf>,
    /// Everything in memory, initialised and unsealed: to try things out
    #[arg(long)]
    dev: bool,
    /// The root token of -dev
    #[arg(long, value_name = "TOKEN")]
    dev_root_token_id: Option<String>,
    /// Where -dev listens [default: 127.0.0.1:8200]
    #[arg(long, value_name = "HOST:PORT")]
    dev_listen_address: Option<String>,
    /// trace, debug, info, warn or error
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// standard or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

/// Runs a server until it is told to stop.
pub(crate) fn run(args: ServerArgs) -> Exit {
    let code = keyfold_server::run(&keyfold_server::ServerArgs {
        config: args.config,
        dev: args.dev,
        dev_root_token_id: args.dev_root_token_id,
        dev_listen_address: args.dev_listen_address,
        log_level: args.log_level,
        log_format: args.log_format,
    });
    if code == std::process::ExitCode::SUCCESS {
        Exit::OK
    } else {
        Exit::LOCAL
    }
}
