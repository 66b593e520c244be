//! `keyfold unwrap`: the answer that a wrapping token stands for.

use keyfold_client::Request;
use serde_json::json;

use crate::error::CliError;
use crate::output::Answer;
use crate::prompt;
use crate::session::Session;

/// Unwraps a token, or the one that the client itself is set up with.
pub(crate) fn run(session: &Session, token: Option<String>) -> Result<(), CliError> {
    let body = match token {
        Some(token) => json!({"token": prompt::secret(Some(token), "wrapping token")?.expose()}),
        None => json!({}),
    };
    let answer = session.call(&Request::write("sys/wrapping/unwrap", &body)?)?;
    session.output.answer(&Answer::of(&answer)?)
}
