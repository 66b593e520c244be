//! `keyfold completion`: what a shell needs to complete commands and flags.

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
    /// The name that the program is called by
    #[arg(long, default_value = "keyfold", value_name = "NAME")]
    name: String,
}

/// Prints the script, for example for `source <(keyfold completion bash)`.
pub(crate) fn run(args: &CompletionArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), &args.name, &mut script);
    output::raw(&script)
}
