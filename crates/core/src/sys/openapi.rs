//! `sys/internal/specs/openapi`: the API as an OpenAPI 3 document, made from the tables of routes.
//!
//! ```text
//!   mount "kv/" + pattern "data/{path...}" + rows Read, Write  ──►  "/kv/data/{path}": {get, post}
//! ```
//!
//! It holds the mounts that the caller's policies reach; without a token, what `sys/` answers without
//! one. What a call takes is not part of a table:
//! bodies are objects of any members.

use std::collections::BTreeMap;

use keyfold_api::weak;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Doors, Row, System};
use crate::error::Error;
use crate::lifecycle::Core;
use crate::mounts::Mount;
use crate::pipeline;
use crate::ports::engine::{Access, Call, Dispatch, Help};
use crate::reply::Reply;
use crate::request::Op;

/// The version of the format.
const VERSION: &str = "3.0.2";

pub(super) fn rows() -> Vec<Row> {
    let path = "internal/specs/openapi";
    let what = "The API as an OpenAPI document.";
    vec![
        Row::new(Op::Read, path, what, |s, c| Box::pin(s.openapi(c))).open(),
        Row::new(Op::Write, path, what, |s, c| Box::pin(s.openapi(c))).open(),
    ]
}

#[derive(Deserialize)]
struct Asked {
    /// Paths begin with `{kv_mount_path}` in place of the mount's own.
    #[serde(default, deserialize_with = "weak::boolean")]
    generic_mount_paths: Option<bool>,
    /// Taken: it chose among documents of other formats.
    #[serde(default, rename = "context", deserialize_with = "weak::string")]
    _context: Option<String>,
}

impl System {
    async fn openapi(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let generic = call.decode::<Asked>()?.generic_mount_paths.unwrap_or(false);
        let acl = match &call.caller.token {
            Some(token) => Some(self.vault.acl(token).await?),
            None => None,
        };
        let table = self.vault.mounts.table();
        let mut paths = Paths::default();
        for mount in table.sorted() {
            let path = &mount.record.path;
            let reached = acl.as_ref().is_some_and(|acl| acl.reaches_below(path));
            if reached {
                let engine = pipeline::engine(&self.core, &self.vault, mount);
                paths.add(mount, generic, engine.help(""));
            }
            if path == "sys/" {
                paths.add(mount, generic, open_rows(self.help("")));
                paths.add(mount, generic, Doors(self.core.clone()).help(""));
            }
        }
        Reply::bare(&document(&self.core, &paths))
    }
}

/// The document of some rows of a mount: what the help of a path tells to programs.
pub(crate) fn of_rows(core: &Core, mount: &str, rows: Vec<Help>) -> Value {
    let mut paths = Paths::default();
    for row in rows {
        paths.add_row(mount, &[], &row);
    }
    document(core, &paths)
}

fn document(core: &Core, paths: &Paths) -> Value {
    json!({
        "openapi": VERSION,
        "info": {
            "title": "Keyfold API",
            "description": "HTTP API of a Keyfold server. All paths are below /v1/.",
            "version": core.settings().version,
            "license": {"name": "Apache-2.0"},
        },
        "paths": paths.0,
        "components": {"schemas": {}},
    })
}

/// Those that ask for no token.
fn open_rows(mut rows: Vec<Help>) -> Vec<Help> {
    rows.retain(|row| row.access == Access::Open);
    rows
}

/// Path items by path.
#[derive(Default)]
struct Paths(BTreeMap<String, Map<String, Value>>);

impl Paths {
    fn add(&mut self, mount: &Mount, generic: bool, rows: Vec<Help>) {
        let record = &mount.record;
        let fixed = matches!(
            record.kind.as_str(),
            "system" | "token" | "identity" | "cubbyhole"
        );
        let parameter = format!("{}_mount_path", record.kind.replace('-', "_"));
        let base = match (generic && !fixed, record.is_auth()) {
            (false, _) => record.path.clone(),
            (true, false) => format!("{{{parameter}}}/"),
            (true, true) => format!("auth/{{{parameter}}}/"),
        };
        let more = match generic && !fixed {
            true => vec![parameter],
            false => Vec::new(),
        };
        for row in rows {
            self.add_row(&base, &more, &row);
        }
    }

