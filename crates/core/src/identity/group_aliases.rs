//! The names that auth methods have for external groups.

use super::aliases::Placed;
use super::draft::Draft;
use super::record::{Alias, Group, GroupKind, Held};
use super::{Identity, limits};
use crate::error::Error;

/// What a write says of a group's alias.
#[derive(Default)]
pub(super) struct GroupAliasChange {
    pub name: Option<String>,
    /// Accessor of a mount that is there.
    pub mount: Option<String>,
    /// The group that it is to be of.
    pub group: Option<String>,
}

impl Identity {
    /// Gives a group its alias, and makes a group where none is named. A group has one: another
    /// takes its place.
    pub(super) async fn write_group_alias(
        &self,
        change: GroupAliasChange,
    ) -> Result<Placed, Error> {
        let (name, mount) = named(&change)?;
        let attempt = || async {
            let now = self.clock.now();
            let old = self.group_for(&change).await?;
            self.refuse_taken(&mount, &name, None).await?;
            let mut new = match &old {
                Some(old) => old.record.clone(),
                None => Group::new(None, GroupKind::External, now),
            };
            if new.kind == GroupKind::Internal {
                return Err(Error::bad("alias can't be set on an internal group"));
            }
            let alias = Alias::new(&mount, &name, now);
            let placed = Placed {
                alias: alias.id.clone(),
                owner: new.id.clone(),
            };
            new.alias = Some(alias);
            new.touch(now);
            let mut draft = Draft::default();
            draft.group(self, old.as_ref(), Some(&new))?;
            self.commit(draft).await?;
            Ok(placed)
        };
        let turn = self.group_alias_name_key(&mount, &name);
        self.view.change(&turn, attempt).await
    }

    /// Changes the alias of an id; `None` where it already is as it is to be.
    pub(super) async fn change_group_alias(
        &self,
        id: &str,
        change: GroupAliasChange,
    ) -> Result<Option<Placed>, Error> {
        let attempt = || async {
            let invalid = || Error::bad("invalid group alias ID");
            let old = self.group_of_alias(id).await?.ok_or_else(invalid)?;
            let (name, mount) = named(&change)?;
            let target = self.group_for(&change).await?;
            let target = target.filter(|target| target.record.id != old.record.id);
            self.refuse_taken(&mount, &name, Some(id)).await?;
            let mut alias = old.record.alias.clone().ok_or_else(invalid)?;
            if target.is_none() && alias.name == name && alias.mount == mount {
                return Ok(None);
            }
            let now = self.clock.now();
            (alias.name, alias.mount, alias.updated) = (name, mount, now);
            let mut draft = Draft::default();
            let mut left = old.record.clone();
            left.touch(now);
            let owner = match target {
                None => {
                    left.alias = Some(alias);
                    left.id.clone()
                }
                Some(target) if target.record.kind == GroupKind::Internal => {
                    return Err(Error::bad("alias can't be set on an internal group"));
                }
                Some(target) => {
                    left.alias = None;
                    let mut new = target.record.clone();
                    new.alias = Some(alias);
                    new.touch(now);
                    draft.group(self, Some(&target), Some(&new))?;
                    new.id
                }
            };
            draft.group(self, Some(&old), Some(&left))?;
            self.commit(draft).await?;
            let alias = id.to_owned();
            Ok(Some(Placed { alias, owner }))
        };
        self.view.change(&format!("identity/{id}"), attempt).await
    }

    /// Removes an alias; one that is not there is no error.
    pub(super) async fn delete_group_alias(&self, id: &str) -> Result<(), Error> {
        let attempt = || async {
            let Some(old) = self.group_of_alias(id).await? else {
                return Ok(());
            };
            let mut new = old.record.clone();
            new.alias = None;
            new.touch(self.clock.now());
            let mut draft = Draft::default();
            draft.group(self, Some(&old), Some(&new))?;
            self.commit(draft).await
        };
        self.view.change(&format!("identity/{id}"), attempt).await
    }

    async fn group_for(&self, change: &GroupAliasChange) -> Result<Option<Held<Group>>, Error> {
        let Some(id) = &change.group else {
            return Ok(None);
        };
        let missing = || Error::bad("invalid group ID given in 'canonical_id'");
        self.group(id).await?.ok_or_else(missing).map(Some)
    }

    /// A mount has one group for a name. `own` is the alias that may have it.
    async fn refuse_taken(&self, mount: &str, name: &str, own: Option<&str>) -> Result<(), Error> {
        let Some(held) = self.group_aliased(mount, name).await? else {
            return Ok(());
        };
        match held.record.alias {
            Some(alias) if Some(alias.id.as_str()) == own => Ok(()),
            _ => Err(Error::bad(
                "combination of mount and group alias name is already in use",
            )),
        }
    }
}

fn named(change: &GroupAliasChange) -> Result<(String, String), Error> {
    let name = limits::name("name", change.name.clone())?;
    let name = name.ok_or_else(|| Error::bad("missing alias name"))?;
    let mount = change.mount.clone();
    Ok((
        name,
        mount.ok_or_else(|| Error::bad("missing mount_accessor"))?,
    ))
}
