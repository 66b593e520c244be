//! Entities, groups and aliases as the wire shows them.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::IdentityStore;
use crate::error::Error;
use crate::identity::record::{Alias, Entity, Group, GroupKind, Metadata};
use crate::identity::standing::Standing;
use crate::mounts::{Mount, Table};
use crate::reply::Reply;

/// Mounts by accessor.
pub(super) struct Places<'a>(HashMap<&'a str, &'a Arc<Mount>>);

impl<'a> Places<'a> {
    pub fn new(table: &'a Table) -> Self {
        Self(
            table
                .iter()
                .map(|m| (m.record.accessor.as_str(), m))
                .collect(),
        )
    }

    /// Path and type of a mount; empty for one that is gone.
    pub fn of(&self, accessor: &str) -> (&'a str, &'a str) {
        let mount = self.0.get(accessor);
        mount.map_or(("", ""), |m| {
            (m.record.path.as_str(), m.record.kind.as_str())
        })
    }
}

#[derive(Serialize)]
struct EntityShown<'a> {
    aliases: Vec<AliasShown<'a>>,
    creation_time: String,
    direct_group_ids: Vec<&'a str>,
    disabled: bool,
    group_ids: Vec<&'a str>,
    id: &'a str,
    inherited_group_ids: Vec<&'a str>,
    last_update_time: String,
    merged_entity_ids: Option<&'a [String]>,
    metadata: &'a Option<Metadata>,
    name: &'a str,
    namespace_id: &'static str,
    policies: &'a [String],
}

/// An alias by itself, or in its entity.
#[derive(Serialize)]
pub(super) struct AliasShown<'a> {
    #[serde(flatten)]
    alias: GroupAliasShown<'a>,
    custom_metadata: &'a Option<Metadata>,
    local: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_id: Option<&'static str>,
}

/// An alias in a list.
#[derive(Serialize)]
pub(super) struct AliasBrief {
    canonical_id: String,
    custom_metadata: Option<Metadata>,
    local: bool,
    metadata: Option<Metadata>,
    mount_accessor: String,
    mount_path: String,
    mount_type: String,
    name: String,
}

#[derive(Serialize)]
struct GroupShown<'a> {
    alias: GroupAlias<'a>,
    creation_time: String,
    id: &'a str,
    last_update_time: String,
    member_entity_ids: Option<Vec<String>>,
    member_group_ids: Option<Vec<String>>,
    metadata: &'a Option<Metadata>,
    modify_index: u64,
    name: &'a str,
    namespace_id: &'static str,
    parent_group_ids: Option<&'a [String]>,
    policies: &'a Option<Vec<String>>,
    #[serde(rename = "type")]
    kind: GroupKind,
}

/// The alias of a group; `{}` where it has none.
#[derive(Serialize)]
struct GroupAlias<'a> {
    #[serde(flatten)]
    alias: Option<GroupAliasShown<'a>>,
}

#[derive(Serialize)]
struct GroupAliasShown<'a> {
    canonical_id: &'a str,
    creation_time: String,
    id: &'a str,
    last_update_time: String,
    merged_from_canonical_ids: Option<&'a [String]>,
    metadata: &'a Option<Metadata>,
    mount_accessor: &'a str,
    mount_path: &'a str,
    mount_type: &'a str,
    name: &'a str,
}

impl IdentityStore {
    pub(super) async fn show_entity(&self, entity: Entity) -> Result<Reply, Error> {
        let standing = self.identity().work_out(entity, 0).await?;
        let table = self.0.mounts.table();
        let places = Places::new(&table);
        let Standing { entity, groups, .. } = &standing;
        let ids: Vec<&str> = groups.iter().map(|group| group.id.as_str()).collect();
        let (direct, inherited) = ids.split_at_checked(standing.direct).unwrap_or_default();
        let aliases = entity.aliases.iter();
        Reply::data(&EntityShown {
            aliases: aliases
                .map(|alias| shown(alias, &entity.id, &places))
                .collect(),
            creation_time: entity.created.rfc3339(),
            direct_group_ids: direct.to_vec(),
            disabled: entity.disabled,
            group_ids: ids.clone(),
            id: &entity.id,
            inherited_group_ids: inherited.to_vec(),
            last_update_time: entity.updated.rfc3339(),
            merged_entity_ids: some(&entity.merged),
            metadata: &entity.metadata,
            name: &entity.name,
            namespace_id: "root",
            policies: &entity.policies,
        })
    }

    pub(super) async fn show_group(&self, group: &Group) -> Result<Reply, Error> {
        let members = self.identity().members(&group.id).await?;
        let children = self.identity().children(&group.id).await?;
        let table = self.0.mounts.table();
        let places = Places::new(&table);
        let alias = group.alias.as_ref();
        Reply::data(&GroupShown {
            alias: GroupAlias {
                alias: alias.map(|alias| of_group(alias, &group.id, &places)),
            },
            creation_time: group.created.rfc3339(),
            id: &group.id,
            last_update_time: group.updated.rfc3339(),
            member_entity_ids: (group.listed || !members.is_empty()).then_some(members),
            member_group_ids: (!children.is_empty()).then_some(children),
            metadata: &group.metadata,
            modify_index: group.modify_index,
            name: &group.name,
            namespace_id: "root",
            parent_group_ids: some(&group.parents),
            policies: &group.policies,
            kind: group.kind,
        })
    }

    /// An alias by itself, of the entity or the group of an id.
    pub(super) fn show_alias(&self, alias: &Alias, owner: &str) -> Result<Reply, Error> {
        let table = self.0.mounts.table();
        Reply::data(&AliasShown {
            namespace_id: Some("root"),
            ..shown(alias, owner, &Places::new(&table))
        })
    }
}

/// An alias in a list.
pub(super) fn brief(alias: Alias, owner: &str, places: &Places<'_>) -> (String, AliasBrief) {
    let (path, kind) = places.of(&alias.mount);
    let brief = AliasBrief {
        canonical_id: owner.to_owned(),
        custom_metadata: alias.custom_metadata,
        local: false,
        metadata: alias.metadata,
        mount_path: path.to_owned(),
        mount_type: kind.to_owned(),
        mount_accessor: alias.mount,
        name: alias.name,
    };
    (alias.id, brief)
}

fn shown<'a>(alias: &'a Alias, owner: &'a str, places: &Places<'a>) -> AliasShown<'a> {
    AliasShown {
        alias: of_group(alias, owner, places),
        custom_metadata: &alias.custom_metadata,
        local: false,
        namespace_id: None,
    }
}

fn of_group<'a>(alias: &'a Alias, owner: &'a str, places: &Places<'a>) -> GroupAliasShown<'a> {
    let (mount_path, mount_type) = places.of(&alias.mount);
    GroupAliasShown {
        canonical_id: owner,
        creation_time: alias.created.rfc3339(),
        id: &alias.id,
        last_update_time: alias.updated.rfc3339(),
        merged_from_canonical_ids: some(&alias.merged_from),
        metadata: &alias.metadata,
        mount_accessor: &alias.mount,
        mount_path,
        mount_type,
        name: &alias.name,
    }
}

/// The wire says `null` for a list that nobody has written to.
fn some(list: &[String]) -> Option<&[String]> {
    (!list.is_empty()).then_some(list)
}
