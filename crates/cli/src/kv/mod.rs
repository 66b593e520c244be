//! `keyfold kv`: key-value secrets, in mounts of version 1 and 2.

mod metadata;
mod patch;
mod place;
mod put;
mod versions;

use clap::{Args, Subcommand};
use keyfold_client::Request;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::list::{self, Depth, PageArgs};
use crate::logical;
use crate::output::{self, Table};
use crate::session::Session;

use place::Place;

/// The commands of `kv`.
#[derive(Subcommand)]
pub(crate) enum Kv {
    /// Write a secret; a new version where the mount keeps versions
    Put(put::PutArgs),
    /// Read a secret
    Get(GetArgs),
    /// List the secrets in a folder
    List(ListArgs),
    /// List all secrets below a folder
    Scan(ListArgs),
    /// Change some members of a secret: a new version with the others as they were
    Patch(patch::PatchArgs),
    /// Delete the newest version of a secret, or those named
    Delete(DeleteArgs),
    /// Bring deleted versions back
    Undelete(versions::VersionsArgs),
    /// Destroy versions: nothing brings them back
    Destroy(versions::VersionsArgs),
    /// Write an older version anew, as the newest
    Rollback(versions::RollbackArgs),
    /// Make a mount keep versions
    EnableVersioning {
        /// The mount's path
        path: String,
    },
    /// What is kept of a secret besides its data
    #[command(subcommand)]
    Metadata(metadata::Metadata),
}

/// Which secret.
#[derive(Args)]
pub(crate) struct SecretArgs {
    /// The mount; without it, the path begins with the mount's
    #[arg(long, value_name = "MOUNT")]
    mount: Option<String>,
    /// The secret's path
    path: String,
}

/// Arguments of `kv list` and `kv scan`.
#[derive(Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    page: PageArgs,
    /// The mount; without it, the path begins with the mount's
    #[arg(long, value_name = "MOUNT")]
    mount: Option<String>,
    /// The path; the mount's root when absent
    path: Option<String>,
}

/// Arguments of `kv get`.
#[derive(Args)]
pub(crate) struct GetArgs {
    /// Which version; the newest when absent
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    #[command(flatten)]
    secret: SecretArgs,
}

/// Arguments of `kv delete`.
#[derive(Args)]
pub(crate) struct DeleteArgs {
    /// Which versions; the newest when absent
    #[arg(long, value_delimiter = ',', value_name = "N")]
    versions: Vec<u64>,
    #[command(flatten)]
    secret: SecretArgs,
}

impl SecretArgs {
    fn place(&self, session: &Session) -> Result<Place, CliError> {
        Place::find(session, self.mount.as_deref(), &self.path)
    }
}

/// Runs one of them.
pub(crate) fn run(session: &Session, kv: Kv) -> Result<(), CliError> {
    match kv {
        Kv::Put(args) => put::run(session, &args),
        Kv::Get(args) => get(session, &args),
        Kv::List(args) => list(session, &args, Depth::Folder),
        Kv::Scan(args) => list(session, &args, Depth::Below),
        Kv::Patch(args) => patch::run(session, &args),
        Kv::Delete(args) => delete(session, &args),
        Kv::Undelete(args) => versions::change(session, &args, "undelete"),
        Kv::Destroy(args) => versions::change(session, &args, "destroy"),
        Kv::Rollback(args) => versions::rollback(session, &args),
        Kv::EnableVersioning { path } => versions::enable(session, &path),
        Kv::Metadata(metadata) => metadata::run(session, metadata),
    }
}

fn list(session: &Session, args: &ListArgs, depth: Depth) -> Result<(), CliError> {
    if args.mount.is_none() && args.path.is_none() {
        return Err(CliError::Usage("name a path, or a -mount".to_owned()));
    }
    let path = args.path.as_deref().unwrap_or_default();
    let place = Place::find(session, args.mount.as_deref(), path)?;
    let tree = match args.page.is_detailed() {
        true => "detailed-metadata",
        false => "metadata",
    };
    let request = args.page.request(&place.api_path(tree), depth);
    list::show(session, &request, &args.page, place.above())
}

fn get(session: &Session, args: &GetArgs) -> Result<(), CliError> {
    let place = args.secret.place(session)?;
    let path = place.api_path("data");
    let mut request = Request::read(&path);
    match (place.is_versioned(), args.version) {
        (true, Some(version)) => request = request.with_query("version", &version.to_string()),
        (false, Some(_)) => return Err(unversioned("-version")),
        _ => {}
    }
    let answer = logical::found(&session.send(&request)?, &path, place.above())?;
    if !place.is_versioned() || answer.is_wrapped() {
        return session.output.answer(&answer);
    }
    if session.output.wants_field() {
        let Some(data) = answer.datum("data").filter(|data| data.is_object()) else {
            // The version was deleted or destroyed.
            let see = place.above();
            return Err(CliError::NoValue { path, see });
        };
        if session.output.field_is("data") && data.get("data").is_none() {
            return session.output.result(&json!({"data": data}), String::new);
        }
        return session.output.result(data, String::new);
    }
    if !session.output.is_table() {
        return session.output.answer(&answer);
    }
    let mut text = path_text(&path);
    if let Some(metadata) = answer.datum("metadata").filter(|value| value.is_object()) {
        text.push_str(&Table::of_object(metadata).titled("Metadata"));
    }
    if let Some(data) = answer.datum("data").filter(|value| value.is_object()) {
        text.push('\n');
        text.push_str(&Table::of_object(data).titled("Data"));
    }
    output::raw(text.as_bytes())
}

fn delete(session: &Session, args: &DeleteArgs) -> Result<(), CliError> {
    let place = args.secret.place(session)?;
    let path = place.api_path("data");
    let request = if args.versions.is_empty() {
        Request::delete(&path)
    } else if place.is_versioned() {
        Request::write(
            &place.api_path("delete"),
            &json!({"versions": args.versions}),
        )?
    } else {
        return Err(unversioned("-versions"));
    };
    session.call(&request)?;
    session
        .output
        .done(&format!("Success! Data deleted (if it existed) at: {path}"))
}

/// The heading that tells where a versioned secret is.
fn path_text(path: &str) -> String {
    format!(
        "{}\n{path}\n\n",
        output::heading("Secret Path", path.chars().count())
    )
}

fn metadata_text(path: &str, metadata: &Value) -> String {
    format!(
        "{}{}",
        path_text(path),
        Table::of_object(metadata).titled("Metadata")
    )
}

fn unversioned(flag: &str) -> CliError {
    CliError::Usage(unversioned_text(flag))
}

fn unversioned_text(flag: &str) -> String {
    format!("{flag} needs a mount that keeps versions (kv version 2)")
}
