//! `keyfold kv metadata`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use keyfold_client::Request;
use serde::Serialize;
use serde_json::{Map, Value};

use super::place::Place;
use super::{SecretArgs, unversioned};
use crate::error::CliError;
use crate::logical;
use crate::output::{self, Answer, Table, heading};
use crate::pairs::pair;
use crate::session::Session;
use crate::span::span;

/// The commands of `kv metadata`.
#[derive(Subcommand)]
pub(crate) enum Metadata {
    /// Show a secret's settings and versions
    Get(SecretArgs),
    /// Set a secret's settings
    Put(SettingsArgs),
    /// Change some of a secret's settings
    Patch(PatchArgs),
    /// Delete a secret with all its versions
    Delete(SecretArgs),
}

/// Arguments of `kv metadata put`.
#[derive(Args)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    secret: SecretArgs,
}

/// Arguments of `kv metadata patch`.
#[derive(Args)]
pub(crate) struct PatchArgs {
    #[command(flatten)]
    settings: Settings,
    /// A member of the custom metadata to remove; may be given several times
    #[arg(long, value_name = "NAME")]
    remove_custom_metadata: Vec<String>,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Args)]
struct Settings {
    /// How many versions are kept
    #[arg(long, value_name = "N")]
    max_versions: Option<u64>,
    /// Whether each write must name the version it follows
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    cas_required: Option<bool>,
    /// When versions delete themselves
    #[arg(long, value_name = "DURATION", value_parser = span)]
    delete_version_after: Option<String>,
    /// A remark on the secret; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    custom_metadata: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_versions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cas_required: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_version_after: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    custom_metadata: BTreeMap<&'a str, Option<&'a str>>,
}

impl Settings {
    fn body<'a>(&'a self, removed: &'a [String]) -> Body<'a> {
        let set = self.custom_metadata.iter();
        let set = set.map(|(name, value)| (name.as_str(), Some(value.as_str())));
        Body {
            max_versions: self.max_versions,
            cas_required: self.cas_required,
            delete_version_after: self.delete_version_after.as_deref(),
            custom_metadata: set
                .chain(removed.iter().map(|name| (name.as_str(), None)))
                .collect(),
        }
    }
}

/// Runs one of them.
pub(crate) fn run(session: &Session, metadata: Metadata) -> Result<(), CliError> {
    match metadata {
        Metadata::Get(secret) => get(session, &secret),
        Metadata::Put(args) => {
            let path = path(session, &args.secret)?;
            session.call(&Request::write(&path, &args.settings.body(&[]))?)?;
            session
                .output
                .done(&format!("Success! Data written to: {path}"))
        }
        Metadata::Patch(args) => {
            let path = path(session, &args.secret)?;
            let body = args.settings.body(&args.remove_custom_metadata);
            session.call(&Request::patch(&path, &body)?)?;
            session
                .output
                .done(&format!("Success! Data written to: {path}"))
        }
        Metadata::Delete(secret) => {
            let path = path(session, &secret)?;
            session.call(&Request::delete(&path))?;
            output::line(&format!("Success! Data deleted (if it existed) at: {path}"))
        }
    }
}

fn path(session: &Session, secret: &SecretArgs) -> Result<String, CliError> {
    Ok(versioned(session, secret)?.api_path("metadata"))
}

fn versioned(session: &Session, secret: &SecretArgs) -> Result<Place, CliError> {
    let place = secret.place(session)?;
    if !place.is_versioned() {
        return Err(unversioned("metadata"));
    }
    Ok(place)
}

fn get(session: &Session, secret: &SecretArgs) -> Result<(), CliError> {
    let place = versioned(session, secret)?;
    let path = place.api_path("metadata");
    let answer = logical::found(&session.send(&Request::read(&path))?, &path, place.above())?;
    let plain = session.output.is_table() && !session.output.wants_field();
    if !plain || answer.is_wrapped() {
        return session.output.answer(&answer);
    }
    output::raw(text(&path, &answer).as_bytes())
}

fn text(path: &str, answer: &Answer) -> String {
    let mut settings: Map<String, Value> = answer.data.clone().unwrap_or_default();
    let versions = settings.remove("versions").unwrap_or_default();
    let title = heading("Metadata Path", path.chars().count());
    let settings = Table::of_object(&Value::Object(settings)).titled("Metadata");
    let mut text = format!("{title}\n{path}\n\n{settings}");
    let mut versions: Vec<_> = versions.as_object().into_iter().flatten().collect();
    versions.sort_by_key(|(number, _)| number.parse::<u64>().unwrap_or_default());
    for (number, version) in versions {
        text.push('\n');
        text.push_str(&Table::of_object(version).titled(&format!("Version {number}")));
    }
    text
}
