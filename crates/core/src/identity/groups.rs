//! Writing and removing groups, and who is in them.

use std::collections::{BTreeSet, HashSet};

use super::draft::Draft;
use super::record::{Group, GroupKind, Held, Metadata};
use super::{Identity, keys, limits};
use crate::clock::Time;
use crate::error::Error;

/// Members that one commit lets go when their group was removed.
const PAGE: usize = 256;

/// What a write says of a group; what is absent stays as it is.
#[derive(Default)]
pub(super) struct GroupChange {
    pub name: Option<String>,
    pub kind: Option<String>,
    pub metadata: Option<Metadata>,
    pub policies: Option<Vec<String>>,
    /// All entities that are to be in it.
    pub members: Option<Vec<String>>,
    /// All groups that are to be in it.
    pub children: Option<Vec<String>>,
}

/// A checked one.
struct Checked {
    name: Option<String>,
    kind: Option<GroupKind>,
    metadata: Option<Metadata>,
    policies: Option<Vec<String>>,
    members: Option<BTreeSet<String>>,
    children: Option<BTreeSet<String>>,
}

impl GroupChange {
    fn checked(self) -> Result<Checked, Error> {
        if let Some(map) = &self.metadata {
            limits::metadata(map)?;
        }
        let kind = match self.kind.as_deref() {
            None | Some("") => None,
            Some("internal") => Some(GroupKind::Internal),
            Some("external") => Some(GroupKind::External),
            Some(other) => {
                return Err(Error::bad(format!("invalid group type \"{other}\"")));
            }
        };
        let set = |ids: Vec<String>| ids.into_iter().collect::<BTreeSet<_>>();
        let (members, children) = (self.members.map(set), self.children.map(set));
        let count = |ids: &Option<BTreeSet<String>>| ids.as_ref().map_or(0, BTreeSet::len);
        limits::bound(
            "member_entity_ids",
            count(&members),
            limits::ENTITIES,
            "ids",
        )?;
        limits::bound(
            "member_group_ids",
            count(&children),
            limits::CHILDREN,
            "ids",
        )?;
        Ok(Checked {
            name: limits::name("name", self.name)?,
            kind,
            metadata: self.metadata,
            policies: self.policies.map(limits::granted).transpose()?,
            members,
            children,
        })
    }
}

impl Checked {
    fn apply(&self, group: &mut Group, now: Time) -> Result<(), Error> {
        if self.kind.is_some_and(|kind| kind != group.kind) {
            return Err(Error::bad("group type cannot be changed"));
        }
        let some = |ids: &Option<BTreeSet<String>>| ids.as_ref().is_some_and(|ids| !ids.is_empty());
        if group.kind == GroupKind::External {
            if some(&self.members) {
                return Err(Error::bad(
                    "member entities can't be set manually for external groups",
                ));
            }
            if some(&self.children) {
                return Err(Error::bad("member groups can't be set for external groups"));
            }
        }
        if let Some(name) = &self.name {
            group.name.clone_from(name);
        }
        if let Some(map) = &self.metadata {
            group.metadata = Some(map.clone());
        }
        if let Some(policies) = &self.policies {
            group.policies = Some(policies.clone());
        }
        group.listed |= some(&self.members);
        group.touch(now);
        Ok(())
    }
}

impl Identity {
    /// Changes the group of an id, or of a name, or makes one: that one, when it was made.
    pub(super) async fn write_group(
        &self,
        id: Option<&str>,
        change: GroupChange,
    ) -> Result<Option<Group>, Error> {
        let change = change.checked()?;
        let attempt = || async {
            let named = match &change.name {
                Some(name) => self.group_named(name).await?,
                None => None,
            };
            let old = match id {
                Some(id) => {
                    let missing = || Error::bad("invalid group ID");
                    Some(self.group(id).await?.ok_or_else(missing)?)
                }
                None => named.clone(),
            };
            let id_of = |held: Option<&Held<Group>>| held.map(|held| held.record.id.clone());
            if named.is_some() && id_of(named.as_ref()) != id_of(old.as_ref()) {
                return Err(Error::bad("group name is already in use"));
            }
            let now = self.clock.now();
            let mut new = match &old {
                Some(old) => old.record.clone(),
                None => Group::new(change.name.clone(), change.kind.unwrap_or_default(), now),
            };
            change.apply(&mut new, now)?;
            let mut draft = Draft::default();
            draft.group(self, old.as_ref(), Some(&new))?;
            // An external group's members are not given here; nothing is all that got this far.
            if new.kind == GroupKind::Internal {
                if let Some(members) = &change.members {
                    self.admit(&mut draft, &new.id, members).await?;
                }
                if let Some(children) = &change.children {
                    self.adopt(&mut draft, &new, children).await?;
                }
            }
            self.commit(draft).await?;
            Ok(old.is_none().then_some(new))
        };
        let turn = id.or(change.name.as_deref()).unwrap_or_default();
        self.view.change(&format!("identity/{turn}"), attempt).await
    }

