//! What `keyfold secrets` and `keyfold auth` have in common: both are mounts.

pub(crate) mod enable;
pub(crate) mod tune;

use keyfold_client::Request;
use serde_json::{Map, Value};

pub(crate) use enable::EnableArgs;
pub(crate) use tune::TuneArgs;

use crate::error::CliError;
use crate::output::{Answer, Table, text_of};
use crate::session::Session;

/// Which kind of mount.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Secrets,
    Auth,
}

impl Class {
    /// The folder of its API calls.
    fn api(self) -> &'static str {
        match self {
            Self::Secrets => "sys/mounts",
            Self::Auth => "sys/auth",
        }
    }

    /// Where its mounts are, as paths of requests begin.
    fn root(self) -> &'static str {
        match self {
            Self::Secrets => "",
            Self::Auth => "auth/",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Secrets => "secrets engine",
            Self::Auth => "auth method",
        }
    }
}

/// Unmounts.
pub(crate) fn disable(session: &Session, class: Class, path: &str) -> Result<(), CliError> {
    let path = path.trim_matches('/');
    session.call(&Request::delete(&format!("{}/{path}", class.api())))?;
    session.output.done(&format!(
        "Success! Disabled the {} (if it existed) at: {path}/",
        class.noun()
    ))
}

/// Moves a mount to another path, with all it holds.
pub(crate) fn relocate(
    session: &Session,
    class: Class,
    from: &str,
    to: &str,
) -> Result<(), CliError> {
    let place = |path: &str| format!("{}{}/", class.root(), path.trim_matches('/'));
    let (from, to) = (place(from), place(to));
    let body = serde_json::json!({"from": from, "to": to});
    let answer = Answer::of(&session.call(&Request::write("sys/remount", &body)?)?)?;
    let id = answer.datum("migration_id").and_then(Value::as_str);
    let id = id.ok_or(CliError::Answer("migration_id"))?;
    let noun = class.noun();
    session.output.done(&format!(
        "Success! Finished moving {noun} {from} to {to}, with migration ID {id}"
    ))
}

/// Lists the mounts.
pub(crate) fn list(session: &Session, class: Class, detailed: bool) -> Result<(), CliError> {
    let answer = Answer::of(&session.call(&Request::read(class.api()))?)?;
    let mounts = answer.data.ok_or(CliError::Answer("data"))?;
    session
        .output
        .result(&mounts, || table(&mounts, detailed).to_string())
}

fn table(mounts: &Map<String, Value>, detailed: bool) -> Table {
    let plain = [
        ("Type", "/type"),
        ("Accessor", "/accessor"),
        ("Description", "/description"),
    ];
    let more = [
        ("Default TTL", "/config/default_lease_ttl"),
        ("Max TTL", "/config/max_lease_ttl"),
        ("Token Type", "/config/token_type"),
        ("Options", "/options"),
        ("UUID", "/uuid"),
    ];
    let mut columns = plain.to_vec();
    if detailed {
        columns.extend(more);
    }
    let headings: Vec<_> = ["Path"]
        .into_iter()
        .chain(columns.iter().map(|c| c.0))
        .collect();
    let rows = mounts.iter().map(|(path, mount)| {
        let cells = columns.iter().map(|(_, at)| match mount.pointer(at) {
            None | Some(Value::Null) => String::new(),
            Some(value) => text_of(value),
        });
        std::iter::once(path.clone()).chain(cells).collect()
    });
    Table::new(&headings, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn mounts_in_rows() {
        let mounts = json!({"transit/": {"type": "transit", "accessor": "transit_1",
            "description": "", "options": null, "config": {"max_lease_ttl": 0}}});
        let mounts = mounts.as_object().unwrap();
        let text = table(mounts, false).to_string();
        assert!(
            text.starts_with("Path        Type       Accessor     Description\n"),
            "{text}"
        );
        assert!(
            text.ends_with("transit/    transit    transit_1    n/a\n"),
            "{text}"
        );
        assert!(table(mounts, true).to_string().contains("Max TTL"));
    }
}
