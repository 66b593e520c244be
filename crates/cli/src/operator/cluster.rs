//! `keyfold operator members` and `operator step-down`: the nodes, and which of them leads.

use keyfold_client::{Method, Request};
use serde_json::{Value, json};

use crate::error::CliError;
use crate::output::{self, Answer, Table, text_of};
use crate::session::Session;

/// What is told of a node, and the column it stands in.
const COLUMNS: [(&str, &str); 7] = [
    ("hostname", "Host Name"),
    ("api_address", "API Address"),
    ("cluster_address", "Cluster Address"),
    ("active_node", "Active Node"),
    ("version", "Version"),
    ("upgrade_version", "Upgrade Version"),
    ("last_echo", "Last Echo"),
];

/// Lists the nodes.
pub(super) fn members(session: &Session) -> Result<(), CliError> {
    let answer = Answer::of(&session.call(&Request::read("sys/ha-status"))?)?;
    let nodes = answer.datum("nodes").ok_or(CliError::Answer("nodes"))?;
    let shown = json!({"Nodes": nodes});
    session.output.result(&shown, || table(nodes).to_string())
}

fn table(nodes: &Value) -> Table {
    let row = |node: &Value| {
        let cells = COLUMNS.iter().map(|(member, _)| match node.get(member) {
            None | Some(Value::Null) => String::new(),
            Some(value) => text_of(value),
        });
        cells.collect()
    };
    let rows = nodes.as_array().into_iter().flatten().map(row).collect();
    Table::new(&COLUMNS.map(|(_, heading)| heading), rows)
}

/// Has another node take over.
pub(super) fn step_down(session: &Session) -> Result<(), CliError> {
    session.call(&Request::new(Method::Put, "sys/step-down"))?;
    let address = session.setup().address;
    let sentence = format!("Success! Stepped down: {address}");
    output::line(&sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_node() {
        let node = json!({"hostname": "h", "api_address": "http://a", "cluster_address": "",
            "active_node": true, "last_echo": null, "version": "1"});
        let text = table(&json!([node])).to_string();
        let row = "h            http://a       n/a                true           1          n/a                n/a\n";
        assert!(text.ends_with(row), "{text}");
    }
}
