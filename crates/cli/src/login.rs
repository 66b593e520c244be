//! `keyfold login`: the token method.

use clap::Args;
use keyfold_client::{ClientError, Request};
use keyfold_secret::Secret;
use serde_json::{Map, Value};

use crate::error::CliError;
use crate::output::{self, Answer};
use crate::prompt;
use crate::session::Session;

/// Arguments of `login`.
#[derive(Args)]
pub(crate) struct LoginArgs {
    /// The auth method; this version has the token method alone
    #[arg(long, default_value = "token", value_parser = ["token"], value_name = "NAME")]
    method: String,
    /// Do not keep the token in ~/.vault-token
    #[arg(long)]
    no_store: bool,
    /// Do not print the token
    #[arg(long)]
    no_print: bool,
    /// Print the token alone, and do not keep it
    #[arg(long)]
    token_only: bool,
    /// The token, also written token=TOKEN; `-` reads a line of standard input; asked for when
    /// absent
    token: Option<String>,
}

/// Checks a token, keeps it, and prints what it is.
pub(crate) fn run(session: &Session, args: LoginArgs) -> Result<(), CliError> {
    let given = args.token.map(|token| match token.strip_prefix("token=") {
        Some(token) => token.to_owned(),
        None => token,
    });
    let token = prompt::secret(given, "token")?;
    if token.expose().is_empty() {
        return Err(CliError::Usage("the token is empty".to_owned()));
    }
    let session = session.with_token(&token)?;
    let looked_up = look_up(&session)?;
    if args.token_only {
        return output::raw(token.expose().as_bytes());
    }
    if !args.no_print {
        let auth = as_auth(&token, &looked_up);
        session.output.answer(&Answer::of_auth(auth))?;
    }
    // Last: a login that fails, in whatever, keeps nothing.
    if !args.no_store {
        keep(&token)?;
    }
    if session.output.is_table() && !args.no_print {
        let kept = if args.no_store {
            ""
        } else {
            " The token is kept for the next commands."
        };
        output::note(&format!("Success! You are now authenticated.{kept}"));
    }
    Ok(())
}

/// What the server knows of the session's token.
fn look_up(session: &Session) -> Result<Answer, CliError> {
    let response = session.send(&Request::read("auth/token/lookup-self"))?;
    let answer = response.success().map_err(|error| match error {
        ClientError::Api { status: 403, .. } => CliError::Login(error),
        error => error.into(),
    })?;
    let answer = Answer::of(&answer)?;
    // Whoever says yes to everything has looked nothing up.
    if answer.has_data() {
        Ok(answer)
    } else {
        Err(CliError::Answer("data"))
    }
}

fn keep(token: &Secret<String>) -> Result<(), CliError> {
    let file = Session::token_file()?;
    file.write(token).map_err(CliError::io(format!(
        "can't write {}",
        file.path().display()
    )))?;
    for name in ["KEYFOLD_TOKEN", "BAO_TOKEN", "VAULT_TOKEN"] {
        if std::env::var_os(name).is_some_and(|value| !value.is_empty()) {
            output::note(&format!(
                "WARNING: {name} is set and wins over the token kept here."
            ));
        }
    }
    Ok(())
}

/// The answer of a lookup in the form of a login's.
fn as_auth(token: &Secret<String>, looked_up: &Answer) -> Map<String, Value> {
    let mut auth = Map::new();
    auth.insert("client_token".to_owned(), token.expose().clone().into());
    for (from, to) in [
        ("accessor", "accessor"),
        ("policies", "policies"),
        ("policies", "token_policies"),
        ("ttl", "lease_duration"),
        ("entity_id", "entity_id"),
        ("orphan", "orphan"),
        ("type", "token_type"),
        ("meta", "metadata"),
    ] {
        let value = looked_up.datum(from).cloned().unwrap_or_default();
        auth.insert(to.to_owned(), value);
    }
    // A token without end is looked up without this member.
    let renewable = looked_up.datum("renewable").and_then(Value::as_bool);
    auth.insert("renewable".to_owned(), renewable.unwrap_or(false).into());
    auth
}
