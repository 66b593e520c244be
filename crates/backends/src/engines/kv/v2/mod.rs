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

mod astray;
mod config;
mod data;
mod list;
mod metadata;
mod patch;
pub(super) mod record;
mod settings;
mod subkeys;
#[cfg(test)]
mod tests;
mod tree;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_core::barrier::View;
use keyfold_core::clock::Clock;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::{Engine, Retune, Route};
use keyfold_core::request::Op;

use super::takeover::Gate;
use super::{Format, path};

/// A mounted engine.
pub(super) struct Kv {
    gate: Gate,
    clock: Arc<dyn Clock>,
}

impl Kv {
    pub fn new(view: View, clock: Arc<dyn Clock>) -> Self {
        let gate = Gate::new(view, clock.clone());
        Self { gate, clock }
    }

    async fn view(&self) -> Result<&View, Error> {
        self.gate.view().await
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
                Op::Patch,
                "data/{path...}",
                "Writes a new version: the newest with some members changed.",
                |k, c| Box::pin(k.data_patch(c)),
            ),
            Row::new(
                Op::Delete,
                "data/{path...}",
                "Deletes the newest version.",
                |k, c| Box::pin(k.data_delete(c)),
            ),
            Row::new(
                Op::Read,
                "subkeys/{path...}",
                "The names in a version, without their values.",
                |k, c| Box::pin(k.subkeys_read(c)),
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
                Box::pin(k.list(c))
            }),
            Row::new(
                Op::List,
                "detailed-metadata/{path...}",
                "Lists secrets with what is known of each.",
                |k, c| Box::pin(k.list_detailed(c)),
            ),
            Row::new(
                Op::Scan,
                "metadata/{path...}",
                "Lists secrets, however deep.",
                |k, c| Box::pin(k.scan(c)),
            ),
            Row::new(
                Op::Scan,
                "detailed-metadata/{path...}",
                "Lists secrets, however deep, with what is known of each.",
                |k, c| Box::pin(k.scan_detailed(c)),
            ),
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
                Op::Patch,
                "metadata/{path...}",
                "Changes some settings of a secret.",
                |k, c| Box::pin(k.metadata_patch(c)),
            ),
            Row::new(
                Op::Delete,
                "metadata/{path...}",
                "Removes a secret wholly.",
                |k, c| Box::pin(k.metadata_delete(c)),
            ),
            Row::new(Op::Read, "{path...}", "", |_, c| {
                Box::pin(async { astray::answer(c, "get") })
            }),
            Row::new(Op::Write, "{path...}", "", |_, c| {
                Box::pin(async { astray::answer(c, "put") })
            }),
            Row::new(Op::Patch, "{path...}", "", |_, c| {
                Box::pin(async { astray::answer(c, "patch") })
            }),
            Row::new(Op::List, "{path...}", "", |_, c| {
                Box::pin(async { astray::answer(c, "list") })
            }),
            Row::new(Op::Scan, "{path...}", "", |_, c| {
                Box::pin(async { astray::answer(c, "scan") })
            }),
            Row::new(Op::Delete, "{path...}", "", |_, c| {
                Box::pin(async { astray::answer(c, "delete") })
            }),
        ];
        ROUTES
    }

    fn retune(&self, options: &BTreeMap<String, String>) -> Result<Retune, Error> {
        match Format::of(options)? {
            Format::One => Err(Error::bad("cannot downgrade mount from version 2")),
            Format::Two => Ok(Retune::default()),
        }
    }
}
