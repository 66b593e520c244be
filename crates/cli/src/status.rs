//! `keyfold status`: the state of the seal.

use keyfold_client::Request;
use serde_json::Value;

use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Table, text_of};
use crate::session::Session;

/// Prints the state of the seal. Exit code 0 unsealed, 2 sealed, 1 where it can't be told.
pub(crate) fn run(session: &Session) -> Result<Exit, CliError> {
    let mut status: Value = match session.call(&Request::read("sys/seal-status")) {
        Ok(response) => response.json()?,
        // 2 means sealed, and that is not known.
        Err(error) => {
            crate::output::report(&error, &session.setup());
            return Ok(Exit::LOCAL);
        }
    };
    let sealed = status.get("sealed").and_then(Value::as_bool) != Some(false);
    add_leader(session, &mut status)?;
    print(session, &status)?;
    Ok(if sealed { Exit::SERVER } else { Exit::OK })
}

/// Adds who leads, as existing clients print it: what is empty is left out.
fn add_leader(session: &Session, status: &mut Value) -> Result<(), CliError> {
    let leader = session.ask(&Request::read("sys/leader"))?;
    if leader.status != 200 {
        // Some servers tell it when they are open only.
        return Ok(());
    }
    let leader: Value = leader.json()?;
    let Some(members) = status.as_object_mut() else {
        return Ok(());
    };
    let ha = leader.get("ha_enabled").and_then(Value::as_bool);
    members.insert("ha_enabled".to_owned(), ha.unwrap_or(false).into());
    for name in [
        "is_self",
        "active_time",
        "leader_address",
        "leader_cluster_address",
    ] {
        match leader.get(name) {
            Some(Value::Bool(true)) => {}
            Some(Value::String(text)) if !text.is_empty() => {}
            _ => continue,
        }
        let value = leader.get(name).cloned().unwrap_or_default();
        members.insert(name.to_owned(), value);
    }
    Ok(())
}

/// Prints the state that `operator unseal` was answered.
pub(crate) fn show(session: &Session, mut status: Value) -> Result<(), CliError> {
    add_leader(session, &mut status)?;
    print(session, &status)
}

fn print(session: &Session, status: &Value) -> Result<(), CliError> {
    session.output.result(status, || table(status).to_string())
}

/// Members and what their rows are called.
const ROWS: [(&str, &str); 11] = [
    ("type", "Seal Type"),
    ("recovery_seal_type", "Recovery Seal Type"),
    ("initialized", "Initialized"),
    ("sealed", "Sealed"),
    ("n", "Total Shares"),
    ("t", "Threshold"),
    ("version", "Version"),
    ("storage_type", "Storage Type"),
    ("cluster_name", "Cluster Name"),
    ("cluster_id", "Cluster ID"),
    ("ha_enabled", "HA Enabled"),
];

fn table(status: &Value) -> Table {
    let is = |name: &str| status.get(name).and_then(Value::as_bool) == Some(true);
    let text = |name: &str| status.get(name).map(text_of);
    let mut rows = Vec::new();
    let recovery = is("recovery_seal");
    for (member, key) in ROWS {
        let key = match (member, recovery) {
            ("n", true) => "Total Recovery Shares",
            _ => key,
        };
        rows.extend(text(member).map(|value| (key.to_owned(), value)));
        if member == "t" && is("sealed") {
            let given = text("progress").unwrap_or_default();
            let needed = text("t").unwrap_or_default();
            rows.push(("Unseal Progress".to_owned(), format!("{given}/{needed}")));
            rows.push(("Unseal Nonce".to_owned(), text("nonce").unwrap_or_default()));
        }
    }
    if let Some(quorum) = status.get("quorum") {
        let given = quorum.get("shares_given").and_then(Value::as_bool) == Some(true);
        let shares = if given && is("sealed") {
            ", the shares did their part"
        } else {
            ""
        };
        let require = quorum.get("require").map(text_of).unwrap_or_default();
        rows.push(("Ways Required".to_owned(), format!("{require}{shares}")));
    }
    if let Some(next) = status.get("shares_next") {
        let of = |name: &str| next.get(name).map(text_of).unwrap_or_default();
        let value = format!(
            "{} of {} open it too, until one set is used",
            of("t"),
            of("n")
        );
        rows.push(("New Shares".to_owned(), value));
    }
    let warnings = status.get("warnings").and_then(Value::as_array);
    for warning in warnings.into_iter().flatten() {
        rows.push(("Warning".to_owned(), text_of(warning)));
    }
    for seal in status
        .get("seals_failing")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let member = |name: &str| seal.get(name).map(text_of).unwrap_or_default();
        let value = format!("{}: {}", member("condition"), member("reason"));
        rows.push((format!("Seal {}", member("name")), value));
    }
    Table::of_pairs(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn progress_shows_while_sealed_only() {
        let mut status = json!({"type": "shamir", "initialized": true, "sealed": true, "t": 3,
            "n": 5, "progress": 2, "nonce": "abc", "version": "0.1.0", "storage_type": "redb"});
        let text = table(&status).to_string();
        assert!(text.contains("Unseal Progress    2/3") && text.contains("Unseal Nonce       abc"));
        status["sealed"] = false.into();
        let text = table(&status).to_string();
        assert!(!text.contains("Progress"), "{text}");
        assert!(text.contains("Sealed          false"), "{text}");
    }
}
