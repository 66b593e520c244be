//! Reading records: by id, by name, by alias.

use super::record::{Entity, Group, Held};
use super::{Identity, keys};
use crate::barrier::View;
use crate::error::Error;
use crate::ports::storage::{Page, StorageError};

impl Identity {
    pub(super) async fn entity(&self, id: &str) -> Result<Option<Held<Entity>>, Error> {
        record(&self.view, keys::is_id(id).then(|| keys::entity(id))).await
    }

    pub(super) async fn entity_named(&self, name: &str) -> Result<Option<Held<Entity>>, Error> {
        match self.leads_to(&self.entity_name_key(name)).await? {
            Some(id) => self.entity(&id).await,
            None => Ok(None),
        }
    }

    pub(super) async fn entity_of_alias(&self, id: &str) -> Result<Option<Held<Entity>>, Error> {
        if !keys::is_id(id) {
            return Ok(None);
        }
        match self.leads_to(&keys::alias(id)).await? {
            Some(id) => self.entity(&id).await,
            None => Ok(None),
        }
    }

    pub(super) async fn entity_aliased(
        &self,
        mount: &str,
        name: &str,
    ) -> Result<Option<Held<Entity>>, Error> {
        match self.leads_to(&self.alias_name_key(mount, name)).await? {
            Some(id) => self.entity(&id).await,
            None => Ok(None),
        }
    }

    pub(super) async fn group(&self, id: &str) -> Result<Option<Held<Group>>, Error> {
        record(&self.view, keys::is_id(id).then(|| keys::group(id))).await
    }

    pub(super) async fn group_named(&self, name: &str) -> Result<Option<Held<Group>>, Error> {
        match self.leads_to(&self.group_name_key(name)).await? {
            Some(id) => self.group(&id).await,
            None => Ok(None),
        }
    }

    pub(super) async fn group_of_alias(&self, id: &str) -> Result<Option<Held<Group>>, Error> {
        if !keys::is_id(id) {
            return Ok(None);
        }
        match self.leads_to(&keys::group_alias(id)).await? {
            Some(id) => self.group(&id).await,
            None => Ok(None),
        }
    }

    pub(super) async fn group_aliased(
        &self,
        mount: &str,
        name: &str,
    ) -> Result<Option<Held<Group>>, Error> {
        match self
            .leads_to(&self.group_alias_name_key(mount, name))
            .await?
        {
            Some(id) => self.group(&id).await,
            None => Ok(None),
        }
    }

    /// The id at a key of the index.
    pub(super) async fn leads_to(&self, key: &str) -> Result<Option<String>, Error> {
        Ok(self.view.read::<String>(key).await?.map(|(id, _)| id))
    }

    /// The ids of the entities that are in a group.
    pub(super) async fn members(&self, group: &str) -> Result<Vec<String>, Error> {
        self.names(&keys::members(group)).await
    }

    /// The ids of the groups that are in a group.
    pub(super) async fn children(&self, group: &str) -> Result<Vec<String>, Error> {
        self.names(&keys::children(group)).await
    }

    /// How many entities are in a group.
    pub(super) async fn count_members(&self, group: &str) -> Result<usize, Error> {
        self.view.count(&keys::members(group)).await
    }

    /// How many entities there are.
    pub(crate) async fn count(&self) -> Result<usize, Error> {
        self.view.count(keys::ENTITIES).await
    }

    /// Ids of entities after one of them, in the order of the store.
    pub(crate) async fn entity_ids(&self, after: &str, limit: usize) -> Result<Page, Error> {
        self.page(keys::ENTITIES, after, limit).await
    }

    /// Ids of groups after one of them, in the order of the store.
    pub(crate) async fn group_ids(&self, after: &str, limit: usize) -> Result<Page, Error> {
        self.page(keys::GROUPS, after, limit).await
    }

    /// A page of the names in a folder of the index.
    pub(super) async fn page(
        &self,
        folder: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page, Error> {
        self.view.list(folder, after, limit).await
    }

    async fn names(&self, folder: &str) -> Result<Vec<String>, Error> {
        Ok(self.view.list(folder, "", 0).await?.names)
    }
}

/// Records that do not fit each other were not read at one moment: to be read again.
pub(super) fn overtaken() -> Error {
    Error::Storage(StorageError::Conflict("sys/identity".to_owned()))
}

async fn record<T: serde::de::DeserializeOwned>(
    view: &View,
    key: Option<String>,
) -> Result<Option<Held<T>>, Error> {
    let Some(key) = key else {
        return Ok(None);
    };
    let read = view.read::<T>(&key).await?;
    Ok(read.map(|(record, revision)| Held { record, revision }))
}
