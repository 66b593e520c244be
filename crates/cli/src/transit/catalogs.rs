//! `keyfold transit catalogs`.

use keyfold_client::Request;
use keyfold_envelope::Locator;
use serde_json::Value;

use super::{path, shown};
use crate::error::CliError;
use crate::output::{Answer, Table, text_of};
use crate::session::Session;

/// Prints all catalogs of a key; none is an empty list.
pub(super) fn run(session: &Session, key: &Locator) -> Result<(), CliError> {
    let folder = path(key, "catalogs");
    let response = session.send(&Request::list(&folder))?;
    let mut catalogs = Vec::new();
    if response.status != 404 {
        let names = Answer::of(&response.success()?)?;
        let names = names.datum("keys").and_then(Value::as_array).cloned();
        for name in names.unwrap_or_default() {
            let name = text_of(&name);
            let answer = session.call(&Request::read(&format!("{folder}/{name}")))?;
            let data = Answer::of(&answer)?.data;
            catalogs.push(Value::Object(data.ok_or(CliError::Answer("data"))?));
        }
    }
    session.output.result(&catalogs, || text(&catalogs))
}

fn text(catalogs: &[Value]) -> String {
    let rows = catalogs.iter().map(|catalog| {
        let items = catalog.get("items").and_then(Value::as_object);
        let items = items.into_iter().flatten();
        let items = items.map(|(version, count)| format!("v{version}: {count}"));
        vec![
            shown(catalog, "id"),
            shown(catalog, "root"),
            items.collect::<Vec<_>>().join(", "),
            shown(catalog, "unreadable"),
            shown(catalog, "time"),
        ]
    });
    let headings = ["Catalog", "Root", "Items", "Unreadable", "Scanned"];
    Table::new(&headings, rows.collect()).to_string()
}
