//! Writing and removing what entities log in by.

use serde::Serialize;

use super::draft::Draft;
use super::record::{Alias, Entity, Held, Metadata};
use super::store::overtaken;
use super::{Identity, limits};
use crate::clock::Time;
use crate::error::Error;

/// What a write says of an alias; what is absent stays as it is.
#[derive(Default)]
pub(super) struct AliasChange {
    pub name: Option<String>,
    /// Accessor of a mount that is there.
    pub mount: Option<String>,
    /// The entity that it is to be of.
    pub entity: Option<String>,
    pub custom_metadata: Option<Metadata>,
}

/// Where an alias of an entity, or of a group, is after a write.
#[derive(Serialize)]
pub(super) struct Placed {
    #[serde(rename = "id")]
    pub alias: String,
    #[serde(rename = "canonical_id")]
    pub owner: String,
}

/// An alias in its entity.
struct Found {
    owner: Held<Entity>,
    alias: Alias,
}

impl AliasChange {
    fn checked(self) -> Result<Self, Error> {
        if let Some(map) = &self.custom_metadata {
            limits::custom_metadata(map)?;
        }
        Ok(Self {
            name: limits::name("name", self.name)?,
            ..self
        })
    }

    fn is_empty(&self) -> bool {
        self.name.is_none()
            && self.mount.is_none()
            && self.entity.is_none()
            && self.custom_metadata.is_none()
    }
}

impl Identity {
    /// Makes an alias, or writes the one of that mount and name anew.
    pub(super) async fn write_alias(&self, change: AliasChange) -> Result<Placed, Error> {
        let change = change.checked()?;
        let (Some(name), Some(mount)) = (&change.name, &change.mount) else {
            return Err(Error::bad(
                "'id' or 'mount_accessor' and 'name' must be provided",
            ));
        };
        let attempt = || async {
            let now = self.clock.now();
            let target = match &change.entity {
                Some(id) => {
                    let missing = || Error::bad("invalid canonical ID");
                    Some(self.entity(id).await?.ok_or_else(missing)?)
                }
                None => None,
            };
            if let Some(owner) = self.entity_aliased(mount, name).await? {
                let mut alias = aliased(&owner.record, mount, name)?.clone();
                alias.custom_metadata.clone_from(&change.custom_metadata);
                return self.place(Found { owner, alias }, target, now).await;
            }
            let mut alias = Alias::new(mount, name, now);
            alias.custom_metadata.clone_from(&change.custom_metadata);
            let new = match &target {
                Some(held) => held.record.clone(),
                None => Entity::new(None, now),
            };
            if new.alias_on(mount).is_some() {
                return Err(Error::bad(
                    "Alias already exists for requested entity and mount accessor",
                ));
            }
            self.give(target.as_ref(), new, alias).await
        };
        let turn = self.alias_name_key(mount, name);
        self.view.change(&turn, attempt).await
    }

    /// Changes the alias of an id; nothing is asked for where the answer is `None`.
    pub(super) async fn change_alias(
        &self,
        id: &str,
        change: AliasChange,
    ) -> Result<Option<Placed>, Error> {
        let change = change.checked()?;
        let attempt = || async {
            let found = self.alias(id).await?;
            let Found { owner, mut alias } =
                found.ok_or_else(|| Error::bad("invalid alias ID provided"))?;
            if change.is_empty() {
                return Ok(None);
            }
            let target = match &change.entity {
                Some(id) if *id != owner.record.id => {
                    let missing =
                        || Error::bad("given 'canonical_id' is not associated with an entity");
                    Some(self.entity(id).await?.ok_or_else(missing)?)
                }
                _ => None,
            };
            if let Some(name) = &change.name {
                alias.name.clone_from(name);
            }
            if let Some(mount) = change.mount.as_ref().filter(|mount| **mount != alias.mount) {
                if target.is_none() && owner.record.alias_on(mount).is_some() {
                    return Err(Error::bad(
                        "Alias cannot be updated as the entity already has an alias for the given \
                         'mount_accessor' ",
                    ));
                }
                alias.mount.clone_from(mount);
            }
            if let Some(map) = &change.custom_metadata {
                alias.custom_metadata = Some(map.clone());
            }
            let taken = self.entity_aliased(&alias.mount, &alias.name).await?;
            let other = |held: &Held<Entity>| {
                let there = aliased(&held.record, &alias.mount, &alias.name);
                there.is_ok_and(|there| there.id != alias.id)
            };
            if taken.as_ref().is_some_and(other) {
                return Err(Error::bad(
                    "alias with combination of mount accessor and name already exists",
                ));
            }
            let now = self.clock.now();
            self.place(Found { owner, alias }, target, now)
                .await
                .map(Some)
        };
        self.view.change(&format!("identity/{id}"), attempt).await
    }

