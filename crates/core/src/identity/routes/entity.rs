//! `identity/entity`.

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::shown::Places;
use super::{IdentityStore, listed};
use crate::error::Error;
use crate::identity::entities::EntityChange;
use crate::identity::keys;
use crate::identity::merge::{Clash, Merge};
use crate::identity::record::{Entity, Held, Metadata};
use crate::ports::engine::Call;
use crate::reply::{self, Reply};

#[derive(Deserialize)]
struct Write {
    #[serde(default, deserialize_with = "weak::string")]
    id: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    name: Option<String>,
    #[serde(default, deserialize_with = "weak::map")]
    metadata: Option<Metadata>,
    #[serde(default, deserialize_with = "weak::list")]
    policies: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::boolean")]
    disabled: Option<bool>,
}

#[derive(Deserialize)]
struct Merging {
    #[serde(default, deserialize_with = "weak::list")]
    from_entity_ids: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::string")]
    to_entity_id: Option<String>,
    #[serde(default, deserialize_with = "weak::list")]
    conflicting_alias_ids_to_keep: Option<Vec<String>>,
    /// Takes over second factors, of which there are none here.
    #[serde(default, rename = "force", deserialize_with = "weak::boolean")]
    _force: Option<bool>,
}

#[derive(Deserialize)]
struct Several {
    #[serde(default, deserialize_with = "weak::list")]
    entity_ids: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Made<'a> {
    aliases: Option<()>,
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Brief {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<BriefAlias>,
    name: String,
}

#[derive(Serialize)]
struct BriefAlias {
    id: String,
    mount_accessor: String,
    mount_path: String,
    mount_type: String,
    name: String,
}

#[derive(Serialize)]
struct Refused<'a> {
    errors: [String; 1],
    data: Vec<Clashing<'a>>,
}

#[derive(Serialize)]
struct Clashing<'a> {
    alias: &'a str,
    entity: &'a str,
    entity_id: &'a str,
    mount: &'a str,
    mount_path: &'a str,
}

impl IdentityStore {
    pub(super) async fn entity_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Write>()?;
        let change = EntityChange {
            name: named(call, asked.name)?,
            metadata: asked.metadata,
            policies: asked.policies,
            disabled: asked.disabled,
        };
        let id = identified(call, asked.id);
        match self.identity().write_entity(id.as_deref(), change).await? {
            None => Ok(Reply::none()),
            Some(entity) => Reply::data(&Made {
                aliases: None,
                id: &entity.id,
                name: &entity.name,
            }),
        }
    }

    pub(super) async fn entity_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let found = self.entity_meant(call).await?.ok_or(Error::NotFound)?;
        self.show_entity(found.record).await
    }

    pub(super) async fn entity_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        if let Some(found) = self.entity_meant(call).await? {
            self.identity().delete_entities(&[found.record.id]).await?;
        }
        Ok(Reply::none())
    }

    pub(super) async fn entity_batch_delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let ids = call.decode::<Several>()?.entity_ids.unwrap_or_default();
        if ids.is_empty() {
            return Err(Error::bad("missing entity ids to delete"));
        }
        self.identity().delete_entities(&ids).await?;
        Ok(Reply::none())
    }

    pub(super) async fn entity_list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let table = self.0.mounts.table();
        let places = Places::new(&table);
        let mut told = Vec::new();
        for id in self.names(call, keys::ENTITIES, |id| id).await? {
            // One that was removed since the listing is no error.
            if let Some(held) = self.identity().entity(&id).await? {
                told.push((id, brief(held.record, &places)));
            }
        }
        listed(told)
    }

    pub(super) async fn entity_list_names(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let identity = self.identity();
        let folder = keys::ENTITY_NAMES;
        let place = |name: String| identity.entity_name_key(&name).replace(folder, "");
        let mut names = Vec::new();
        for entry in self.names(call, folder, place).await? {
            if let Some(id) = identity.leads_to(&format!("{folder}{entry}")).await?
                && let Some(held) = identity.entity(&id).await?
            {
                names.push(held.record.name);
            }
        }
        reply::keys(names)
    }

    pub(super) async fn entity_merge(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Merging>()?;
        let merge = Merge {
            from: asked.from_entity_ids.unwrap_or_default(),
            to: asked.to_entity_id.unwrap_or_default(),
            keep: asked.conflicting_alias_ids_to_keep.unwrap_or_default(),
        };
        match self.identity().merge(merge).await? {
            None => Ok(Reply::none()),
            Some(clash) => self.refused(&clash),
        }
    }

    /// The wire tells the clashing aliases beside the error.
    fn refused(&self, clash: &Clash) -> Result<Reply, Error> {
        let table = self.0.mounts.table();
        let (mount_path, mount) = Places::new(&table).of(&clash.mount);
        let clashing = |entity| Clashing {
            alias: Entity::alias_on(entity, &clash.mount).map_or("", |alias| &alias.name),
            entity: &entity.name,
            entity_id: &entity.id,
            mount,
            mount_path,
        };
        let text = "the entities have aliases with the same mount accessor: name one of the two \
                    in conflicting_alias_ids_to_keep, and both stay";
        let refused = Refused {
            errors: [keyfold_api::error::multi(text)],
            data: clash.entities.iter().map(clashing).collect(),
        };
        Ok(Reply::bare(&refused)?.with_status(400))
    }

    async fn entity_meant(&self, call: &Call<'_>) -> Result<Option<Held<Entity>>, Error> {
        match call.param("id") {
            "" => self.identity().entity_named(call.param("name")).await,
            id => self.identity().entity(id).await,
        }
    }
}

/// The name in the path, or else that in the body.
pub(super) fn named(call: &Call<'_>, in_body: Option<String>) -> Result<Option<String>, Error> {
    let by_name = call.path.contains("/name/");
    match call.param("name") {
        "" if by_name => Err(Error::bad("missing name")),
        "" => Ok(in_body),
        name => Ok(Some(name.to_owned())),
    }
}

/// The id in the path, or else that in the body; none where the name is in the path.
pub(super) fn identified(call: &Call<'_>, in_body: Option<String>) -> Option<String> {
    match (call.param("id"), call.param("name")) {
        ("", "") => in_body.filter(|id| !id.is_empty()),
        ("", _) => None,
        (id, _) => Some(id.to_owned()),
    }
}

fn brief(entity: Entity, places: &Places<'_>) -> Brief {
    let aliases = entity.aliases.into_iter().map(|alias| {
        let (path, kind) = places.of(&alias.mount);
        BriefAlias {
            id: alias.id,
            mount_path: path.to_owned(),
            mount_type: kind.to_owned(),
            mount_accessor: alias.mount,
            name: alias.name,
        }
    });
    Brief {
        aliases: aliases.collect(),
        name: entity.name,
    }
}
