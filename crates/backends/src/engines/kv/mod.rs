//! KV version 2: secrets with versions.
//!
//! ```text
//!   config               settings of the mount
//!   metadata/<path>      settings of a secret and what is known of each version: one record
//!   versions/<path>/<n>  the data of version n, JSON as it was written
//! ```
//!
//! The last segment of a version's key is always its number, so `a` and `a/1` never meet. What a
//! call changes is one commit, against the metadata that it read.

mod config;
mod data;
mod metadata;
mod record;
#[cfg(test)]
mod tests;
mod versions;

use std::sync::Arc;

use keyfold_core::barrier::View;
use keyfold_core::clock::Clock;
use keyfold_core::error::{Error, UnsupportedReason};
use keyfold_core::ports::engine::{Call, Dispatch, Engine, EngineKind, MountContext, Route};
use keyfold_core::reply::Reply;
use keyfold_core::request::Op;

/// `kv`, as `sys/mounts` calls it.
pub const KIND: EngineKind = EngineKind { name: "kv", open };

/// Longest path of a secret, bytes.
const MAX_PATH: usize = 8 * 1024;

/// A mounted KV engine.
struct Kv {
    view: View,
    clock: Arc<dyn Clock>,
}

impl Kv {
    fn new(view: View, clock: Arc<dyn Clock>) -> Self {
        Self { view, clock }
    }
}

fn open(cx: MountContext) -> Result<Arc<dyn Dispatch>, Error> {
    match cx.options.get("version").map(String::as_str) {
        Some("2") => Ok(Arc::new(Kv::new(cx.view, cx.clock))),
        Some("1") | None => Err(Error::field(
            "options.version",
            "KV version 1 is not offered by this version of the server; give version=2",
        )),
        Some(_) => Err(Error::field("options.version", "must be \"2\"")),
    }
}

impl Engine for Kv {
    fn routes() -> &'static [Route<Self>] {
        type Row = Route<Kv>;
        static ROUTES: &[Row] = &[
            Row::new(Op::Read, "config", "Settings of the mount.", |k, _| {
                Box::pin(k.config_read())
            }),
            Row::new(
                Op::Write,
                "config",
                "Changes settings of the mount.",
                |k, c| Box::pin(k.config_write(c)),
            ),
            Row::new(Op::Read, "data/{path...}", "Reads a version.", |k, c| {
                Box::pin(k.data_read(c))
            }),
            Row::new(
                Op::Write,
                "data/{path...}",
                "Writes a new version.",
                |k, c| Box::pin(k.data_write(c)),
            )
            .exists(|k, c| Box::pin(k.exists(c))),
            Row::new(
                Op::Delete,
                "data/{path...}",
                "Deletes the newest version.",
                |k, c| Box::pin(k.data_delete(c)),
            ),
            Row::new(
                Op::Write,
                "delete/{path...}",
                "Deletes versions.",
                |k, c| Box::pin(k.delete(c)),
            ),
            Row::new(
                Op::Write,
                "undelete/{path...}",
                "Takes deletions back.",
                |k, c| Box::pin(k.undelete(c)),
            ),
            Row::new(
                Op::Write,
                "destroy/{path...}",
                "Destroys versions.",
                |k, c| Box::pin(k.destroy(c)),
            ),
            Row::new(Op::List, "metadata/{path...}", "Lists secrets.", |k, c| {
                Box::pin(k.metadata_list(c))
            }),
            Row::new(
                Op::Read,
                "metadata/{path...}",
                "What is known of a secret.",
                |k, c| Box::pin(k.metadata_read(c)),
            ),
            Row::new(
                Op::Write,
                "metadata/{path...}",
                "Settings of a secret.",
                |k, c| Box::pin(k.metadata_write(c)),
            )
            .exists(|k, c| Box::pin(k.exists(c))),
            Row::new(
                Op::Delete,
                "metadata/{path...}",
                "Removes a secret wholly.",
                |k, c| Box::pin(k.metadata_delete(c)),
            ),
            Row::new(Op::Read, "{path...}", "", |_, c| {
                Box::pin(async { astray(c, "get") })
            }),
            Row::new(Op::Write, "{path...}", "", |_, c| {
                Box::pin(async { astray(c, "put") })
            }),
            Row::new(Op::List, "{path...}", "", |_, c| {
                Box::pin(async { astray(c, "list") })
            }),
            Row::new(Op::Delete, "{path...}", "", |_, c| {
                Box::pin(async { astray(c, "delete") })
            }),
        ];
        ROUTES
    }
}

/// Answers a path that this engine does not have: mostly somebody who forgot `data/`.
fn astray(call: &Call<'_>, verb: &str) -> Result<Reply, Error> {
    call.note_unknown(Vec::new());
    let first = call.path.split('/').next().unwrap_or_default();
    if matches!(
        first,
        "config" | "data" | "delete" | "undelete" | "destroy" | "metadata"
    ) {
        return Err(Error::Unsupported(UnsupportedReason::Operation));
    }
    Ok(Reply::none().with_status(404).warn(format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate \
         API endpoints to use. If using the Keyfold CLI, use 'keyfold kv {verb}' for this \
         operation."
    )))
}

/// The path of a secret; one that names none is not found.
fn secret_path<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    let path = call.param("path");
    if path.is_empty() || path.split('/').any(str::is_empty) {
        return Err(Error::NotFound);
    }
    if path.len() > MAX_PATH {
        return Err(Error::bad(format!(
            "the path is longer than {MAX_PATH} bytes"
        )));
    }
    Ok(path)
}

/// The same for a write, where such a path is a mistake.
fn written_path<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    secret_path(call).map_err(|error| match error {
        Error::NotFound if call.path.ends_with('/') => {
            Error::bad("cannot write to a path ending in '/'")
        }
        Error::NotFound => Error::bad("a segment of the path is empty"),
        error => error,
    })
}