    /// Removes an alias; one that is not there is no error.
    pub(super) async fn delete_alias(&self, id: &str) -> Result<(), Error> {
        let attempt = || async {
            let Some(old) = self.entity_of_alias(id).await? else {
                return Ok(());
            };
            let mut new = old.record.clone();
            new.aliases.retain(|alias| alias.id != id);
            let mut draft = Draft::default();
            draft.entity(self, Some(&old), Some(&new))?;
            self.commit(draft).await
        };
        self.view.change(&format!("identity/{id}"), attempt).await
    }

    /// Writes a changed alias, and moves it when it is to be another entity's.
    async fn place(
        &self,
        found: Found,
        target: Option<Held<Entity>>,
        now: Time,
    ) -> Result<Placed, Error> {
        let Found { owner, mut alias } = found;
        alias.updated = now;
        let mut without = owner.record.clone();
        let target = target.filter(|target| target.record.id != owner.record.id);
        let Some(target) = target else {
            for old in without.aliases.iter_mut().filter(|old| old.id == alias.id) {
                old.clone_from(&alias);
            }
            let mut draft = Draft::default();
            draft.entity(self, Some(&owner), Some(&without))?;
            self.commit(draft).await?;
            return Ok(Placed {
                alias: alias.id,
                owner: without.id,
            });
        };
        if target.record.alias_on(&alias.mount).is_some() {
            return Err(Error::bad(
                "Alias cannot be updated as the given entity already has an alias for this mount ",
            ));
        }
        without.aliases.retain(|old| old.id != alias.id);
        let mut with = target.record.clone();
        let placed = Placed {
            alias: alias.id.clone(),
            owner: with.id.clone(),
        };
        with.aliases.push(alias);
        let mut draft = Draft::default();
        draft.entity(self, Some(&owner), Some(&without))?;
        draft.entity(self, Some(&target), Some(&with))?;
        self.commit(draft).await?;
        Ok(placed)
    }

    /// Writes an entity with one alias more.
    async fn give(
        &self,
        old: Option<&Held<Entity>>,
        mut new: Entity,
        alias: Alias,
    ) -> Result<Placed, Error> {
        limits::bound(
            "canonical_id",
            new.aliases.len() + 1,
            limits::ALIASES,
            "aliases",
        )?;
        let placed = Placed {
            alias: alias.id.clone(),
            owner: new.id.clone(),
        };
        new.aliases.push(alias);
        let mut draft = Draft::default();
        draft.entity(self, old, Some(&new))?;
        self.commit(draft).await?;
        Ok(placed)
    }

    async fn alias(&self, id: &str) -> Result<Option<Found>, Error> {
        let owner = self.entity_of_alias(id).await?;
        Ok(owner.and_then(|owner| {
            let alias = owner.record.alias(id)?.clone();
            Some(Found { owner, alias })
        }))
    }
}

/// The alias that the index found an entity by.
pub(super) fn aliased<'a>(entity: &'a Entity, mount: &str, name: &str) -> Result<&'a Alias, Error> {
    let folded = name.to_lowercase();
    let same = |alias: &&Alias| alias.mount == mount && alias.name.to_lowercase() == folded;
    let found = entity.aliases.iter().find(same);
    // The index was read before the record: another request has come in between.
    found.ok_or_else(overtaken)
}
