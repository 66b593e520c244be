//! `keyfold audit`: audit devices.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use keyfold_client::Request;
use serde_json::{Map, Value, json};

use crate::error::CliError;
use crate::logical;
use crate::output::{self, Answer, Table, text_of};
use crate::pairs::pair;
use crate::session::Session;

/// The commands of `audit`.
#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Add a device: every request and answer is recorded there too
    Enable(EnableArgs),
    /// Remove a device
    Disable {
        /// The device's path
        path: String,
    },
    /// List the devices
    List {
        /// Show options too
        #[arg(long)]
        detailed: bool,
    },
}

/// Arguments of `audit enable`.
#[derive(Args)]
pub(crate) struct EnableArgs {
    /// What to call it; its type's name when absent
    #[arg(long)]
    path: Option<String>,
    /// A remark for people
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// Taken for the sake of scripts: there is no replication that it would be left out of
    #[arg(long)]
    local: bool,
    /// The type: file, syslog, socket
    kind: String,
    /// Options of the device: file_path=PATH
    #[arg(value_name = "NAME=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
}

/// Runs one of them.
pub(crate) fn run(session: &Session, audit: Audit) -> Result<(), CliError> {
    match audit {
        Audit::Enable(args) => enable(session, args),
        Audit::Disable { path } => {
            let path = path.trim_matches('/');
            session.call(&Request::delete(&format!("sys/audit/{path}")))?;
            output::line(&format!(
                "Success! Disabled audit device (if it was enabled) at: {path}/"
            ))
        }
        Audit::List { detailed } => list(session, detailed),
    }
}

fn enable(session: &Session, args: EnableArgs) -> Result<(), CliError> {
    let path = args.path.as_deref().unwrap_or(&args.kind).trim_matches('/');
    let options: BTreeMap<_, _> = args.options.into_iter().collect();
    let body = json!({
        "type": args.kind,
        "description": args.description,
        "options": options,
        "local": args.local,
    });
    let answer = session.call(&Request::write(&format!("sys/audit/{path}"), &body)?)?;
    logical::show_warnings(&answer)?;
    output::line(&format!(
        "Success! Enabled the {} audit device at: {path}/",
        args.kind
    ))
}

fn list(session: &Session, detailed: bool) -> Result<(), CliError> {
    let answer = Answer::of(&session.call(&Request::read("sys/audit"))?)?;
    let devices = answer.data.unwrap_or_default();
    if devices.is_empty() && !session.output.is_for_programs() {
        return Err(CliError::NoValue {
            path: "sys/audit: no audit device is enabled".to_owned(),
            see: "keyfold audit enable -h".to_owned(),
        });
    }
    session
        .output
        .result(&devices, || table(&devices, detailed).to_string())
}

fn table(devices: &Map<String, Value>, detailed: bool) -> Table {
    let mut headings = vec!["Path", "Type", "Description"];
    headings.extend(detailed.then_some("Options"));
    let row = |(path, device): (&String, &Value)| {
        let cell = |name: &str| device.get(name).map(text_of).unwrap_or_default();
        let mut cells = vec![path.clone(), cell("type"), cell("description")];
        cells.extend(detailed.then(|| cell("options")));
        cells
    };
    Table::new(&headings, devices.iter().map(row).collect())
}
