//! `keyfold policy`.

use std::fs;
use std::io::{self, Read as _};

use clap::Subcommand;
use keyfold_client::Request;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::logical;
use crate::output::Answer;
use crate::session::Session;

/// The commands of `policy`.
#[derive(Subcommand)]
pub(crate) enum Policy {
    /// Write a policy, in HCL or JSON
    Write {
        /// Its name
        name: String,
        /// The file that holds it; `-` is standard input
        file: String,
    },
    /// Print a policy
    Read {
        /// Its name
        name: String,
    },
    /// List the policies
    List,
    /// Delete a policy
    Delete {
        /// Its name
        name: String,
    },
}

/// Runs one of them.
pub(crate) fn run(session: &Session, policy: Policy) -> Result<(), CliError> {
    match policy {
        Policy::Write { name, file } => write(session, &name, &file),
        Policy::Read { name } => read(session, &name),
        Policy::List => {
            let see = "keyfold secrets list".to_owned();
            let names = logical::names(session, "sys/policies/acl", see)?;
            session.output.bare_names(&names)
        }
        Policy::Delete { name } => {
            session.call(&Request::delete(&path(&name)))?;
            session
                .output
                .done(&format!("Success! Deleted policy: {name}"))
        }
    }
}

fn write(session: &Session, name: &str, file: &str) -> Result<(), CliError> {
    let text = if file == "-" {
        let mut text = String::new();
        let read = io::stdin().lock().read_to_string(&mut text);
        read.map_err(CliError::io("can't read standard input"))?;
        text
    } else {
        fs::read_to_string(file).map_err(CliError::io(format!("can't read {file}")))?
    };
    let answer = session.call(&Request::write(&path(name), &json!({"policy": text}))?)?;
    logical::show_warnings(&answer)?;
    session
        .output
        .done(&format!("Success! Uploaded policy: {name}"))
}

fn read(session: &Session, name: &str) -> Result<(), CliError> {
    let answer = match session.send(&Request::read(&path(name)))? {
        missing if missing.status == 404 => {
            return Err(CliError::NoValue {
                path: format!("policy {name}"),
                see: "keyfold policy list".to_owned(),
            });
        }
        answer => Answer::of(&answer.success()?)?,
    };
    let policy = answer.datum("policy").and_then(Value::as_str);
    let text = policy.ok_or(CliError::Answer("policy"))?;
    session.output.result(&json!({"policy": text}), || {
        format!("{}\n", text.trim_end())
    })
}

fn path(name: &str) -> String {
    format!("sys/policies/acl/{name}")
}
