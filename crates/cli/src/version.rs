//! `keyfold version-history`: which versions have served the store.

use keyfold_client::Request;
use serde_json::Value;

use crate::error::CliError;
use crate::logical;
use crate::output::{self, Table, text_of};
use crate::session::Session;

/// Lists the versions and when each was first seen.
pub(crate) fn history(session: &Session) -> Result<(), CliError> {
    let path = "sys/version-history";
    let response = session.send(&Request::list(path))?;
    let answer = logical::found(&response, path, "keyfold status".to_owned())?;
    if !session.output.is_table() || session.output.wants_field() {
        return session.output.answer(&answer);
    }
    let info = answer.datum("key_info").and_then(Value::as_object);
    let row = |(version, info): (&String, &Value)| {
        let cell = |name: &str| info.get(name).map(text_of).unwrap_or_default();
        vec![
            version.clone(),
            cell("timestamp_installed"),
            cell("commit_date"),
        ]
    };
    let rows = info.into_iter().flatten().map(row).collect();
    let table = Table::new(&["Version", "Installation Time", "Commit Date"], rows);
    output::raw(table.to_string().as_bytes())
}
