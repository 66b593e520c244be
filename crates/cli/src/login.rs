//! `keyfold login`: a token that is at hand, or one that an auth method gives.

use std::io;

use clap::{Args, Subcommand};
use keyfold_client::{ClientError, Request};
use keyfold_secret::Secret;
use serde_json::{Map, Value};

use crate::error::CliError;
use crate::output::{self, Answer};
use crate::pairs;
use crate::prompt;
use crate::session::Session;

/// The methods that a login can be made with. Those that log in a name have it in the path.
const METHODS: [(&str, bool); 8] = [
    ("token", false),
    ("userpass", true),
    ("ldap", true),
    ("radius", true),
    ("approle", false),
    ("jwt", false),
    ("kubernetes", false),
    ("cert", false),
];

/// Arguments of `login`.
#[derive(Args)]
pub(crate) struct LoginArgs {
    /// The auth method: token, userpass, approle, jwt; where the server has them also cert,
    /// kubernetes, ldap, radius
    #[arg(long, default_value = "token", value_name = "NAME")]
    method: String,
    /// Where the method is mounted; its name when absent
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Do not keep the token in ~/.vault-token
    #[arg(long)]
    no_store: bool,
    /// Do not print the token
    #[arg(long)]
    no_print: bool,
    /// Print the token alone, and do not keep it
    #[arg(long)]
    token_only: bool,
    /// Method token: the token, `-` for a line of standard input, asked for when absent. Others:
    /// name=value; userpass takes username=NAME and asks for the password
    arguments: Vec<String>,
}

/// The commands of `print`.
#[derive(Subcommand)]
pub(crate) enum Print {
    /// Print the token that commands use
    Token,
}

/// Prints it.
pub(crate) fn print(session: &Session, print: &Print) -> Result<(), CliError> {
    match print {
        Print::Token => {
            let token = session.token()?;
            let text = token.as_ref().map_or("", |token| token.expose().as_str());
            output::line(text)
        }
    }
}

/// Logs in, keeps the token, and prints what it is.
pub(crate) fn run(session: &Session, args: LoginArgs) -> Result<(), CliError> {
    let (token, answer) = match args.method.as_str() {
        "token" => with_token(session, &args.arguments)?,
        _ => {
            let answer = by_method(session, &args)?;
            if answer.is_wrapped() {
                // The token is not ours yet: whoever unwraps it has it.
                return session.output.answer(&answer);
            }
            let token = answer.token().ok_or(CliError::Answer("auth"))?;
            (token, answer)
        }
    };
    if args.token_only {
        if session.output.is_for_programs() {
            return session.output.document(token.expose());
        }
        return output::raw(token.expose().as_bytes());
    }
    if !args.no_print {
        session.output.answer(&answer)?;
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

/// Checks a token that is at hand.
fn with_token(
    session: &Session,
    arguments: &[String],
) -> Result<(Secret<String>, Answer), CliError> {
    let given = match arguments {
        [] => None,
        [token] => Some(token.strip_prefix("token=").unwrap_or(token).to_owned()),
        _ => return Err(CliError::Usage("the token method takes one token".into())),
    };
    let token = prompt::secret(given, "token")?;
    if token.expose().is_empty() {
        return Err(CliError::Usage("the token is empty".to_owned()));
    }
    let looked_up = look_up(&session.with_token(&token)?)?;
    let auth = as_auth(&token, &looked_up);
    Ok((token, Answer::of_auth(auth)))
}

/// Asks an auth method.
fn by_method(session: &Session, args: &LoginArgs) -> Result<Answer, CliError> {
    let known = METHODS.iter().find(|(name, _)| *name == args.method);
    let Some((_, named)) = known else {
        let names: Vec<_> = METHODS.iter().map(|(name, _)| *name).collect();
        return Err(CliError::Usage(format!(
            "no way to log in by {:?} is known here: -method is one of {}; the login of any other is \
             `keyfold write auth/PATH/login NAME=VALUE`",
            args.method,
            names.join(", ")
        )));
    };
    let mut members = pairs::object(&args.arguments, &mut io::stdin())?;
    let mount = args
        .path
        .as_deref()
        .unwrap_or(&args.method)
        .trim_matches('/');
    let mut path = format!("auth/{mount}/login");
    if *named {
        let Some(Value::String(name)) = members.remove("username") else {
            return Err(CliError::Refused(
                "say who logs in: username=NAME".to_owned(),
            ));
        };
        if !members.contains_key("password") {
            let password = prompt::secret(None, "password")?;
            members.insert("password".to_owned(), password.expose().clone().into());
        }
        path = format!("{path}/{name}");
    }
    let response = session.send(&Request::write(&path, &members)?)?;
    Ok(Answer::of(&response.success()?)?)
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
