//! `keyfold server`: from arguments to the exit code, with a server in between.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::config::ConfigError;
use crate::config::{Config, Format, Level, Log};
use crate::develop::{Dev, DevTls};
use crate::http::listener::Address;
use crate::logging::{self, Control};
use crate::server::{Server, StartError};
use crate::signals::{Signals, Wish};

/// What stands on the command line.
#[derive(Default)]
pub struct ServerArgs {
    /// `-config`, as often as given: files and folders.
    pub config: Vec<PathBuf>,
    /// `-dev`, in place of a configuration.
    pub dev: Option<Dev>,
    /// `-log-level`, which wins over the configuration.
    pub log_level: Option<String>,
    /// `-log-format`, which wins over the configuration.
    pub log_format: Option<String>,
}

/// Runs a server until it is told to stop. Makes its own runtime, so call it outside of any.
pub fn run(args: &ServerArgs) -> ExitCode {
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody_reads = writeln!(io::stderr(), "keyfold server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &ServerArgs) -> Result<(), StartError> {
    let hardened = keyfold_secret::harden();
    keyfold_secret::return_large_blocks();
    let mut config = configuration(args)?;
    let tls = match &args.dev {
        Some(dev) => dev.certify()?,
        None => None,
    };
    if let (Some(dev), Some(tls)) = (&args.dev, &tls) {
        config.listeners = vec![tls.listener(dev.address())];
    }
    let control = logging::start(config.log).map_err(system("can't start the log"))?;
    if let Err(error) = hardened {
        tracing::warn!(%error, "this process can be dumped: its memory is not closed to others");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(system("can't start threads"))?;
    let ended = runtime.block_on(main(args, config, tls.as_ref(), control.as_ref()));
    if let Some(control) = control {
        control.flush();
    }
    ended
}

async fn main(
    args: &ServerArgs,
    mut config: Config,
    tls: Option<&DevTls>,
    control: Option<&Control>,
) -> Result<(), StartError> {
    let mut signals = Signals::new().map_err(system("can't listen to signals"))?;
    for warning in std::mem::take(&mut config.warnings) {
        tracing::warn!("{warning}");
    }
    let pid_file = config.pid_file.take();
    let delay = config.shutdown_delay;
    let summary = summary(&config);
    let server = Server::start(config).await?;
    if let Some(file) = &pid_file {
        write_pid(file)?;
    }
    if !keyfold_secret::pages_locked() {
        tracing::warn!(
            "key pages are not locked into memory and may be swapped out: \
             raise the limit of locked memory (ulimit -l)"
        );
    }
    for address in server.addresses() {
        if let Address::Tcp { socket, tls: false } = address
            && !socket.ip().is_loopback()
        {
            tracing::warn!("{address} has no TLS: tokens and secrets cross the network in clear");
        }
    }
    banner(&server, &summary);
    if let Some(dev) = &args.dev {
        say(&dev.begin(&server, tls).await?);
    }
    loop {
        match signals.next().await {
            Wish::Stop => break,
            Wish::Reload => reload(args, &server, control).await,
        }
    }
    tracing::info!("stopping");
    if !delay.is_zero() {
        server.leave();
        leave(&mut signals, delay).await;
    }
    let stopped = server.shutdown().await;
    if let Some(file) = &pid_file
        && let Err(error) = std::fs::remove_file(file)
    {
        tracing::warn!(file = %file.display(), %error, "pid file not removed");
    }
    Ok(stopped?)
}

/// Waits, unless it is told to stop once more.
async fn leave(signals: &mut Signals, delay: Duration) {
    let told = async { while signals.next().await != Wish::Stop {} };
    // Either way it is over.
    let _over = tokio::time::timeout(delay, told).await;
}

fn configuration(args: &ServerArgs) -> Result<Config, ConfigError> {
    let mut config = match (&args.dev, args.config.is_empty()) {
        (Some(dev), true) => Config::dev(dev.address()),
        (Some(_), false) => {
            return Err(ConfigError::whole(
                "-dev takes no -config: it keeps everything in memory",
            ));
        }
        (None, true) => {
            return Err(ConfigError::whole(
                "give a configuration with -config FILE or DIR, or try -dev",
            ));
        }
        (None, false) => Config::load(&args.config)?,
    };
    config.log = log(args, config.log)?;
    Ok(config)
}

/// The command line wins.
fn log(args: &ServerArgs, configured: Log) -> Result<Log, ConfigError> {
    let level = match &args.log_level {
        None => configured.level,
        Some(text) => Level::parse(text).ok_or_else(|| {
            ConfigError::whole("-log-level has to be trace, debug, info, warn or error")
        })?,
    };
    let format = match args.log_format.as_deref() {
        None => configured.format,
        Some("standard") => Format::Standard,
        Some("json") => Format::Json,
        Some(_) => return Err(ConfigError::whole("-log-format has to be standard or json")),
    };
    Ok(Log { level, format })
}

/// SIGHUP: TLS files, audit files, and from the configuration the seals and the log level.
async fn reload(args: &ServerArgs, server: &Server, control: Option<&Control>) {
    tracing::info!("reloading");
    server.reload();
    match configuration(args) {
        Ok(config) => {
            if let Some(control) = control {
                control.set_level(config.log.level);
            }
            if let Err(error) = server.reseal(&config).await {
                tracing::error!(%error, "seals not reloaded");
            }
        }
        Err(error) => tracing::error!(%error, "log level and seals not reloaded"),
    }
}

fn summary(config: &Config) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("Storage", config.storage.value.kind.clone()),
        ("Log Level", config.log.level.name().to_owned()),
        ("Version", format!("Keyfold v{}", env!("CARGO_PKG_VERSION"))),
    ];
    lines.extend(config.seals.iter().map(|seal| {
        (
            "Seal",
            format!("{} (\"{}\")", seal.value.kind, seal.value.name),
        )
    }));
    lines.extend(config.audits.iter().map(|audit| {
        (
            "Audit",
            format!("{} (\"{}\")", audit.value.kind, audit.value.name),
        )
    }));
    lines
}

