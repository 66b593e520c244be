//! Writing and removing entities.

use super::draft::Draft;
use super::record::{Entity, Held, Metadata};
use super::{Identity, limits};
use crate::error::Error;

/// What a write says of an entity; what is absent stays as it is.
#[derive(Default)]
pub(super) struct EntityChange {
    pub name: Option<String>,
    pub metadata: Option<Metadata>,
    pub policies: Option<Vec<String>>,
    pub disabled: Option<bool>,
}

impl EntityChange {
    /// Checked and folded.
    pub fn checked(self) -> Result<Self, Error> {
        if let Some(map) = &self.metadata {
            limits::metadata(map)?;
        }
        Ok(Self {
            name: limits::name("name", self.name)?,
            policies: self.policies.map(limits::granted).transpose()?,
            ..self
        })
    }

    fn apply(&self, entity: &mut Entity) {
        if let Some(name) = &self.name {
            entity.name.clone_from(name);
        }
        if let Some(map) = &self.metadata {
            entity.metadata = Some(map.clone());
        }
        if let Some(policies) = &self.policies {
            entity.policies.clone_from(policies);
        }
        if let Some(disabled) = self.disabled {
            entity.disabled = disabled;
        }
    }
}

impl Identity {
    /// Changes the entity of an id, or of a name, or makes one: that one, when it was made.
    pub(super) async fn write_entity(
        &self,
        id: Option<&str>,
        change: EntityChange,
    ) -> Result<Option<Entity>, Error> {
        let change = change.checked()?;
        let attempt = || async {
            let named = match &change.name {
                Some(name) => self.entity_named(name).await?,
                None => None,
            };
            let old = match id {
                Some(id) => {
                    let missing = || Error::bad("entity not found from id");
                    Some(self.entity(id).await?.ok_or_else(missing)?)
                }
                None => named.clone(),
            };
            let other = |named: &Held<Entity>| Some(&named.record.id) != id_of(old.as_ref());
            if named.as_ref().is_some_and(other) {
                return Err(Error::bad("entity name is already in use"));
            }
            let now = self.clock.now();
            let mut new = match &old {
                Some(old) => old.record.clone(),
                None => Entity::new(change.name.clone(), now),
            };
            change.apply(&mut new);
            new.updated = now;
            let mut draft = Draft::default();
            draft.entity(self, old.as_ref(), Some(&new))?;
            self.commit(draft).await?;
            Ok(old.is_none().then_some(new))
        };
        let turn = id.or(change.name.as_deref()).unwrap_or_default();
        self.view.change(&format!("identity/{turn}"), attempt).await
    }

    /// Removes entities in one commit; those that are not there are no error.
    pub(super) async fn delete_entities(&self, ids: &[String]) -> Result<(), Error> {
        let mut ids = ids.to_vec();
        ids.sort();
        ids.dedup();
        limits::bound("entity_ids", ids.len(), limits::ENTITIES, "ids")?;
        let attempt = || async {
            let mut draft = Draft::default();
            let mut found = false;
            for id in &ids {
                if let Some(old) = self.entity(id).await? {
                    draft.entity(self, Some(&old), None)?;
                    found = true;
                }
            }
            match found {
                true => self.commit(draft).await,
                false => Ok(()),
            }
        };
        let turn = ids.first().map_or("", String::as_str);
        self.view.change(&format!("identity/{turn}"), attempt).await
    }
}

fn id_of(held: Option<&Held<Entity>>) -> Option<&String> {
    held.map(|held| &held.record.id)
}
