//! `keyfold secrets`: mounts.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use keyfold_client::Request;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::CliError;
use crate::output::{Answer, Table, text_of};
use crate::session::Session;

/// The commands of `secrets`.
#[derive(Subcommand)]
pub(crate) enum Secrets {
    /// Mount an engine
    Enable(EnableArgs),
    /// Unmount an engine: its key and all it stored are destroyed
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
}

/// Arguments of `secrets enable`.
#[derive(Args)]
pub(crate) struct EnableArgs {
    /// Where to mount it; the engine's name when absent
    #[arg(long)]
    path: Option<String>,
    /// A remark for people
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// The version of the engine: 1 or 2 for kv
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// Options of the engine
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
    /// Time to live of leases that ask for none
    #[arg(long, value_name = "DURATION")]
    default_lease_ttl: Option<String>,
    /// The longest time to live
    #[arg(long, value_name = "DURATION")]
    max_lease_ttl: Option<String>,
    /// The engine: transit, kv, kv-v2
    engine: String,
}

/// The body of `sys/mounts/PATH`.
#[derive(Serialize)]
struct Mount<'a> {
    #[serde(rename = "type")]
    engine: &'a str,
    description: &'a str,
    config: BTreeMap<&'static str, &'a str>,
    options: BTreeMap<String, String>,
}

/// Runs one of them.
pub(crate) fn run(session: &Session, secrets: Secrets) -> Result<(), CliError> {
    match secrets {
        Secrets::Enable(args) => enable(session, args),
        Secrets::Disable { path } => disable(session, &path),
        Secrets::List { detailed } => list(session, detailed),
    }
}

fn enable(session: &Session, args: EnableArgs) -> Result<(), CliError> {
    let mut options: BTreeMap<_, _> = args.options.into_iter().collect();
    let engine = match args.engine.as_str() {
        "kv-v2" => {
            options.insert("version".to_owned(), "2".to_owned());
            "kv"
        }
        engine => engine,
    };
    if let Some(version) = args.version {
        options.insert("version".to_owned(), version.to_string());
    }
    let config = [
        ("default_lease_ttl", &args.default_lease_ttl),
        ("max_lease_ttl", &args.max_lease_ttl),
    ];
    let mount = Mount {
        engine,
        description: &args.description,
        config: config
            .into_iter()
            .filter_map(|(k, v)| Some((k, v.as_deref()?)))
            .collect(),
        options,
    };
    let path = args
        .path
        .as_deref()
        .unwrap_or(&args.engine)
        .trim_matches('/');
    session.call(&Request::write(&format!("sys/mounts/{path}"), &mount)?)?;
    session.output.done(&format!(
        "Success! Enabled the {engine} secrets engine at: {path}/"
    ))
}

fn disable(session: &Session, path: &str) -> Result<(), CliError> {
    let path = path.trim_matches('/');
    session.call(&Request::delete(&format!("sys/mounts/{path}")))?;
    session.output.done(&format!(
        "Success! Disabled the secrets engine (if it existed) at: {path}/"
    ))
}

fn list(session: &Session, detailed: bool) -> Result<(), CliError> {
    let answer = Answer::of(&session.call(&Request::read("sys/mounts"))?)?;
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

/// Reads `name=value`.
pub(crate) fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("it must be name=value")?;
    Ok((name.to_owned(), value.to_owned()))
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
