//! `keyfold path-help`: what a path of the API is for.

use keyfold_client::Request;
use serde_json::{Map, Value};

use crate::error::CliError;
use crate::session::Session;

/// Prints the help of a path.
pub(crate) fn run(session: &Session, path: &str) -> Result<(), CliError> {
    let request = Request::read(path.trim_end_matches('/')).with_query("help", "1");
    let help: Map<String, Value> = session.call(&request)?.json()?;
    let text = help.get("help").and_then(Value::as_str);
    let text = text.ok_or(CliError::Answer("help"))?;
    let document = help.get("openapi").filter(|document| document.is_object());
    match document {
        // What existing clients print for programs.
        Some(document) if session.output.is_for_programs() => session.output.document(document),
        _ => session
            .output
            .result(&help, || format!("{}\n", text.trim_end())),
    }
}
