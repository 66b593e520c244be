//! `keyfold kv undelete`, `destroy`, `rollback`, `enable-versioning`.

use clap::Args;
use keyfold_client::Request;
use serde_json::{Value, json};

use super::put::written;
use super::{SecretArgs, unversioned, unversioned_text};
use crate::error::CliError;
use crate::logical;
use crate::output;
use crate::session::Session;

/// Arguments of `kv undelete` and `kv destroy`.
#[derive(Args)]
pub(crate) struct VersionsArgs {
    /// Which versions
    #[arg(long, value_delimiter = ',', required = true, value_name = "N")]
    versions: Vec<u64>,
    #[command(flatten)]
    secret: SecretArgs,
}

/// Arguments of `kv rollback`.
#[derive(Args)]
pub(crate) struct RollbackArgs {
    /// Which version
    #[arg(long, value_name = "N")]
    version: u64,
    #[command(flatten)]
    secret: SecretArgs,
}

/// Does `tree`, which is `undelete` or `destroy`, to versions.
pub(crate) fn change(session: &Session, args: &VersionsArgs, tree: &str) -> Result<(), CliError> {
    let place = args.secret.place(session)?;
    if !place.is_versioned() {
        return Err(unversioned(tree));
    }
    let path = place.api_path(tree);
    session.call(&Request::write(&path, &json!({"versions": args.versions}))?)?;
    output::line(&format!("Success! Data written to: {path}"))
}

/// Writes an older version anew, unless somebody else wrote meanwhile.
pub(crate) fn rollback(session: &Session, args: &RollbackArgs) -> Result<(), CliError> {
    let place = args.secret.place(session)?;
    if !place.is_versioned() {
        return Err(CliError::Refused(unversioned_text("rollback")));
    }
    let path = place.api_path("data");
    let newest = session.ask(&Request::read(&path).unwrapped())?;
    let newest = logical::found(&newest, &path, place.above())?;
    let cas = newest
        .datum("metadata")
        .and_then(|metadata| metadata.get("version"))
        .and_then(Value::as_u64)
        .ok_or(CliError::Answer("version"))?;
    let old = Request::read(&path)
        .with_query("version", &args.version.to_string())
        .unwrapped();
    let old = logical::found(&session.ask(&old)?, &path, place.above())?;
    let Some(data) = old.datum("data").filter(|data| data.is_object()) else {
        let version = args.version;
        return Err(CliError::NoVersion { path, version });
    };
    let body = json!({"data": data, "options": {"cas": cas}});
    written(
        session,
        &path,
        &session.call(&Request::write(&path, &body)?)?,
    )
}

/// Makes a mount keep versions.
pub(crate) fn enable(session: &Session, path: &str) -> Result<(), CliError> {
    let path = path.trim_matches('/');
    let body = json!({"options": {"version": "2"}});
    session.call(&Request::write(&format!("sys/mounts/{path}/tune"), &body)?)?;
    output::line(&format!("Success! Tuned the secrets engine at: {path}/"))
}
