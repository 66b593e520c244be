//! Several entities become one.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::record::{Alias, Entity, Group, Held};
use super::{Identity, limits};
use crate::error::Error;

/// What is to be merged.
pub(super) struct Merge {
    /// These go.
    pub from: Vec<String>,
    /// This one stays, with its name, its metadata and its policies.
    pub to: String,
    /// Where both have an alias on one mount, one of the two is named here: then both stay.
    pub keep: Vec<String>,
}

/// Two aliases on one mount, which nobody has said may stay.
pub(super) struct Clash {
    pub mount: String,
    /// The entity that stays, and one that goes.
    pub entities: [Entity; 2],
}

impl Identity {
    /// Moves aliases and memberships to the entity that stays: one commit. Tokens of those that go
    /// act for it from then on. Nothing is done where aliases clash.
    pub(super) async fn merge(&self, mut merge: Merge) -> Result<Option<Clash>, Error> {
        if merge.to.is_empty() {
            return Err(Error::bad("missing entity id to merge to"));
        }
        merge.from.sort();
        merge.from.dedup();
        if merge.from.is_empty() {
            return Err(Error::bad("missing entity ids to merge from"));
        }
        if merge.from.contains(&merge.to) {
            return Err(Error::bad(
                "to_entity_id should not be present in from_entity_ids",
            ));
        }
        limits::bound("from_entity_ids", merge.from.len(), limits::MERGED, "ids")?;
        let turn = format!("identity/{}", merge.to);
        self.view.change(&turn, || self.try_merge(&merge)).await
    }

    async fn try_merge(&self, merge: &Merge) -> Result<Option<Clash>, Error> {
        let to = self.entity(&merge.to).await?;
        let to = to.ok_or_else(|| Error::bad("entity id to merge to is invalid"))?;
        let mut new = to.record.clone();
        let mut groups = BTreeMap::new();
        let mut draft = Draft::default();
        for id in &merge.from {
            let from = self.entity(id).await?;
            let from = from.ok_or_else(|| Error::bad("entity id to merge from is invalid"))?;
            if let Some(clash) = clash(&new, &from.record, &merge.keep) {
                return Ok(Some(clash));
            }
            self.regroup(&mut groups, &mut new, &from.record).await?;
            for mut alias in from.record.aliases.iter().cloned() {
                alias.merged_from.push(id.clone());
                new.aliases.push(alias);
            }
            new.merged.extend(from.record.merged.iter().cloned());
            new.merged.push(id.clone());
            draft.entity(self, Some(&from), None)?;
        }
        limits::bound(
            "from_entity_ids",
            new.merged.len(),
            limits::MERGED,
            "merged entities",
        )?;
        limits::bound(
            "from_entity_ids",
            new.aliases.len(),
            limits::ALIASES,
            "aliases",
        )?;
        limits::bound(
            "from_entity_ids",
            new.groups.len(),
            limits::GROUPS,
            "groups",
        )?;
        draft.entity(self, Some(&to), Some(&new))?;
        for (old, group) in groups.values() {
            draft.group(self, Some(old), Some(group))?;
        }
        self.commit(draft).await?;
        Ok(None)
    }

    /// The entity that stays is in the groups of the one that goes, which count it.
    async fn regroup(
        &self,
        groups: &mut BTreeMap<String, (Held<Group>, Group)>,
        to: &mut Entity,
        from: &Entity,
    ) -> Result<(), Error> {
        for id in &from.groups {
            if !groups.contains_key(id) {
                let Some(held) = self.group(id).await? else {
                    continue;
                };
                let copy = held.record.clone();
                groups.insert(id.clone(), (held, copy));
            }
            let joins = !to.groups.contains(id);
            if let Some((_, group)) = groups.get_mut(id) {
                group.modify_index += 1 + u64::from(joins);
            }
            if joins {
                to.groups.push(id.clone());
            }
        }
        Ok(())
    }
}

/// Two aliases on one mount, neither of which is named.
fn clash(to: &Entity, from: &Entity, keep: &[String]) -> Option<Clash> {
    let named = |alias: &Alias| keep.contains(&alias.id);
    let clashes = |theirs: &&Alias| {
        let mut ours = to.aliases.iter().filter(|ours| ours.mount == theirs.mount);
        ours.any(|ours| !named(ours) && !named(theirs))
    };
    let theirs = from.aliases.iter().find(clashes)?;
    Some(Clash {
        mount: theirs.mount.clone(),
        entities: [to.clone(), from.clone()],
    })
}
