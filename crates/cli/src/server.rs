//! `keyfold server`.

use std::io;
use std::path::PathBuf;

use clap::Args;
use keyfold_client::ClientConfig;
use keyfold_secret::Secret;
use keyfold_server::{Dev, KeepToken};

use crate::exit::Exit;
use crate::output;
use crate::variable;

/// Arguments of `server`.
#[derive(Args)]
pub(crate) struct ServerArgs {
    /// Configuration: a file, or a folder with *.hcl and *.json; may be given several times
    #[arg(long, value_name = "PATH")]
    config: Vec<PathBuf>,
    /// Everything in memory, initialised and unsealed: to try things out
    #[arg(long)]
    dev: bool,
    /// The root token of -dev [env: VAULT_DEV_ROOT_TOKEN_ID]
    #[arg(long, value_name = "TOKEN")]
    dev_root_token_id: Option<String>,
    /// Where -dev listens [default: 127.0.0.1:8200] [env: VAULT_DEV_LISTEN_ADDRESS]
    #[arg(long, value_name = "HOST:PORT")]
    dev_listen_address: Option<String>,
    /// As -dev, over TLS: makes an authority and a certificate, and says where they are
    #[arg(long)]
    dev_tls: bool,
    /// Where their files are made, and stay; without it they go with the server
    #[arg(long, value_name = "DIR", requires = "dev_tls")]
    dev_tls_cert_dir: Option<PathBuf>,
    /// Do not keep the root token of -dev in ~/.vault-token
    #[arg(long)]
    dev_no_store_token: bool,
    /// Mount KV version 1 at secret/ of -dev, in place of version 2
    #[arg(long)]
    dev_kv_v1: bool,
    /// Taken for the sake of scripts: this server never goes on without its core
    #[arg(long)]
    exit_on_core_shutdown: bool,
    /// Refused: the log goes to standard error, which the shell or the service manager keeps
    #[arg(long, value_name = "FILE", hide = true)]
    log_file: Option<PathBuf>,
    /// Refused: shares make a root token while the server serves
    #[arg(long, hide = true)]
    recovery: bool,
    /// trace, debug, info, warn or error
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// standard or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

/// Runs a server until it is told to stop.
pub(crate) fn run(args: ServerArgs) -> Exit {
    let refused = [
        (
            args.log_file.is_some(),
            "-log-file is not offered: the log goes to standard error; let the shell (2>>FILE) or \
             the service manager keep it",
        ),
        (
            args.recovery,
            "-recovery is not offered: this server needs no mode of its own for it. Shares make a \
             root token while it serves (`keyfold operator generate-root`); `keyfold operator \
             diagnose` looks at a store that does not open",
        ),
    ];
    if let Some((_, why)) = refused.into_iter().find(|(given, _)| *given) {
        output::note(&format!("keyfold: {why}"));
        return Exit::LOCAL;
    }
    let dev = Dev {
        root_token: args
            .dev_root_token_id
            .or_else(|| variable::text("DEV_ROOT_TOKEN_ID")),
        address: args
            .dev_listen_address
            .or_else(|| variable::text("DEV_LISTEN_ADDRESS")),
        kv_v1: args.dev_kv_v1,
        tls: args.dev_tls,
        cert_dir: args.dev_tls_cert_dir,
        keep_token: (!args.dev_no_store_token).then_some(keep as KeepToken),
    };
    let code = keyfold_server::run(&keyfold_server::ServerArgs {
        config: args.config,
        dev: (args.dev || args.dev_tls).then_some(dev),
        log_level: args.log_level,
        log_format: args.log_format,
    });
    if code == std::process::ExitCode::SUCCESS {
        Exit::OK
    } else {
        Exit::LOCAL
    }
}

/// Keeps the root token where the other commands look for one.
fn keep(token: &Secret<String>) -> io::Result<PathBuf> {
    let file = ClientConfig::token_file()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "HOME is not set"))?;
    file.write(token)?;
    Ok(file.path().to_owned())
}
