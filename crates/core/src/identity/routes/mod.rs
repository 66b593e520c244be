//! `identity/`: the table, and what its handlers have in common.

mod alias;
mod entity;
mod group;
mod group_alias;
mod lookup;
mod shown;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::Identity;
use super::aliases::Placed;
use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::ports::engine::{Call, Engine, Meant, Route, Window};
use crate::reply::Reply;
use crate::request::Op;

/// The mount `identity/`, over an open vault.
pub struct IdentityStore(pub Arc<Unsealed>);

type Row = Route<IdentityStore>;

impl Engine for IdentityStore {
    fn routes() -> &'static [Row] {
        static ROUTES: &[Row] = &[
            Row::new(
                Op::Write,
                "entity",
                "Makes or changes an entity.",
                |i, c| Box::pin(i.entity_write(c)),
            ),
            Row::new(Op::Write, "entity/merge", "Merges entities.", |i, c| {
                Box::pin(i.entity_merge(c))
            }),
            Row::new(
                Op::Write,
                "entity/batch-delete",
                "Removes entities.",
                |i, c| Box::pin(i.entity_batch_delete(c)),
            ),
            Row::new(Op::List, "entity/id", "Lists entities by id.", |i, c| {
                Box::pin(i.entity_list(c))
            }),
            Row::new(Op::List, "entity/id/", "Lists entities by id.", |i, c| {
                Box::pin(i.entity_list(c))
            }),
            Row::new(Op::Read, "entity/id/{id}", "Reads an entity.", |i, c| {
                Box::pin(i.entity_read(c))
            }),
            Row::new(Op::Write, "entity/id/{id}", "Changes an entity.", |i, c| {
                Box::pin(i.entity_write(c))
            }),
            Row::new(
                Op::Delete,
                "entity/id/{id}",
                "Removes an entity.",
                |i, c| Box::pin(i.entity_delete(c)),
            ),
            Row::new(
                Op::List,
                "entity/name",
                "Lists entities by name.",
                |i, c| Box::pin(i.entity_list_names(c)),
            ),
            Row::new(
                Op::List,
                "entity/name/",
                "Lists entities by name.",
                |i, c| Box::pin(i.entity_list_names(c)),
            ),
            Row::new(
                Op::Read,
                "entity/name/{name...}",
                "Reads an entity.",
                |i, c| Box::pin(i.entity_read(c)),
            ),
            Row::new(
                Op::Write,
                "entity/name/{name...}",
                "Makes or changes an entity.",
                |i, c| Box::pin(i.entity_write(c)),
            ),
            Row::new(
                Op::Delete,
                "entity/name/{name...}",
                "Removes an entity.",
                |i, c| Box::pin(i.entity_delete(c)),
            ),
            Row::new(
                Op::Write,
                "entity-alias",
                "Makes or changes an alias.",
                |i, c| Box::pin(i.alias_write(c)),
            ),
            Row::new(Op::List, "entity-alias/id", "Lists aliases.", |i, c| {
                Box::pin(i.alias_list(c))
            }),
            Row::new(Op::List, "entity-alias/id/", "Lists aliases.", |i, c| {
                Box::pin(i.alias_list(c))
            }),
            Row::new(
                Op::Read,
                "entity-alias/id/{id}",
                "Reads an alias.",
                |i, c| Box::pin(i.alias_read(c)),
            ),
            Row::new(
                Op::Write,
                "entity-alias/id/{id}",
                "Changes an alias.",
                |i, c| Box::pin(i.alias_write(c)),
            ),
            Row::new(
                Op::Delete,
                "entity-alias/id/{id}",
                "Removes an alias.",
                |i, c| Box::pin(i.alias_delete(c)),
            ),
            // The elder name of entity-alias.
            Row::new(Op::Write, "alias", "Makes or changes an alias.", |i, c| {
                Box::pin(i.alias_write(c))
            }),
            Row::new(Op::List, "alias/id", "Lists aliases.", |i, c| {
                Box::pin(i.alias_list(c))
            }),
            Row::new(Op::List, "alias/id/", "Lists aliases.", |i, c| {
                Box::pin(i.alias_list(c))
            }),
            Row::new(Op::Read, "alias/id/{id}", "Reads an alias.", |i, c| {
                Box::pin(i.alias_read(c))
            }),
            Row::new(Op::Write, "alias/id/{id}", "Changes an alias.", |i, c| {
                Box::pin(i.alias_write(c))
            }),
            Row::new(Op::Delete, "alias/id/{id}", "Removes an alias.", |i, c| {
                Box::pin(i.alias_delete(c))
            }),
            Row::new(Op::Write, "group", "Makes or changes a group.", |i, c| {
                Box::pin(i.group_write(c))
            }),
            Row::new(Op::List, "group/id", "Lists groups by id.", |i, c| {
                Box::pin(i.group_list(c))
            }),
            Row::new(Op::List, "group/id/", "Lists groups by id.", |i, c| {
                Box::pin(i.group_list(c))
            }),
            Row::new(Op::Read, "group/id/{id}", "Reads a group.", |i, c| {
                Box::pin(i.group_read(c))
            }),
            Row::new(Op::Write, "group/id/{id}", "Changes a group.", |i, c| {
                Box::pin(i.group_write(c))
            }),
            Row::new(Op::Delete, "group/id/{id}", "Removes a group.", |i, c| {
                Box::pin(i.group_delete(c))
            }),
            Row::new(Op::List, "group/name", "Lists groups by name.", |i, c| {
                Box::pin(i.group_list_names(c))
            }),
            Row::new(Op::List, "group/name/", "Lists groups by name.", |i, c| {
                Box::pin(i.group_list_names(c))
            }),
            Row::new(
                Op::Read,
                "group/name/{name...}",
                "Reads a group.",
                |i, c| Box::pin(i.group_read(c)),
            ),
            Row::new(
                Op::Write,
                "group/name/{name...}",
                "Makes or changes a group.",
                |i, c| Box::pin(i.group_write(c)),
            ),
            Row::new(
                Op::Delete,
                "group/name/{name...}",
                "Removes a group.",
                |i, c| Box::pin(i.group_delete(c)),
            ),
            Row::new(
                Op::Write,
                "group-alias",
                "Gives a group its alias.",
                |i, c| Box::pin(i.group_alias_write(c)),
            ),
            Row::new(
                Op::List,
                "group-alias/id",
                "Lists groups' aliases.",
                |i, c| Box::pin(i.group_alias_list(c)),
            ),
            Row::new(
                Op::List,
                "group-alias/id/",
                "Lists groups' aliases.",
                |i, c| Box::pin(i.group_alias_list(c)),
            ),
            Row::new(
                Op::Read,
                "group-alias/id/{id}",
                "Reads a group's alias.",
                |i, c| Box::pin(i.group_alias_read(c)),
            ),
            Row::new(
                Op::Write,
                "group-alias/id/{id}",
                "Changes a group's alias.",
                |i, c| Box::pin(i.group_alias_write(c)),
            ),
            Row::new(
                Op::Delete,
                "group-alias/id/{id}",
                "Removes a group's alias.",
                |i, c| Box::pin(i.group_alias_delete(c)),
            ),
            Row::new(Op::Write, "lookup/entity", "Finds an entity.", |i, c| {
                Box::pin(i.lookup_entity(c))
            }),
            Row::new(Op::Write, "lookup/group", "Finds a group.", |i, c| {
                Box::pin(i.lookup_group(c))
            }),
        ];
        ROUTES
    }

    fn meant(&self, path: &str) -> Option<Meant> {
        meant(path)
    }
}

