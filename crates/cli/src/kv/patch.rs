//! `keyfold kv patch`.

use std::io;

use clap::Args;
use keyfold_client::Request;
use serde_json::{Map, Value, json};

use super::place::Place;
use super::put::written;
use super::{SecretArgs, unversioned_text};
use crate::error::CliError;
use crate::logical;
use crate::pairs;
use crate::session::Session;

/// Arguments of `kv patch`.
#[derive(Args)]
pub(crate) struct PatchArgs {
    /// Write only if the newest version is this one
    #[arg(long, value_name = "N")]
    cas: Option<u64>,
    /// patch: one request; rw: read, then write, for tokens that may not patch. Without it, patch,
    /// and rw where that is refused
    #[arg(long, value_parser = ["patch", "rw"], value_name = "HOW")]
    method: Option<String>,
    /// A member to remove; may be given several times
    #[arg(long, value_name = "NAME")]
    remove_data: Vec<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// name=value, name=@FILE, name=- (standard input), or a whole JSON object: @FILE, -
    data: Vec<String>,
}

/// Changes some members, and prints the new version's metadata.
pub(crate) fn run(session: &Session, args: &PatchArgs) -> Result<(), CliError> {
    let mut changes = pairs::object(&args.data, &mut io::stdin())?;
    for name in &args.remove_data {
        changes.insert(name.clone(), Value::Null);
    }
    if changes.is_empty() {
        return Err(CliError::Usage(
            "say what to change: name=value, or -remove-data=NAME".to_owned(),
        ));
    }
    let place = args.secret.place(session)?;
    if !place.is_versioned() {
        return Err(CliError::Refused(unversioned_text("patch")));
    }
    if args.method.as_deref() == Some("rw") {
        return read_and_write(session, &place, changes, args.cas);
    }
    let path = place.api_path("data");
    let options = args
        .cas
        .map_or_else(|| json!({}), |cas| json!({"cas": cas}));
    let body = json!({"data": changes, "options": options});
    let response = session.send(&Request::patch(&path, &body)?)?;
    match response.status {
        // The token may not, or the server can't.
        403 | 405 if args.method.is_none() => read_and_write(session, &place, changes, args.cas),
        _ => written(session, &path, &response.success()?),
    }
}

/// The same in two requests; the version that was read has to be the newest still.
fn read_and_write(
    session: &Session,
    place: &Place,
    changes: Map<String, Value>,
    cas: Option<u64>,
) -> Result<(), CliError> {
    let path = place.api_path("data");
    let response = session.ask(&Request::read(&path).unwrapped())?;
    let answer = logical::found(&response, &path, place.above())?;
    let version = answer
        .datum("metadata")
        .and_then(|metadata| metadata.get("version"))
        .and_then(Value::as_u64)
        .ok_or(CliError::Answer("version"))?;
    let Some(Value::Object(mut data)) = answer.datum("data").cloned() else {
        let see = place.above();
        return Err(CliError::NoValue { path, see });
    };
    merge(&mut data, changes);
    let body = json!({"data": data, "options": {"cas": cas.unwrap_or(version)}});
    written(
        session,
        &path,
        &session.call(&Request::write(&path, &body)?)?,
    )
}

/// A merge-patch (RFC 7396).
fn merge(target: &mut Map<String, Value>, changes: Map<String, Value>) {
    for (name, change) in changes {
        match (target.get_mut(&name), change) {
            (_, Value::Null) => {
                target.remove(&name);
            }
            (Some(Value::Object(inner)), Value::Object(change)) => merge(inner, change),
            (_, Value::Object(change)) => {
                let mut fresh = Map::new();
                merge(&mut fresh, change);
                target.insert(name, Value::Object(fresh));
            }
            (_, change) => {
                target.insert(name, change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_merges_and_null_removes() {
        let mut data = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": "x"});
        let change = json!({"a": null, "b": {"c": 5, "d": null}, "f": {"g": null, "h": 1}});
        let (Some(target), Value::Object(change)) = (data.as_object_mut(), change) else {
            panic!("objects");
        };
        merge(target, change);
        assert_eq!(data, json!({"b": {"c": 5}, "e": "x", "f": {"h": 1}}));
    }
}
