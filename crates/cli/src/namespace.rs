//! `keyfold namespace`: for servers that have namespaces. This one has none, and says what to do
//! instead.

use clap::{Args, Subcommand};
use keyfold_client::{Method, Request};
use serde_json::{Map, Value, json};

use crate::error::CliError;
use crate::list::{self, Depth, PageArgs};
use crate::logical;
use crate::pairs::pair;
use crate::session::Session;

const ROOT: &str = "sys/namespaces";
const SEE: &str = "keyfold secrets list";

/// The commands of `namespace`. A Keyfold server has no namespaces: tenants are told apart by the
/// paths of their mounts and by policies.
#[derive(Subcommand)]
pub(crate) enum Namespace {
    /// List the namespaces
    List(PageArgs),
    /// List the namespaces, and those below them
    Scan(PageArgs),
    /// Show one
    Lookup {
        /// Its path
        path: String,
    },
    /// Make one
    Create(CreateArgs),
    /// Change what is noted of one
    Patch(PatchArgs),
    /// Remove one
    Delete {
        /// Its path
        path: String,
    },
    /// Close the API of one
    Lock {
        /// Its path; this namespace when absent
        path: Option<String>,
    },
    /// Open the API of one
    Unlock {
        /// What `lock` printed
        #[arg(long, value_name = "KEY")]
        unlock_key: Option<String>,
        /// Its path; this namespace when absent
        path: Option<String>,
    },
}

/// Arguments of `namespace create`.
#[derive(Args)]
pub(crate) struct CreateArgs {
    /// A note for people; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    custom_metadata: Vec<(String, String)>,
    /// Its path
    path: String,
}

/// Arguments of `namespace patch`.
#[derive(Args)]
pub(crate) struct PatchArgs {
    /// A note for people; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    custom_metadata: Vec<(String, String)>,
    /// A note to remove; may be given several times
    #[arg(long, value_name = "NAME")]
    remove_custom_metadata: Vec<String>,
    /// Its path
    path: String,
}

/// Runs one of them.
pub(crate) fn run(session: &Session, namespace: Namespace) -> Result<(), CliError> {
    let at = |path: &str| format!("{ROOT}/{}", path.trim_matches('/'));
    match namespace {
        Namespace::List(page) => names(session, &page, Depth::Folder),
        Namespace::Scan(page) => names(session, &page, Depth::Below),
        Namespace::Lookup { path } => {
            let path = at(&path);
            let response = session.send(&Request::read(&path))?;
            let answer = logical::found(&response, &path, "keyfold namespace list".to_owned())?;
            session.output.answer(&answer)
        }
        Namespace::Create(args) => {
            let body = json!({"custom_metadata": notes(args.custom_metadata, Vec::new())});
            done(session, &Request::write(&at(&args.path), &body)?, "Made")
        }
        Namespace::Patch(args) => {
            let notes = notes(args.custom_metadata, args.remove_custom_metadata);
            if notes.is_empty() {
                let needs = "it needs -custom-metadata or -remove-custom-metadata";
                return Err(CliError::Usage(needs.to_owned()));
            }
            let body = json!({"custom_metadata": notes});
            done(session, &Request::patch(&at(&args.path), &body)?, "Changed")
        }
        Namespace::Delete { path } => {
            let request = Request::new(Method::Delete, &at(&path));
            done(session, &request, "Removed (if it existed)")
        }
        Namespace::Lock { path } => {
            let request = Request::write(&lock("lock", path.as_deref()), &json!({}))?;
            done(session, &request, "Locked")
        }
        Namespace::Unlock { unlock_key, path } => {
            let body = json!({"unlock_key": unlock_key});
            let request = Request::write(&lock("unlock", path.as_deref()), &body)?;
            done(session, &request, "Unlocked")
        }
    }
}

fn names(session: &Session, page: &PageArgs, depth: Depth) -> Result<(), CliError> {
    list::show(session, &page.request(ROOT, depth), page, SEE.to_owned())
}

/// What is null is removed.
fn notes(set: Vec<(String, String)>, removed: Vec<String>) -> Map<String, Value> {
    let set = set.into_iter().map(|(name, value)| (name, value.into()));
    let removed = removed.into_iter().map(|name| (name, Value::Null));
    set.chain(removed).collect()
}

fn lock(call: &str, path: Option<&str>) -> String {
    match path.map(|path| path.trim_matches('/')) {
        None | Some("") => format!("{ROOT}/api-lock/{call}"),
        Some(path) => format!("{ROOT}/api-lock/{call}/{path}"),
    }
}

fn done(session: &Session, request: &Request, what: &str) -> Result<(), CliError> {
    let response = session.call(request)?;
    let sentence = format!("Success! {what}: {}", request.path());
    logical::shown(session, &response, &sentence)
}