    /// `more`: the parameters of the base.
    fn add_row(&mut self, base: &str, more: &[String], row: &Help) {
        let pattern = row.pattern.trim_end_matches('/').replace("...}", "}");
        let path = format!("/{base}{pattern}");
        let path = path.trim_end_matches('/').to_owned();
        let mut names: Vec<String> = names(&pattern);
        names.extend_from_slice(more);
        let item = self.0.entry(path.clone()).or_insert_with(|| item(&names));
        add_row(item, row, &path);
    }
}

/// A path's item before it has operations.
fn item(names: &[String]) -> Map<String, Value> {
    let mut item = Map::new();
    let parameters: Vec<_> = names
        .iter()
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), parameters.into());
    }
    item
}

/// Adds an operation; of two rows for the same one the first counts, as it does for requests. A
/// list is a `get` with `list=true`.
fn add_row(item: &mut Map<String, Value>, row: &Help, path: &str) {
    match row.access {
        Access::Sudo => item.insert("x-vault-sudo".to_owned(), true.into()),
        Access::Open | Access::Door => {
            item.insert("x-vault-unauthenticated".to_owned(), true.into())
        }
        Access::Token => None,
    };
    if row.may_create {
        item.insert("x-vault-createSupported".to_owned(), true.into());
    }
    let verb = match row.op {
        Op::Read | Op::List => "get",
        Op::Write => "post",
        Op::Patch => "patch",
        Op::Delete => "delete",
        // No verb of the format says it.
        Op::Scan | Op::Help => return,
    };
    if let Some(there) = item.get_mut(verb) {
        if row.op == Op::List
            && let Some(operation) = there.as_object_mut()
            && !operation.contains_key("parameters")
        {
            operation.insert("parameters".to_owned(), json!([list_parameter(false)]));
        }
        return;
    }
    let mut operation = json!({
        "operationId": operation_id(row.op, path),
        "summary": row.help,
        "responses": {"200": {"description": "OK"}, "204": {"description": "done; no body"}},
    });
    let more = match row.op {
        Op::List => Some(("parameters", json!([list_parameter(true)]))),
        Op::Write => Some(("requestBody", body("application/json"))),
        Op::Patch => Some(("requestBody", body("application/merge-patch+json"))),
        _ => None,
    };
    if let (Some((name, value)), Some(operation)) = (more, operation.as_object_mut()) {
        operation.insert(name.to_owned(), value);
    }
    item.insert(verb.to_owned(), operation);
}

fn list_parameter(required: bool) -> Value {
    json!({
        "name": "list",
        "in": "query",
        "required": required,
        "description": "true lists the names below the path",
        "schema": {"type": "string", "enum": ["true"]},
    })
}

fn body(media_type: &str) -> Value {
    json!({"content": {media_type: {"schema": {"type": "object"}}}})
}

/// `read-kv-data-path`: unique, as the path and the verb are.
fn operation_id(op: Op, path: &str) -> String {
    let verb = format!("{op:?}").to_lowercase();
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.fold(verb, |id, word| format!("{id}-{word}"))
}

/// The names in braces.
fn names(pattern: &str) -> Vec<String> {
    let parts = pattern.split('{').skip(1);
    let names = parts.filter_map(|part| part.split_once('}'));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(op: Op, pattern: &'static str, access: Access) -> Help {
        Help {
            op,
            pattern,
            help: "What it does.",
            access,
            may_create: op == Op::Write,
        }
    }

    #[test]
    fn a_read_and_a_list_share_a_get() {
        let mut of = item(&names("metadata/{path}"));
        add_row(
            &mut of,
            &row(Op::Read, "metadata/{path...}", Access::Token),
            "/kv/metadata/{path}",
        );
        add_row(
            &mut of,
            &row(Op::List, "metadata/{path...}", Access::Token),
            "/kv/metadata/{path}",
        );
        add_row(
            &mut of,
            &row(Op::Write, "metadata/{path...}", Access::Sudo),
            "/kv/metadata/{path}",
        );
        assert_eq!(of["get"]["parameters"][0]["required"], false);
        assert_eq!(of["get"]["operationId"], "read-kv-metadata-path");
        assert_eq!(of["parameters"][0]["name"], "path");
        assert_eq!(
            (&of["x-vault-sudo"], &of["x-vault-createSupported"]),
            (&true.into(), &true.into())
        );
        assert!(of["post"]["requestBody"].is_object());
    }
}
