//! `keyfold read`, `write`, `patch`, `delete`: any path of the API.

use std::io;

use clap::Args;
use keyfold_client::{Method, Request, Response};
use serde_json::Value;

use crate::error::CliError;
use crate::output::{self, Answer};
use crate::pairs;
use crate::session::Session;

/// What is written here is wrapped, for so long where nothing else is wished.
const WRAP: &str = "sys/wrapping/wrap";
const WRAP_TTL: &str = "5m";

/// Arguments of `read`.
#[derive(Args)]
pub(crate) struct ReadArgs {
    /// The path below /v1/
    path: String,
    /// Parameters: name=value
    parameters: Vec<String>,
}

/// Arguments of `write`.
#[derive(Args)]
pub(crate) struct WriteArgs {
    /// Write without any data
    #[arg(long, short = 'f')]
    force: bool,
    /// The path below /v1/
    path: String,
    /// name=value, name=@FILE, name=- (standard input), or a whole JSON object: @FILE, -
    data: Vec<String>,
}

/// Arguments of `patch`.
#[derive(Args)]
pub(crate) struct PatchArgs {
    /// Patch without any data
    #[arg(long, short = 'f')]
    force: bool,
    /// The path below /v1/
    path: String,
    /// name=value, name=@FILE, name=- (standard input), or a whole JSON object: @FILE, -
    data: Vec<String>,
}

/// Arguments of `delete`.
#[derive(Args)]
pub(crate) struct PathArgs {
    /// The path below /v1/
    path: String,
}

/// Reads a path.
pub(crate) fn read(session: &Session, args: &ReadArgs) -> Result<(), CliError> {
    let mut request = Request::read(&args.path);
    for (name, value) in &pairs::object(&args.parameters, &mut io::stdin())? {
        request = request.with_query(name, value.as_str().unwrap_or_default());
    }
    if session.output.is_raw() {
        return output::raw(session.call(&request)?.body.expose());
    }
    session.output.answer(&found(
        &session.send(&request)?,
        &args.path,
        above(&args.path),
    )?)
}

/// Writes to a path.
pub(crate) fn write(session: &Session, args: &WriteArgs) -> Result<(), CliError> {
    if args.data.is_empty() && !args.force {
        return Err(CliError::Usage(
            "give data (name=value, name=@FILE, @FILE, -), or -force to write without any".into(),
        ));
    }
    let data = pairs::object(&args.data, &mut io::stdin())?;
    let mut request = Request::write(&args.path, &data)?;
    if args.path.trim_matches('/') == WRAP {
        request = request.wrapped_for(WRAP_TTL);
    }
    let response = session.call(&request)?;
    shown(
        session,
        &response,
        &format!("Success! Data written to: {}", args.path),
    )
}

/// Merges into what is at a path.
pub(crate) fn patch(session: &Session, args: &PatchArgs) -> Result<(), CliError> {
    if args.data.is_empty() && !args.force {
        return Err(CliError::Usage(
            "give data (name=value, name=@FILE, @FILE, -), or -force to patch without any".into(),
        ));
    }
    let data = pairs::object(&args.data, &mut io::stdin())?;
    let response = session.call(&Request::patch(&args.path, &data)?)?;
    let sentence = format!("Success! Data written to: {}", args.path);
    shown(session, &response, &sentence)
}

/// Deletes a path.
pub(crate) fn delete(session: &Session, args: &PathArgs) -> Result<(), CliError> {
    let response = session.call(&Request::new(Method::Delete, &args.path))?;
    let sentence = format!("Success! Data deleted (if it existed) at: {}", args.path);
    shown(session, &response, &sentence)
}

/// The names that a list call answers. `see` is the command to name where there are none.
pub(crate) fn names(session: &Session, path: &str, see: String) -> Result<Vec<String>, CliError> {
    keys(&found(&session.send(&Request::list(path))?, path, see)?)
}

/// The names in the answer of a list.
pub(crate) fn keys(answer: &Answer) -> Result<Vec<String>, CliError> {
    let keys = answer.datum("keys").and_then(Value::as_array);
    let names = keys.ok_or(CliError::Answer("keys"))?.iter();
    Ok(names
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect())
}

/// A good answer, or one that says "nothing there" and has something to tell all the same: a
/// deleted version of a secret has metadata. `see` is the command to name where it has not.
pub(crate) fn found(response: &Response, path: &str, see: String) -> Result<Answer, CliError> {
    let path = path.to_owned();
    match response.status {
        200 => Ok(Answer::of(response)?),
        404 => {
            let answer = Answer::of(response).unwrap_or_default();
            // "No handler for that path" is more than "no value".
            let silent = matches!(
                response.error(),
                keyfold_client::ClientError::Api { errors, .. } if errors.is_empty()
            );
            if answer.has_content() {
                Ok(answer)
            } else if silent {
                Err(CliError::NoValue { path, see })
            } else {
                Err(response.error().into())
            }
        }
        204 => Err(CliError::NoValue { path, see }),
        _ => Err(response.error().into()),
    }
}

/// The command that lists what is beside `path`.
pub(crate) fn above(path: &str) -> String {
    match path.trim_matches('/').rsplit_once('/') {
        Some((folder, _)) => format!("keyfold list {folder}"),
        None => "keyfold secrets list".to_owned(),
    }
}

/// Prints the warnings of an answer to a request whose result is only that it was done.
pub(crate) fn show_warnings(response: &Response) -> Result<(), CliError> {
    if !response.is_empty() {
        for warning in Answer::of(response)?.warnings() {
            output::note(&format!("WARNING: {warning}"));
        }
    }
    Ok(())
}

/// Prints the answer to a write, or `sentence` where it has none.
pub(crate) fn shown(
    session: &Session,
    response: &Response,
    sentence: &str,
) -> Result<(), CliError> {
    if response.is_empty() {
        return session.output.done(sentence);
    }
    let answer = Answer::of(response)?;
    let for_programs = session.output.is_for_programs() && answer.has_content();
    if answer.has_data() || for_programs {
        return session.output.answer(&answer);
    }
    show_warnings(response)?;
    session.output.done(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyfold_secret::Secret;

    fn at(status: u16, body: &str) -> Result<Answer, CliError> {
        let body = Secret::new(body.as_bytes().to_vec());
        found(&Response { status, body }, "p", above("p"))
    }

    #[test]
    fn nothing_there_and_no_such_path_differ() {
        assert!(matches!(
            at(404, r#"{"errors":[]}"#),
            Err(CliError::NoValue { .. })
        ));
        assert!(matches!(
            at(404, r#"{"errors":["no handler for route \"x\""]}"#),
            Err(CliError::Client(_))
        ));
        let deleted = at(404, r#"{"data":{"data":null,"metadata":{"version":1}}}"#).unwrap();
        assert!(deleted.datum("metadata").is_some());
        assert!(at(403, r#"{"errors":["permission denied"]}"#).is_err());
    }
    #[test]
    fn what_is_beside_a_path_can_be_listed() {
        assert_eq!(above("transit/keys/k"), "keyfold list transit/keys");
        assert_eq!(above("/kv/a/"), "keyfold list kv");
        assert_eq!(above("kv"), "keyfold secrets list");
    }
}