    /// Just these entities are in a group.
    async fn admit(
        &self,
        draft: &mut Draft,
        group: &str,
        wanted: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let present: BTreeSet<String> = self.members(group).await?.into_iter().collect();
        for id in present.symmetric_difference(wanted) {
            let comes = wanted.contains(id);
            let Some(old) = self.entity(id).await? else {
                if comes {
                    return Err(Error::bad(format!("invalid entity ID \"{id}\"")));
                }
                continue;
            };
            let mut new = old.record.clone();
            new.groups.retain(|known| known != group);
            if comes {
                self.join(&mut new.groups, group, "member_entity_ids")
                    .await?;
            }
            draft.entity(self, Some(&old), Some(&new))?;
        }
        Ok(())
    }

    /// Adds a group to those that somebody is in. Where they are many, those that are no more make
    /// room.
    pub(super) async fn join(
        &self,
        groups: &mut Vec<String>,
        group: &str,
        field: &str,
    ) -> Result<(), Error> {
        if groups.len() >= limits::GROUPS {
            let mut alive = Vec::new();
            for id in groups.iter() {
                if self.group_now(id).await?.is_some() {
                    alive.push(id.clone());
                }
            }
            *groups = alive;
        }
        limits::bound(
            field,
            groups.len() + 1,
            limits::GROUPS,
            "groups for one member",
        )?;
        groups.push(group.to_owned());
        Ok(())
    }

    /// Just these groups are in a group, and none of them is around it.
    async fn adopt(
        &self,
        draft: &mut Draft,
        parent: &Group,
        wanted: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let present: BTreeSet<String> = self.children(&parent.id).await?.into_iter().collect();
        let above = match wanted.is_subset(&present) {
            true => HashSet::new(),
            false => self.above(draft, parent).await?,
        };
        let now = self.clock.now();
        for id in present.symmetric_difference(wanted) {
            let comes = wanted.contains(id);
            if *id == parent.id {
                return Err(Error::bad(format!(
                    "member group ID \"{id}\" is same as the ID of the group"
                )));
            }
            if comes && above.contains(id) {
                return Err(Error::bad(format!(
                    "cyclic relationship detected for member group ID \"{id}\""
                )));
            }
            let Some(old) = self.group(id).await? else {
                if comes {
                    return Err(Error::bad(format!("invalid member group ID \"{id}\"")));
                }
                continue;
            };
            let mut new = old.record.clone();
            new.parents.retain(|known| *known != parent.id);
            if comes {
                self.join(&mut new.parents, &parent.id, "member_group_ids")
                    .await?;
            }
            new.touch(now);
            draft.group(self, Some(&old), Some(&new))?;
        }
        Ok(())
    }

    /// The groups around a group. The commit holds only as long as they are as they were read, so
    /// that two changes at once can't close a circle.
    async fn above(&self, draft: &mut Draft, group: &Group) -> Result<HashSet<String>, Error> {
        let mut above = HashSet::new();
        let mut next = group.parents.clone();
        while let Some(id) = next.pop() {
            if !above.insert(id.clone()) {
                continue;
            }
            limits::bound(
                "member_group_ids",
                above.len(),
                limits::ALL_GROUPS,
                "groups around it",
            )?;
            if let Some(held) = self.group(&id).await? {
                draft.keep(&held);
                next.extend(held.record.parents);
            }
        }
        Ok(above)
    }

    /// Removes a group; one that is not there is no error. It grants nothing from here on. Its
    /// members forget it one by one, the last of them in the background.
    pub(super) async fn delete_group(&self, id: &str) -> Result<(), Error> {
        let attempt = || async {
            let Some(old) = self.group(id).await? else {
                return Ok(false);
            };
            let mut draft = Draft::default();
            draft.group(self, Some(&old), None)?;
            draft.note(keys::leaving(id));
            for child in self.children(id).await? {
                if let Some(held) = self.group(&child).await? {
                    let mut new = held.record.clone();
                    new.parents.retain(|parent| parent != id);
                    draft.group(self, Some(&held), Some(&new))?;
                }
            }
            self.commit(draft).await?;
            Ok(true)
        };
        let turn = format!("identity/{id}");
        if self.view.change(&turn, attempt).await? {
            self.let_go(id).await?;
        }
        Ok(())
    }

    /// Ends what removals of groups have begun: a page of members for each.
    pub async fn sweep(&self) -> Result<(), Error> {
        for group in self.page(keys::LEAVING, "", PAGE).await?.names {
            self.let_go(&group).await?;
        }
        Ok(())
    }

    /// A page of the members of a removed group forget it; with the last of them the note goes.
    async fn let_go(&self, group: &str) -> Result<(), Error> {
        let folder = keys::members(group);
        let page = self.page(&folder, "", PAGE).await?;
        for id in &page.names {
            let attempt = || async {
                let mut draft = Draft::default();
                match self.entity(id).await? {
                    Some(old) if old.record.groups.iter().any(|known| known == group) => {
                        let mut new = old.record.clone();
                        new.groups.retain(|known| known != group);
                        draft.entity(self, Some(&old), Some(&new))?;
                    }
                    // Only its place is left.
                    _ => draft.remove(keys::member(group, id)),
                }
                self.commit(draft).await
            };
            self.view.change(&format!("identity/{id}"), attempt).await?;
        }
        if !page.more {
            let mut draft = Draft::default();
            draft.remove(keys::leaving(group));
            self.commit(draft).await?;
        }
        Ok(())
    }
}
