//! How far a destruction is, and its receipt, for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::{list, number, shown};
use crate::output::{Table, text_of};

/// What the server says of a key that is to go, or has gone.
pub(super) fn state(data: &Value) -> String {
    let mut pairs = vec![
        ("Key", shown(data, "name")),
        ("State", shown(data, "state")),
    ];
    for (heading, member) in [("Reason", "reason"), ("Not Before", "until")] {
        pairs.push((heading, shown(data, member)));
    }
    for (heading, member) in [("Asked For", "requested"), ("Approved", "approved")] {
        pairs.push((heading, step(data.get(member))));
    }
    pairs.push(("Ready", shown(data, "ready")));
    let mut text = table(pairs);
    let destroyed = list(data, "destroyed").iter().map(|grave| {
        vec![
            format!("{} to {}", shown(grave, "first"), shown(grave, "last")),
            shown(grave, "time"),
            shown(grave, "receipt"),
        ]
    });
    let destroyed: Vec<_> = destroyed.collect();
    if !destroyed.is_empty() {
        let headings = ["Destroyed Versions", "On", "Receipt"];
        let _infallible = write!(text, "\n{}", Table::new(&headings, destroyed));
    }
    let needs = list(data, "needed_by")
        .iter()
        .map(|need| shown(need, "text"));
    let more = number(data, "more_needs");
    let more = (more > 0).then(|| format!("and {more} more"));
    lines(&mut text, "What needs the key yet:", needs.chain(more));
    remains(&mut text, data);
    text
}

/// What the server says of a key that it has just destroyed.
pub(super) fn receipt(data: &Value) -> String {
    let receipt = data.get("receipt").unwrap_or(&Value::Null);
    let mut text = facts(receipt);
    let key = receipt.get("key").unwrap_or(&Value::Null);
    let _infallible = writeln!(
        text,
        "\nThe key {} is gone. Keep the receipt, and the public key of `shred/receipts/key` beside it.",
        shown(key, "name")
    );
    remains(&mut text, receipt);
    text
}

/// What a receipt says.
pub(super) fn facts(receipt: &Value) -> String {
    let none = Value::Null;
    let of = |member: &str| receipt.get(member).unwrap_or(&none);
    let (key, uses) = (of("key"), of("uses"));
    let pairs = vec![
        ("Receipt", shown(receipt, "id")),
        (
            "Key",
            format!("{}{}", shown(of("mount"), "path"), shown(key, "name")),
        ),
        ("Key Id", shown(key, "id")),
        ("Type", shown(key, "type")),
        (
            "Versions",
            format!(
                "{} to {}",
                shown(key, "first_version"),
                shown(key, "last_version")
            ),
        ),
        ("Reason", shown(receipt, "reason")),
        ("Came Back After", shown(receipt, "revived_after")),
        ("Asked For", step(receipt.get("requested"))),
        ("Approved", step(receipt.get("approved"))),
        ("Destroyed", step(receipt.get("destroyed"))),
        ("Last Used", shown(uses, "last_used")),
        ("Items In Catalogs", shown(receipt, "items")),
    ];
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let mut text = table(pairs.collect());
    let rows = list(receipt, "catalogs").iter().map(|catalog| {
        ["id", "root", "items", "unreadable", "scanned"]
            .map(|member| shown(catalog, member))
            .to_vec()
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        let headings = ["Catalog", "Root", "Items", "Unreadable", "Scanned"];
        let _infallible = write!(text, "\n{}", Table::new(&headings, rows));
    }
    text
}

/// What a destruction does not reach.
pub(super) fn remains(text: &mut String, data: &Value) {
    let told = list(data, "remains").iter().map(text_of);
    lines(text, "What the destruction does not reach:", told);
}

fn table(pairs: Vec<(&str, String)>) -> String {
    let pairs = pairs.into_iter();
    Table::of_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).to_string()
}

/// When a step was taken, and by whom.
fn step(step: Option<&Value>) -> String {
    let Some(step) = step else {
        return String::new();
    };
    let by = step.get("by").unwrap_or(&Value::Null);
    let who = [("entity", "entity"), ("caller", "token")];
    let who = who.map(|(member, what)| (what, shown(by, member)));
    let who = who.iter().filter(|(_, name)| !name.is_empty());
    let who: Vec<_> = who.map(|(what, name)| format!("{what} {name}")).collect();
    format!("{} by {}", shown(step, "time"), who.join(", "))
}

fn lines(text: &mut String, heading: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        let _infallible = writeln!(text, "\n{heading}");
    }
    for line in lines {
        let _infallible = writeln!(text, "  - {line}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_state_for_people() {
        let data = json!({"name": "t1", "state": "approved", "reason": "it ended",
            "requested": {"time": "t", "by": {"entity": "e", "caller": "00ff"}},
            "until": "u", "approved": {"time": "v", "by": {"caller": "00fe"}}, "ready": false,
            "destroyed": [], "needed_by": [{"text": "3 items in host:/data"}], "more_needs": 2,
            "remains": ["Snapshots hold it."]});
        let text = state(&data);
        for part in [
            "t by entity e, token 00ff",
            "v by token 00fe",
            "  - 3 items in host:/data\n  - and 2 more\n",
            "does not reach:\n  - Snapshots hold it.\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("Destroyed Versions"), "{text}");
        let gone = json!({"name": "t1", "state": "destroyed",
            "destroyed": [{"first": 1, "last": 3, "time": "t", "receipt": "r"}]});
        let text = state(&gone);
        assert!(text.contains("1 to 3"), "{text}");
        assert!(!text.contains("needs the key"), "{text}");
    }
}
