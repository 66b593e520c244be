//! `identity/group-alias`.

use keyfold_api::weak;
use serde::Deserialize;

use super::entity::identified;
use super::shown::{Places, brief};
use super::{IdentityStore, listed, placed};
use crate::error::Error;
use crate::identity::group_aliases::GroupAliasChange;
use crate::identity::keys;
use crate::identity::record::{Alias, Group};
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
    #[serde(default, deserialize_with = "weak::string")]
    mount_accessor: Option<String>,
}

impl IdentityStore {
    pub(super) async fn group_alias_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Write>()?;
        let change = GroupAliasChange {
            name: asked.name,
            mount: self.check_accessor(asked.mount_accessor)?,
            group: asked.canonical_id.filter(|id| !id.is_empty()),
        };
        placed(match identified(call, asked.id) {
            Some(id) => self.identity().change_group_alias(&id, change).await?,
            None => Some(self.identity().write_group_alias(change).await?),
        })
    }

    pub(super) async fn group_alias_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let found = self.group_alias(call.param("id")).await?;
        let (group, alias) = found.ok_or(Error::NotFound)?;
        self.show_alias(&alias, &group.id)
    }

    pub(super) async fn group_alias_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        self.identity().delete_group_alias(call.param("id")).await?;
        Ok(Reply::none())
    }

    pub(super) async fn group_alias_list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let table = self.0.mounts.table();
        let places = Places::new(&table);
        let mut told = Vec::new();
        for id in self.names(call, keys::GROUP_ALIASES, |id| id).await? {
            if let Some((group, alias)) = self.group_alias(&id).await? {
                told.push(brief(alias, &group.id, &places));
            }
        }
        listed(told)
    }

    async fn group_alias(&self, id: &str) -> Result<Option<(Group, Alias)>, Error> {
        let group = self
            .identity()
            .group_of_alias(id)
            .await?
            .map(|held| held.record);
        Ok(group.and_then(|group| {
            let alias = group.alias.clone()?;
            Some((group, alias))
        }))
    }
}
