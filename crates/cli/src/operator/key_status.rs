//! `keyfold operator key-status`.

use keyfold_client::Request;
use serde_json::Value;

use crate::error::CliError;
use crate::output::{Answer, Table, text_of};
use crate::session::Session;

/// Prints the active term of the KEK.
pub(crate) fn run(session: &Session) -> Result<(), CliError> {
    let answer = Answer::of(&session.call(&Request::read("sys/key-status"))?)?;
    let status = Value::Object(answer.data.ok_or(CliError::Answer("data"))?);
    session.output.result(&status, || {
        let rows = [
            ("term", "Key Term"),
            ("install_time", "Install Time"),
            ("encryptions", "Encryption Count"),
        ];
        let shown = rows
            .into_iter()
            .filter_map(|(member, key)| Some((key.to_owned(), text_of(status.get(member)?))));
        Table::of_pairs(shown).to_string()
    })
}
