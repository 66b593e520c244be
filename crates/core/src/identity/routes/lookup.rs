//! `identity/lookup`: one entity or group by one of its names.

use keyfold_api::weak;
use serde::Deserialize;

use super::IdentityStore;
use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::Reply;

#[derive(Deserialize)]
struct Query {
    #[serde(default, deserialize_with = "weak::string")]
    id: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    name: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    alias_id: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    alias_name: Option<String>,
    #[serde(default, deserialize_with = "weak::string")]
    alias_mount_accessor: Option<String>,
}

/// What it is looked for by.
enum By {
    Id(String),
    Name(String),
    AliasId(String),
    Alias { mount: String, name: String },
}

impl Query {
    /// Just one of the four ways.
    fn by(self) -> Result<By, Error> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let alias = match (given(self.alias_mount_accessor), given(self.alias_name)) {
            (Some(mount), Some(name)) => Some(By::Alias { mount, name }),
            (None, None) => None,
            _ => {
                return Err(Error::bad(
                    "both 'alias_name' and 'alias_mount_accessor' needs to be set",
                ));
            }
        };
        let mut ways = [
            given(self.id).map(By::Id),
            given(self.name).map(By::Name),
            given(self.alias_id).map(By::AliasId),
            alias,
        ]
        .into_iter()
        .flatten();
        match (ways.next(), ways.next()) {
            (None, _) => Err(Error::bad("query parameter not supplied")),
            (Some(way), None) => Ok(way),
            (Some(_), Some(_)) => Err(Error::bad(
                "query parameter conflict; please supply distinct set of query parameters",
            )),
        }
    }
}

impl IdentityStore {
    /// Nothing found is a 204.
    pub(super) async fn lookup_entity(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let identity = self.identity();
        let found = match call.decode::<Query>()?.by()? {
            By::Id(id) => identity.entity(&id).await?,
            By::Name(name) => identity.entity_named(&name).await?,
            By::AliasId(id) => identity.entity_of_alias(&id).await?,
            By::Alias { mount, name } => identity.entity_aliased(&mount, &name).await?,
        };
        match found {
            Some(held) => self.show_entity(held.record).await,
            None => Ok(Reply::none()),
        }
    }

    /// Nothing found is a 204.
    pub(super) async fn lookup_group(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let identity = self.identity();
        let found = match call.decode::<Query>()?.by()? {
            By::Id(id) => identity.group(&id).await?,
            By::Name(name) => identity.group_named(&name).await?,
            By::AliasId(id) => identity.group_of_alias(&id).await?,
            By::Alias { mount, name } => identity.group_aliased(&mount, &name).await?,
        };
        match found {
            Some(held) => self.show_group(&held.record).await,
            None => Ok(Reply::none()),
        }
    }
}
