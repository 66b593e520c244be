//! `keyfold operator init`.

use std::fmt::Write as _;

use clap::Args;
use keyfold_client::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::ceremony;
use crate::error::CliError;
use crate::exit::Exit;
use crate::session::Session;

/// Shares that are handed out when nobody says how many, and how many of them are needed.
const USUAL: (u32, u32) = (5, 3);

/// Arguments of `operator init`.
#[derive(Args)]
pub(crate) struct InitArgs {
    /// How many shares the unseal key is split into [default: 5]
    #[arg(long, value_name = "N")]
    key_shares: Option<u32>,
    /// How many of them unseal [default: 3]
    #[arg(long, value_name = "N")]
    key_threshold: Option<u32>,
    /// The same for the shares beside a seal that unseals by itself; 0 for none [default: 5]
    #[arg(long, value_name = "N")]
    recovery_shares: Option<u32>,
    /// How many of those are needed [default: 3]
    #[arg(long, value_name = "N")]
    recovery_threshold: Option<u32>,
    /// Files with OpenPGP keys, one for each share, for which these are encrypted
    #[arg(long, value_name = "FILE,...", value_delimiter = ',')]
    pgp_keys: Vec<String>,
    /// The same for the shares beside a seal
    #[arg(long, value_name = "FILE,...", value_delimiter = ',')]
    recovery_pgp_keys: Vec<String>,
    /// A file with an OpenPGP key, for which the root token is encrypted
    #[arg(long, value_name = "FILE")]
    root_token_pgp_key: Option<String>,
    /// Only tell whether the server is initialised: exit code 0 if it is, 2 if not
    #[arg(long)]
    status: bool,
}

/// What is asked for.
struct Split {
    /// The server has a seal that unseals by itself.
    recovery: bool,
    shares: u32,
    threshold: u32,
}

/// What the server answers.
#[derive(Deserialize)]
struct Made {
    keys: Vec<String>,
    keys_base64: Vec<String>,
    #[serde(default)]
    recovery_keys: Vec<String>,
    #[serde(default)]
    recovery_keys_base64: Vec<String>,
    root_token: String,
}

/// What is printed for programs: the names of existing clients.
#[derive(Serialize)]
struct Printed<'a> {
    unseal_keys_b64: &'a [String],
    unseal_keys_hex: &'a [String],
    unseal_shares: u32,
    unseal_threshold: u32,
    recovery_keys_b64: &'a [String],
    recovery_keys_hex: &'a [String],
    recovery_keys_shares: u32,
    recovery_keys_threshold: u32,
    root_token: &'a str,
}

/// Initialises the server and prints what it will never tell again.
pub(crate) fn run(session: &Session, args: &InitArgs) -> Result<Exit, CliError> {
    if args.status {
        return status(session);
    }
    let split = split(session, args)?;
    let (shares, threshold) = (split.shares, split.threshold);
    let mut body = match split.recovery {
        false => json!({"secret_shares": shares, "secret_threshold": threshold}),
        true => json!({"recovery_shares": shares, "recovery_threshold": threshold}),
    };
    if let Some(body) = body.as_object_mut() {
        body.extend(pgp_keys(args)?);
    }
    let made: Made = session.call(&Request::write("sys/init", &body)?)?.json()?;
    let of = |recovery: bool| match recovery == split.recovery {
        true => (shares, threshold),
        false => (0, 0),
    };
    let printed = Printed {
        unseal_keys_b64: &made.keys_base64,
        unseal_keys_hex: &made.keys,
        unseal_shares: of(false).0,
        unseal_threshold: of(false).1,
        recovery_keys_b64: &made.recovery_keys_base64,
        recovery_keys_hex: &made.recovery_keys,
        recovery_keys_shares: of(true).0,
        recovery_keys_threshold: of(true).1,
        root_token: &made.root_token,
    };
    session.output.result(&printed, || text(&made, &split))?;
    Ok(Exit::OK)
}

/// Which shares are meant: what is said, else what the server's seal takes.
fn split(session: &Session, args: &InitArgs) -> Result<Split, CliError> {
    let secret = args.key_shares.is_some() || args.key_threshold.is_some();
    let recovery = args.recovery_shares.is_some() || args.recovery_threshold.is_some();
    let recovery = match (secret, recovery) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => {
            let status = session.ask(&Request::read("sys/seal-status"))?;
            let status: Value = status.success()?.json()?;
            status.get("recovery_seal").and_then(Value::as_bool) == Some(true)
        }
    };
    let (shares, threshold) = match recovery {
        false => (args.key_shares, args.key_threshold),
        true => (args.recovery_shares, args.recovery_threshold),
    };
    let shares = shares.unwrap_or(USUAL.0);
    Ok(Split {
        recovery,
        shares,
        threshold: threshold.unwrap_or(if shares == 0 { 0 } else { USUAL.1 }),
    })
}

/// The OpenPGP keys, as members of the request.
fn pgp_keys(args: &InitArgs) -> Result<Map<String, Value>, CliError> {
    let mut members = Map::new();
    for (name, files) in [
        ("pgp_keys", &args.pgp_keys),
        ("recovery_pgp_keys", &args.recovery_pgp_keys),
    ] {
        let keys = files.iter().map(|file| ceremony::pgp_key(file));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if !keys.is_empty() {
            members.insert(name.to_owned(), json!(keys));
        }
    }
    if let Some(file) = &args.root_token_pgp_key {
        let key = ceremony::pgp_key(file)?;
        members.insert("root_token_pgp_key".to_owned(), json!(key));
    }
    Ok(members)
}

fn status(session: &Session) -> Result<Exit, CliError> {
    let answer: Value = session.call(&Request::read("sys/init"))?.json()?;
    let initialized = answer.get("initialized").and_then(Value::as_bool) == Some(true);
    // As existing clients spell it.
    let told = json!({"Initialized": initialized});
    session.output.result(&told, || {
        let not = if initialized { "" } else { " not" };
        format!("The server is{not} initialized\n")
    })?;
    Ok(if initialized { Exit::OK } else { Exit::SERVER })
}

fn text(made: &Made, split: &Split) -> String {
    let mut text = String::new();
    let (name, keys) = match split.recovery {
        false => ("Unseal Key", &made.keys_base64),
        true => ("Recovery Key", &made.recovery_keys_base64),
    };
    // Writing to a String does not fail.
    for (at, key) in keys.iter().enumerate() {
        let _ = writeln!(text, "{name} {}: {key}", at + 1);
    }
    let _ = writeln!(text, "\nInitial Root Token: {}\n", made.root_token);
    let (shares, threshold) = (split.shares, split.threshold);
    let _ = match (split.recovery, shares) {
        (false, _) => writeln!(
            text,
            "The unseal key is split into {shares} shares, of which any {threshold} unseal the \
             server. Give each share to\nanother person. Nobody can restore them: without \
             {threshold} of them, what the server stores is lost.\n\nNext: `keyfold operator \
             unseal`, {threshold} times."
        ),
        (true, 0) => writeln!(
            text,
            "The server unseals by itself. There are no shares: when its seals are gone, what it \
             stores is lost."
        ),
        (true, _) => writeln!(
            text,
            "The server unseals by itself. When its seals are gone, any {threshold} of the \
             {shares} recovery keys unseal it\n(unless it was configured that they do not): give \
             each to another person."
        ),
    };
    text
}
