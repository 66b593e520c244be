//! `keyfold kv put`.

use std::io;

use clap::Args;
use keyfold_client::{Request, Response};
use serde_json::{Value, json};

use super::{SecretArgs, metadata_text, unversioned};
use crate::error::CliError;
use crate::output::{self, Answer};
use crate::pairs;
use crate::session::Session;

/// Arguments of `kv put`.
#[derive(Args)]
pub(crate) struct PutArgs {
    /// Write only if the newest version is this one; 0: only if there is none
    #[arg(long, value_name = "N")]
    cas: Option<u64>,
    #[command(flatten)]
    secret: SecretArgs,
    /// name=value, name=@FILE, name=- (standard input), or a whole JSON object: @FILE, -
    #[arg(required = true)]
    data: Vec<String>,
}

/// Writes a secret, and prints its new version's metadata.
pub(crate) fn run(session: &Session, args: &PutArgs) -> Result<(), CliError> {
    let data = Value::Object(pairs::object(&args.data, &mut io::stdin())?);
    let place = args.secret.place(session)?;
    let path = place.api_path("data");
    if !place.is_versioned() {
        if args.cas.is_some() {
            return Err(unversioned("-cas"));
        }
        session.call(&Request::write(&path, &data)?)?;
        return session
            .output
            .done(&format!("Success! Data written to: {path}"));
    }
    let options = args
        .cas
        .map_or_else(|| json!({}), |cas| json!({"cas": cas}));
    let body = json!({"data": data, "options": options});
    written(
        session,
        &path,
        &session.call(&Request::write(&path, &body)?)?,
    )
}

/// Prints the metadata of a new version.
pub(super) fn written(session: &Session, path: &str, response: &Response) -> Result<(), CliError> {
    let answer = Answer::of(response)?;
    let plain = session.output.is_table() && !session.output.wants_field();
    if !plain || answer.is_wrapped() {
        return session.output.answer(&answer);
    }
    let metadata = Value::Object(answer.data.ok_or(CliError::Answer("data"))?);
    output::raw(metadata_text(path, &metadata).as_bytes())
}
