//! `keyfold operator init`.

use std::fmt::Write as _;

use clap::Args;
use keyfold_client::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::CliError;
use crate::exit::Exit;
use crate::session::Session;

/// Arguments of `operator init`.
#[derive(Args)]
pub(crate) struct InitArgs {
    /// How many shares the unseal key is split into
    #[arg(long, default_value_t = 5, value_name = "N")]
    key_shares: u32,
    /// How many of them unseal
    #[arg(long, default_value_t = 3, value_name = "N")]
    key_threshold: u32,
    /// Only tell whether the server is initialised: exit code 0 if it is, 2 if not
    #[arg(long)]
    status: bool,
}

/// What the server answers.
#[derive(Deserialize)]
struct Made {
    keys: Vec<String>,
    keys_base64: Vec<String>,
    root_token: String,
}

/// What is printed for programs: the names of existing clients.
#[derive(Serialize)]
struct Printed<'a> {
    unseal_keys_b64: &'a [String],
    unseal_keys_hex: &'a [String],
    unseal_shares: u32,
    unseal_threshold: u32,
    recovery_keys_b64: [&'a str; 0],
    recovery_keys_hex: [&'a str; 0],
    recovery_keys_shares: u32,
    recovery_keys_threshold: u32,
    root_token: &'a str,
}

/// Initialises the server and prints what it will never tell again.
pub(crate) fn run(session: &Session, args: &InitArgs) -> Result<Exit, CliError> {
    if args.status {
        return status(session);
    }
    let body = json!({"secret_shares": args.key_shares, "secret_threshold": args.key_threshold});
    let made: Made = session.call(&Request::write("sys/init", &body)?)?.json()?;
    let printed = Printed {
        unseal_keys_b64: &made.keys_base64,
        unseal_keys_hex: &made.keys,
        unseal_shares: args.key_shares,
        unseal_threshold: args.key_threshold,
        recovery_keys_b64: [],
        recovery_keys_hex: [],
        recovery_keys_shares: 0,
        recovery_keys_threshold: 0,
        root_token: &made.root_token,
    };
    session.output.result(&printed, || text(&made, args))?;
    Ok(Exit::OK)
}

fn status(session: &Session) -> Result<Exit, CliError> {
    let answer: Value = session.call(&Request::read("sys/init"))?.json()?;
    let initialized = answer.get("initialized").and_then(Value::as_bool) == Some(true);
    session.output.result(&answer, || {
        let not = if initialized { "" } else { " not" };
        format!("The server is{not} initialized\n")
    })?;
    Ok(if initialized { Exit::OK } else { Exit::SERVER })
}

fn text(made: &Made, args: &InitArgs) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for (at, key) in made.keys_base64.iter().enumerate() {
        let _ = writeln!(text, "Unseal Key {}: {key}", at + 1);
    }
    let _ = writeln!(text, "\nInitial Root Token: {}\n", made.root_token);
    let _ = writeln!(
        text,
        "The unseal key is split into {} shares, of which any {} unseal the server. Give each \
         share to\nanother person. Nobody can restore them: without {} of them, what the server \
         stores is lost.\n\nNext: `keyfold operator unseal`, {} times.",
        args.key_shares, args.key_threshold, args.key_threshold, args.key_threshold
    );
    text
}
