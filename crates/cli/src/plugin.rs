//! `keyfold plugin`: what can be mounted.

use clap::{Args, Subcommand};
use keyfold_client::Request;
use serde_json::{Map, Value};

use crate::error::CliError;
use crate::logical;
use crate::output::{Answer, Table, text_of};
use crate::session::Session;

/// The commands of `plugin`.
#[derive(Subcommand)]
pub(crate) enum Plugin {
    /// List what can be mounted
    List(ListArgs),
    /// Show one of them
    Info {
        /// Of this version
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
        /// auth, database or secret
        kind: String,
        /// Its name
        name: String,
    },
}

/// Arguments of `plugin list`.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// Show whether each is still supported
    #[arg(long)]
    detailed: bool,
    /// auth, database or secret; all when absent
    kind: Option<String>,
}

const TYPES: [&str; 3] = ["auth", "database", "secret"];

/// Runs one of them.
pub(crate) fn run(session: &Session, plugin: Plugin) -> Result<(), CliError> {
    match plugin {
        Plugin::List(args) => list(session, &args),
        Plugin::Info {
            version,
            kind,
            name,
        } => {
            known(&kind)?;
            let path = format!("sys/plugins/catalog/{kind}/{name}");
            let mut request = Request::read(&path);
            if let Some(version) = &version {
                request = request.with_query("version", version);
            }
            let see = format!("keyfold plugin list {kind}");
            let answer = logical::found(&session.send(&request)?, &path, see)?;
            let told = INFO.iter().map(|name| {
                let value = answer.datum(name).cloned();
                ((*name).to_owned(), value.unwrap_or_default())
            });
            let told = Value::Object(told.collect());
            session.output.result(&told, || of_one(&told).to_string())
        }
    }
}

/// Not left to the parser of arguments: existing clients end as with an answer of the server.
fn known(kind: &str) -> Result<(), CliError> {
    match TYPES.contains(&kind) {
        true => Ok(()),
        false => Err(CliError::Refused(format!(
            "there is no type {kind:?} of plugins: it is auth, database or secret"
        ))),
    }
}

/// What existing clients print of one, in this order.
const INFO: [&str; 7] = [
    "args",
    "builtin",
    "command",
    "deprecation_status",
    "name",
    "sha256",
    "version",
];

fn of_one(told: &Value) -> Table {
    let cell = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "[]".to_owned(),
        Some(value) => text_of(value),
    };
    Table::of_pairs(INFO.map(|name| (name.to_owned(), cell(told.get(name)))))
}

fn list(session: &Session, args: &ListArgs) -> Result<(), CliError> {
    args.kind.as_deref().map_or(Ok(()), known)?;
    let answer = Answer::of(&session.call(&Request::read("sys/plugins/catalog"))?)?;
    let listed = answer.datum("detailed").and_then(Value::as_array);
    let listed = listed.ok_or(CliError::Answer("detailed"))?;
    let wished = |kind: &Value| {
        args.kind
            .as_ref()
            .is_none_or(|wished| kind == wished.as_str())
    };
    let details = listed
        .iter()
        .filter(|of| of.get("type").is_some_and(wished));
    let details: Vec<_> = details.cloned().collect();
    let mut told = Map::new();
    for kind in TYPES {
        let names = answer.datum(kind).filter(|_| wished(&kind.into()));
        if let Some(names) = names {
            told.insert(kind.to_owned(), names.clone());
        }
    }
    let rows = || table(&details, args).to_string();
    told.insert("details".to_owned(), Value::Array(details.clone()));
    session.output.result(&told, rows)
}

fn table(details: &[Value], args: &ListArgs) -> Table {
    let mut columns = vec![("Name", "name")];
    if args.kind.is_none() {
        columns.push(("Type", "type"));
    }
    columns.push(("Version", "version"));
    if args.detailed {
        columns.push(("Deprecation Status", "deprecation_status"));
    }
    let headings: Vec<_> = columns.iter().map(|(heading, _)| *heading).collect();
    let rows = details.iter().map(|of| {
        let cells = columns.iter().map(|(_, member)| of.get(member));
        cells
            .map(|cell| cell.map(text_of).unwrap_or_default())
            .collect()
    });
    Table::new(&headings, rows.collect())
}