/// Entities and groups are found by name without regard to case.
fn meant(path: &str) -> Option<Meant> {
    ["entity/name/", "group/name/"].iter().find_map(|folder| {
        let name = path.strip_prefix(folder).filter(|name| !name.is_empty())?;
        Some(Meant::named(folder, &name.to_lowercase()))
    })
}

/// Names, and what is told of each.
#[derive(Serialize)]
struct Listed<T> {
    key_info: BTreeMap<String, T>,
    keys: Vec<String>,
}

impl IdentityStore {
    fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The names in a folder of the index that a list asks for. `place` turns what the caller
    /// calls the last one seen into its name there.
    async fn names(
        &self,
        call: &Call<'_>,
        folder: &str,
        place: impl FnOnce(String) -> String,
    ) -> Result<Vec<String>, Error> {
        let window = call.decode::<Window>()?;
        let after = match window.after() {
            "" => String::new(),
            after => place(after.to_owned()),
        };
        let limit = window.limit(call);
        Ok(self.identity().page(folder, &after, limit).await?.names)
    }

    /// An accessor in a body, which has to be that of a mount.
    fn check_accessor(&self, accessor: Option<String>) -> Result<Option<String>, Error> {
        let accessor = accessor.filter(|accessor| !accessor.is_empty());
        match accessor {
            Some(other) if self.0.mounts.by_accessor(&other).is_none() => {
                Err(Error::bad(format!("invalid mount accessor \"{other}\"")))
            }
            known => Ok(known),
        }
    }
}

/// Where an alias was put; nothing where nothing was changed.
fn placed(placed: Option<Placed>) -> Result<Reply, Error> {
    placed.map_or_else(|| Ok(Reply::none()), |placed| Reply::data(&placed))
}

/// A list with what is told of each name; an empty one is a 404, as on the wire.
fn listed<T: Serialize>(told: Vec<(String, T)>) -> Result<Reply, Error> {
    if told.is_empty() {
        return Err(Error::NotFound);
    }
    let keys = told.iter().map(|(key, _)| key.clone()).collect();
    let key_info = told.into_iter().collect();
    Reply::data(&Listed { key_info, keys })
}
