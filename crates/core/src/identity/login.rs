//! From what an auth method calls somebody to their entity.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::aliases::aliased;
use super::draft::Draft;
use super::record::{Alias, Entity, Group, GroupKind, Held, Metadata};
use super::standing::Standing;
use super::{Identity, limits};
use crate::error::Error;

/// Who has logged in, as their auth method knows them.
pub struct Known<'a> {
    /// The mount's accessor.
    pub mount: &'a str,
    /// The alias.
    pub name: &'a str,
    /// What the method says now; absent where it was not asked.
    pub says: Option<Says<'a>>,
}

/// What an auth method says about somebody.
#[derive(Clone, Copy)]
pub struct Says<'a> {
    /// Kept with the alias.
    pub metadata: &'a Metadata,
    /// Names of external groups: of those that the mount knows, they are in just these.
    pub groups: &'a [String],
}

impl Identity {
    /// The entity that acts by a name of a mount, made where there is none yet: for tokens that are
    /// made for somebody who did not log in.
    pub async fn alias_login(&self, mount: &str, name: &str) -> Result<Arc<Standing>, Error> {
        let says = None;
        self.login(&Known { mount, name, says }).await
    }

    /// The entity that logs in; made at its first login. Who is disabled may not.
    pub async fn login(&self, known: &Known<'_>) -> Result<Arc<Standing>, Error> {
        if let Some(says) = known.says {
            limits::said(says.metadata)?;
            limits::bound("groups", says.groups.len(), limits::EXTERNAL, "groups")?;
        }
        limits::name("name", Some(known.name.to_owned()))?;
        let standing = match self.settled(known).await? {
            Some(standing) => standing,
            None => {
                let turn = self.alias_name_key(known.mount, known.name);
                let id = Box::pin(self.view.change(&turn, || self.enter(known))).await?;
                self.standing(&id).await?.ok_or(Error::NoToken)?
            }
        };
        match standing.entity.disabled {
            true => Err(Error::NoToken),
            false => Ok(standing),
        }
    }

    /// The entity where nothing is new about it, as at almost every login: nothing is written.
    async fn settled(&self, known: &Known<'_>) -> Result<Option<Arc<Standing>>, Error> {
        let Some(standing) = self.bearer(known).await? else {
            return Ok(None);
        };
        let Some(says) = known.says else {
            return Ok(Some(standing));
        };
        let alias = aliased(&standing.entity, known.mount, known.name);
        let told = alias.is_ok_and(|alias| alias.metadata.as_ref() == kept(says.metadata));
        let mut wanted = BTreeSet::new();
        for name in says.groups {
            let key = self.group_alias_name_key(known.mount, name);
            wanted.extend(self.leads_to(&key).await?);
        }
        let direct = standing.groups.iter().take(standing.direct);
        let known_here = direct.filter(|group| is_of(group, known.mount));
        let present: BTreeSet<String> = known_here.map(|group| group.id.clone()).collect();
        // Fewer than its record names: some group is gone or has lost its alias.
        let all = standing.direct == standing.entity.groups.len();
        Ok(Some(standing).filter(|_| told && all && present == wanted))
    }

    /// The entity that bears an alias. Memory only says where to look: what counts is that the entity
    /// has the alias now.
    async fn bearer(&self, known: &Known<'_>) -> Result<Option<Arc<Standing>>, Error> {
        let place = [known.mount, "\0", known.name].concat();
        if let Some(id) = self.cache.bearer(&place)
            && let Some(standing) = self.standing(&id).await?
            && aliased(&standing.entity, known.mount, known.name).is_ok()
        {
            return Ok(Some(standing));
        }
        let key = self.alias_name_key(known.mount, known.name);
        let Some(id) = self.leads_to(&key).await? else {
            return Ok(None);
        };
        let standing = self.standing(&id).await?;
        self.cache.note_bearer(place, id);
        Ok(standing)
    }

    /// Finds or makes the entity, and writes what is new.
    async fn enter(&self, known: &Known<'_>) -> Result<String, Error> {
        let now = self.clock.now();
        let old = self.entity_aliased(known.mount, known.name).await?;
        let mut new = match &old {
            Some(old) => old.record.clone(),
            None => {
                let mut fresh = Entity::new(None, now);
                fresh.aliases.push(Alias::new(known.mount, known.name, now));
                fresh
            }
        };
        let mut draft = Draft::default();
        if let Some(says) = known.says {
            let mut alias = aliased(&new, known.mount, known.name)?.clone();
            if alias.metadata.as_ref() != kept(says.metadata) {
                alias.metadata = kept(says.metadata).cloned();
                alias.updated = now;
            }
            for place in new.aliases.iter_mut().filter(|place| place.id == alias.id) {
                place.clone_from(&alias);
            }
            self.sort_in(&mut draft, &mut new, known.mount, says.groups)
                .await?;
        }
        let id = new.id.clone();
        let same = |old: &Held<Entity>| {
            old.record.aliases == new.aliases && old.record.groups == new.groups
        };
        if !old.as_ref().is_some_and(same) {
            draft.entity(self, old.as_ref(), Some(&new))?;
            self.commit(draft).await?;
        }
        Ok(id)
    }

    /// Of the external groups that a mount knows, the entity is in those that are named.
    async fn sort_in(
        &self,
        draft: &mut Draft,
        entity: &mut Entity,
        mount: &str,
        names: &[String],
    ) -> Result<(), Error> {
        let mut wanted = Vec::new();
        for name in names {
            wanted.extend(self.group_aliased(mount, name).await?);
        }
        let named = |id: &str| wanted.iter().any(|held| held.record.id == id);
        let mut stay = Vec::new();
        for id in &entity.groups {
            let left = match self.group_now(id).await? {
                Some(group) => !group.counts() || (is_of(&group, mount) && !named(id)),
                None => true,
            };
            if !left {
                stay.push(id.clone());
            }
        }
        entity.groups = stay;
        for held in &wanted {
            if !entity.groups.contains(&held.record.id) {
                self.join(&mut entity.groups, &held.record.id, "groups")
                    .await?;
                // One that is removed at this moment gets no members.
                draft.keep(held);
            }
        }
        Ok(())
    }
}

/// An external group that a mount has a name for.
fn is_of(group: &Group, mount: &str) -> bool {
    let alias = group.alias.as_ref();
    group.kind == GroupKind::External && alias.is_some_and(|alias| alias.mount == mount)
}

fn kept(metadata: &Metadata) -> Option<&Metadata> {
    (!metadata.is_empty()).then_some(metadata)
}
