//! What `keyfold secrets` and `keyfold auth` have in common: both are mounts.

mod enable;
mod tune;

use clap::Subcommand;
use keyfold_client::Request;
use serde_json::{Map, Value};

use enable::EnableArgs;
use tune::TuneArgs;

use crate::error::CliError;
use crate::output::{self, Answer, Table, text_of};
use crate::session::Session;

/// The commands that both have.
#[derive(Subcommand)]
pub(crate) enum Mounts {
    /// Mount it
    Enable(Box<EnableArgs>),
    /// Unmount it: its key and all it stored are destroyed, the tokens of its logins are revoked
    Disable {
        /// The mount's path
        path: String,
    },
    /// List the mounts
    List {
        /// Show options and lease times too
        #[arg(long)]
        detailed: bool,
    },
    /// Move a mount to another path, with all it holds
    Move {
        /// Where it is
        from: String,
        /// Where it goes
        to: String,
    },
    /// Change a mount's tuning
    Tune(Box<TuneArgs>),
}

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

/// Runs one of them.
pub(crate) fn run(session: &Session, class: Class, mounts: Mounts) -> Result<(), CliError> {
    match mounts {
        Mounts::Enable(args) => enable::run(session, class, *args),
        Mounts::Disable { path } => disable(session, class, &path),
        Mounts::List { detailed } => list(session, class, detailed),
        Mounts::Move { from, to } => relocate(session, class, &from, &to),
        Mounts::Tune(args) => tune::run(session, class, *args),
    }
}

/// Unmounts.
fn disable(session: &Session, class: Class, path: &str) -> Result<(), CliError> {
    let path = path.trim_matches('/');
    session.call(&Request::delete(&format!("{}/{path}", class.api())))?;
    output::line(&format!(
        "Success! Disabled the {} (if it existed) at: {path}/",
        class.noun()
    ))
}

/// Moves a mount to another path, with all it holds.
fn relocate(session: &Session, class: Class, from: &str, to: &str) -> Result<(), CliError> {
    let place = |path: &str| format!("{}{}/", class.root(), path.trim_matches('/'));
    let (from, to) = (place(from), place(to));
    let body = serde_json::json!({"from": from, "to": to});
    let answer = Answer::of(&session.call(&Request::write("sys/remount", &body)?)?)?;
    let id = answer.datum("migration_id").and_then(Value::as_str);
    let id = id.ok_or(CliError::Answer("migration_id"))?;
    let noun = class.noun();
    output::line(&format!(
        "Success! Finished moving {noun} {from} to {to}, with migration ID {id}"
    ))
}

/// Lists the mounts.
fn list(session: &Session, class: Class, detailed: bool) -> Result<(), CliError> {
    let answer = Answer::of(&session.call(&Request::read(class.api()))?)?;
    let mut mounts = answer.data.ok_or(CliError::Answer("data"))?;
    // Existing clients print this of every mount; servers leave it out where it is empty.
    for mount in mounts.values_mut().filter_map(Value::as_object_mut) {
        mount.entry("deprecation_status").or_insert("".into());
    }
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
