//! `keyfold completion`: what a shell needs to complete commands and flags.

use std::path::Path;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::CliError;
use crate::output;

/// Arguments of `completion`.
#[derive(Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    /// The name that the program is called by [default: the one that it is called by now]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Prints the script, for example for `source <(keyfold completion bash)`.
pub(crate) fn run(args: &CompletionArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    let name = args.name.clone().unwrap_or_else(called);
    clap_complete::generate(args.shell, &mut Cli::command(), name, &mut script);
    output::raw(&script)
}

/// `keyfold`, `vault`, `bao`: whatever link it was started by.
fn called() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program)
        .file_name()
        .and_then(|name| name.to_str());
    name.unwrap_or("keyfold").to_owned()
}
