//! Mounting.

use std::collections::BTreeMap;

use clap::Args;
use keyfold_client::Request;
use serde::Serialize;

use super::Class;
use super::tune::{Tuning, TuningArgs};
use crate::error::CliError;
use crate::logical;
use crate::output;
use crate::pairs::pair;
use crate::session::Session;

/// Arguments of `enable`.
#[derive(Args)]
pub(crate) struct EnableArgs {
    /// Where to mount it; its type's name when absent
    #[arg(long)]
    path: Option<String>,
    /// A remark for people
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// The version of the engine: 1 or 2 for kv
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// Options of the engine; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
    #[command(flatten)]
    tuning: TuningArgs,
    /// Of the type `plugin`: which one
    #[arg(long, value_name = "NAME")]
    plugin_name: Option<String>,
    /// The version of the plugin, of servers that have several
    #[arg(long, value_name = "VERSION")]
    plugin_version: Option<String>,
    /// Read nothing of it from a cache, of servers that keep one
    #[arg(long)]
    force_no_cache: bool,
    /// Taken for the sake of scripts: there is no replication that it would be left out of
    #[arg(long)]
    local: bool,
    /// Taken for the sake of scripts: every record is sealed
    #[arg(long)]
    seal_wrap: bool,
    /// The type: transit, kv, kv-v2; userpass, approle, jwt
    kind: String,
}

/// The body of `sys/mounts/PATH` and `sys/auth/PATH`.
#[derive(Serialize)]
struct Mount<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    description: &'a str,
    config: Config<'a>,
    options: BTreeMap<String, String>,
    local: bool,
    seal_wrap: bool,
}

#[derive(Serialize)]
struct Config<'a> {
    #[serde(flatten)]
    tuning: Tuning<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    force_no_cache: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin_version: Option<&'a str>,
}

/// Mounts an engine or an auth method.
pub(crate) fn run(session: &Session, class: Class, args: EnableArgs) -> Result<(), CliError> {
    let mut options: BTreeMap<_, _> = args.options.into_iter().collect();
    let named = match (args.kind.as_str(), &args.plugin_name) {
        ("plugin", Some(name)) => name,
        ("plugin", None) => {
            return Err(CliError::Refused(
                "the type plugin needs -plugin-name".to_owned(),
            ));
        }
        (_, _) => &args.kind,
    };
    let kind = match named.as_str() {
        "kv-v2" if class == Class::Secrets => {
            options.insert("version".to_owned(), "2".to_owned());
            "kv"
        }
        kind => kind,
    };
    if let Some(version) = args.version {
        options.insert("version".to_owned(), version.to_string());
    }
    let mount = Mount {
        kind,
        description: &args.description,
        config: Config {
            tuning: args.tuning.body(),
            force_no_cache: args.force_no_cache.then_some(true),
            plugin_version: args.plugin_version.as_deref(),
        },
        options,
        local: args.local,
        seal_wrap: args.seal_wrap,
    };
    let path = args.path.as_deref().unwrap_or(named).trim_matches('/');
    let answer = session.call(&Request::write(&format!("{}/{path}", class.api()), &mount)?)?;
    logical::show_warnings(&answer)?;
    output::line(&format!(
        "Success! Enabled the {kind} {} at: {path}/",
        class.noun()
    ))
}
