//! `keyfold policy`.

mod fmt;

use std::fs;
use std::io::{self, Read as _};

use clap::{Args, Subcommand};
use keyfold_client::Request;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::logical;
use crate::output::{self, Answer};
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
    /// Write a policy's file anew in the usual form
    Fmt {
        /// The file; `-` formats standard input to standard output
        file: String,
    },
    /// Delete a policy
    Delete {
        /// Its name
        name: String,
    },
    /// Say which rule of which policy decides about a request
    Explain(ExplainArgs),
    /// Say who may do something: by which policies, groups, entities, roles and tokens
    WhoCan {
        /// create, read, update, delete, list, patch or scan
        #[arg(long, default_value = "read", value_name = "NAME")]
        operation: String,
        /// The path below /v1/
        path: String,
    },
}

/// Arguments of `policy explain`.
#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// Of this token; one's own where neither this nor -accessor nor -policy is given
    #[arg(long, value_name = "TOKEN", group = "who")]
    token: Option<String>,
    /// Of this accessor's token
    #[arg(long, value_name = "ACCESSOR", group = "who")]
    accessor: Option<String>,
    /// Of whoever has this policy; may be given several times
    #[arg(long, value_name = "NAME", group = "who")]
    policy: Vec<String>,
    /// create, read, update, delete, list, patch or scan
    #[arg(long, default_value = "read", value_name = "NAME")]
    operation: String,
    /// The path below /v1/
    path: String,
}

/// Runs one of them.
pub(crate) fn run(session: &Session, policy: Policy) -> Result<(), CliError> {
    match policy {
        Policy::Write { name, file } => write(session, &name, &file),
        Policy::Read { name } => read(session, &name),
        Policy::Fmt { file } => fmt::run(&file),
        Policy::List => {
            let see = "keyfold secrets list".to_owned();
            let names = logical::names(session, "sys/policies/acl", see)?;
            session.output.bare_names(&names)
        }
        Policy::Explain(args) => explain(session, args),
        Policy::WhoCan { operation, path } => {
            let body = json!({"operation": operation, "path": path});
            let answer = session.call(&Request::write("sys/internal/who-can", &body)?)?;
            session.output.answer(&Answer::of(&answer)?)
        }
        Policy::Delete { name } => {
            session.call(&Request::delete(&path(&name)))?;
            output::line(&format!("Success! Deleted policy: {name}"))
        }
    }
}

fn explain(session: &Session, args: ExplainArgs) -> Result<(), CliError> {
    let mut body = json!({"operation": args.operation, "path": args.path});
    let who = if let Some(accessor) = args.accessor {
        Some(("accessor", accessor.into()))
    } else if !args.policy.is_empty() {
        Some(("policies", args.policy.into()))
    } else {
        args.token.map(|token| ("token", token.into()))
    };
    if let (Some((name, value)), Some(members)) = (who, body.as_object_mut()) {
        members.insert(name.to_owned(), value);
    }
    let answer = session.call(&Request::write("sys/internal/explain", &body)?)?;
    session.output.answer(&Answer::of(&answer)?)
}

fn write(session: &Session, name: &str, file: &str) -> Result<(), CliError> {
    let text = if file == "-" {
        let mut text = String::new();
        let read = io::stdin().lock().read_to_string(&mut text);
        read.map_err(CliError::io("can't read standard input"))?;
        text
    } else {
        fs::read_to_string(file).map_err(|source| CliError::PolicyFile {
            file: file.to_owned(),
            source,
        })?
    };
    let answer = session.call(&Request::write(&path(name), &json!({"policy": text}))?)?;
    logical::show_warnings(&answer)?;
    output::line(&format!("Success! Uploaded policy: {name}"))
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