fn banner(server: &Server, summary: &[(&str, String)]) {
    let mut text = String::from("==> Keyfold server configuration:\n\n");
    for address in server.addresses() {
        text.push_str(&format!("{:>16}: listening on {address}\n", "Listener"));
    }
    text.push_str(&format!(
        "{:>16}: {}\n",
        "Api Address",
        server.core().settings().api_addr
    ));
    for (name, value) in summary {
        text.push_str(&format!("{name:>16}: {value}\n"));
    }
    text.push_str("\n==> keyfold server started! Log data will stream in below:\n\n");
    say(&text);
}

/// Whoever started the server may have closed its end; that is no reason to end.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _nobody_reads = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn write_pid(file: &Path) -> Result<(), StartError> {
    std::fs::write(file, format!("{}\n", std::process::id())).map_err(system(format!(
        "can't write the pid file {}",
        file.display()
    )))
}

fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> StartError {
    let what = what.into();
    |source| StartError::System { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(args: &ServerArgs) -> String {
        configuration(args).err().unwrap().to_string()
    }

    #[test]
    fn arguments_that_do_not_go_together() {
        assert!(error(&ServerArgs::default()).contains("-config"));
        let both = ServerArgs {
            dev: Some(Dev::default()),
            config: vec!["x".into()],
            ..ServerArgs::default()
        };
        assert!(error(&both).starts_with("-dev takes no -config"));
        let level = |text: &str| ServerArgs {
            dev: Some(Dev::default()),
            log_level: Some(text.to_owned()),
            ..ServerArgs::default()
        };
        assert!(error(&level("loud")).starts_with("-log-level"));
        assert_eq!(
            configuration(&level("trace")).unwrap().log.level,
            Level::Trace
        );
    }

    #[test]
    fn dev_listens_where_it_is_told() {
        let address = |address: Option<&str>| {
            let args = ServerArgs {
                dev: Some(Dev {
                    address: address.map(str::to_owned),
                    ..Dev::default()
                }),
                ..ServerArgs::default()
            };
            match &configuration(&args).unwrap().listeners[0] {
                crate::config::Listener::Tcp(tcp) => (tcp.address.clone(), tcp.tls.is_some()),
                crate::config::Listener::Unix(_) => panic!("not tcp"),
            }
        };
        assert_eq!(address(None), ("127.0.0.1:8200".to_owned(), false));
        let other = "127.0.0.1:0";
        assert_eq!(address(Some(other)), (other.to_owned(), false));
    }
}
