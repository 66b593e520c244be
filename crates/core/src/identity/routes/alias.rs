//! `identity/entity-alias`.

use keyfold_api::weak;
use serde::Deserialize;

use super::entity::identified;
use super::shown::{Places, brief};
use super::{IdentityStore, listed, placed};
use crate::error::Error;
use crate::identity::aliases::AliasChange;
use crate::identity::keys;
use crate::identity::record::Metadata;
use crate::ports::engine::Call;
use crate::reply::Reply;

#[derive(Deserialize)]
struct Write {
    #[serde(default, deserialize_with = "weak::string")]
    id: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    name: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    canonical_id: Option<String>,
    /// An old name of `canonical_id`.
    #[serde(default, deserialize_with = "weak::string")]
    entity_id: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    mount_accessor: Option<String>,
    #[serde(default, deserialize_with = "weak::map")]
    custom_metadata: Option<Metadata>,
}

impl IdentityStore {
    pub(super) async fn alias_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Write>()?;
        let entity = asked.canonical_id.or(asked.entity_id);
        let change = AliasChange {
            name: asked.name,
            mount: self.check_accessor(asked.mount_accessor)?,
            entity: entity.filter(|id| !id.is_empty()),
            custom_metadata: asked.custom_metadata,
        };
        placed(match identified(call, asked.id) {
            Some(id) => self.identity().change_alias(&id, change).await?,
            None => Some(self.identity().write_alias(change).await?),
        })
    }

    pub(super) async fn alias_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let id = call.param("id");
        let owner = self.identity().entity_of_alias(id).await?;
        let owner = owner.ok_or(Error::NotFound)?.record;
        let alias = owner.alias(id).ok_or(Error::NotFound)?;
        self.show_alias(alias, &owner.id)
    }

    pub(super) async fn alias_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        self.identity().delete_alias(call.param("id")).await?;
        Ok(Reply::none())
    }

    pub(super) async fn alias_list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let table = self.0.mounts.table();
        let places = Places::new(&table);
        let mut told = Vec::new();
        for id in self.names(call, keys::ALIASES, |id| id).await? {
            if let Some(owner) = self.identity().entity_of_alias(&id).await?
                && let Some(alias) = owner.record.alias(&id)
            {
                told.push(brief(alias.clone(), &owner.record.id, &places));
            }
        }
        listed(told)
    }
}
