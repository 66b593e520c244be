//! `identity/group`.

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::entity::{identified, named};
use super::{IdentityStore, listed};
use crate::error::Error;
use crate::identity::groups::GroupChange;
use crate::identity::keys;
use crate::identity::record::{Group, Held, Metadata};
use crate::ports::engine::Call;
use crate::reply::{self, Reply};

#[derive(Deserialize)]
struct Write {
    #[serde(default, deserialize_with = "weak::string")]
    id: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    name: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "weak::string")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "weak::map")]
    metadata: Option<Metadata>,
    #[serde(default, deserialize_with = "weak::list")]
    policies: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::list")]
    member_entity_ids: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::list")]
    member_group_ids: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Made<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Brief {
    name: String,
    num_member_entities: usize,
    num_parent_groups: usize,
}

impl IdentityStore {
    pub(super) async fn group_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Write>()?;
        let change = GroupChange {
            name: named(call, asked.name)?,
            kind: asked.kind,
            metadata: asked.metadata,
            policies: asked.policies,
            members: asked.member_entity_ids,
            children: asked.member_group_ids,
        };
        let id = identified(call, asked.id);
        match self.identity().write_group(id.as_deref(), change).await? {
            None => Ok(Reply::none()),
            Some(group) => Reply::data(&Made {
                id: &group.id,
                name: &group.name,
            }),
        }
    }

    pub(super) async fn group_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let found = self.group_meant(call).await?.ok_or(Error::NotFound)?;
        self.show_group(&found.record).await
    }

    pub(super) async fn group_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        if let Some(found) = self.group_meant(call).await? {
            self.identity().delete_group(&found.record.id).await?;
        }
        Ok(Reply::none())
    }

    pub(super) async fn group_list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let mut told = Vec::new();
        for id in self.names(call, keys::GROUPS, |id| id).await? {
            if let Some(held) = self.identity().group(&id).await? {
                let brief = Brief {
                    name: held.record.name,
                    num_member_entities: self.identity().count_members(&id).await?,
                    num_parent_groups: held.record.parents.len(),
                };
                told.push((id, brief));
            }
        }
        listed(told)
    }

    pub(super) async fn group_list_names(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let identity = self.identity();
        let folder = keys::GROUP_NAMES;
        let place = |name: String| identity.group_name_key(&name).replace(folder, "");
        let mut names = Vec::new();
        for entry in self.names(call, folder, place).await? {
            if let Some(id) = identity.leads_to(&format!("{folder}{entry}")).await?
                && let Some(held) = identity.group(&id).await?
            {
                names.push(held.record.name);
            }
        }
        reply::keys(names)
    }

    async fn group_meant(&self, call: &Call<'_>) -> Result<Option<Held<Group>>, Error> {
        match call.param("id") {
            "" => self.identity().group_named(call.param("name")).await,
            id => self.identity().group(id).await,
        }
    }
}
