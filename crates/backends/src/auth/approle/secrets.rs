//! The paths of secret ids: made, listed, looked up and destroyed, by themselves and by accessor.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use keyfold_core::barrier::json;
use keyfold_core::error::Error;
use keyfold_core::id;
use keyfold_core::ports::engine::{Call, Window};
use keyfold_core::ports::storage::{Batch, Revision};
use keyfold_core::reply::{Reply, keys};
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};

use super::role::{Role, check_within, networks};
use super::secret::SecretId;
use super::store::{ID, Place, ROLES, secrets_of};
use super::{AppRole, no_role, role_name};
use crate::auth::former::whole;

/// Metadata of a secret id at most, bytes: it is in each token of a login.
const METADATA: usize = 8 * 1024;

#[derive(Deserialize)]
struct Wish {
    #[serde(default, deserialize_with = "weak::string")]
    metadata: Option<String>,
    #[serde(default, deserialize_with = "weak::list")]
    cidr_list: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::list")]
    token_bound_cidrs: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::int")]
    num_uses: Option<i64>,
    #[serde(default, deserialize_with = "weak::duration")]
    ttl: Option<Seconds>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "weak::secret_string")]
    secret_id: Option<Secret<String>>,
}

#[derive(Deserialize)]
struct ByAccessor {
    #[serde(default, deserialize_with = "weak::string")]
    secret_id_accessor: Option<String>,
}

#[derive(Serialize)]
struct Made<'a> {
    secret_id: &'a str,
    secret_id_accessor: &'a str,
    secret_id_num_uses: u64,
    secret_id_ttl: u64,
}

#[derive(Serialize)]
struct Shown<'a> {
    cidr_list: &'a [IpNet],
    creation_time: String,
    expiration_time: String,
    last_updated_time: String,
    metadata: &'a BTreeMap<String, String>,
    secret_id_accessor: &'a str,
    secret_id_num_uses: u64,
    secret_id_ttl: u64,
    token_bound_cidrs: &'a [IpNet],
}

#[derive(Serialize)]
struct Missing {
    error: String,
}

impl AppRole {
    pub(super) async fn secret_id_make(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let wish = call.decode::<Wish>()?;
        self.make(call, &wish, &id::uuid()).await
    }

    pub(super) async fn secret_id_take(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (wish, named) = call.decode_both::<Wish, Named>()?;
        let text = named_secret(named)?;
        self.make(call, &wish, text.expose().trim()).await
    }

    async fn make(&self, call: &Call<'_>, wish: &Wish, text: &str) -> Result<Reply, Error> {
        let name = role_name(call)?;
        let names = self.store.names().await?;
        let attempt = || async {
            let stored = self.store.role(&name).await?;
            let (role, revision) = stored.ok_or_else(|| Error::NotFoundBecause(no_role(&name)))?;
            let secret = fresh(&role, wish, call)?;
            let key = names.secret(&role.uid, text);
            if self.store.view.get(&key).await?.is_some() {
                return Err(Error::bad(
                    "failed to store secret_id: SecretID is already registered",
                ));
            }
            let tag = key.rsplit('/').next().unwrap_or_default();
            let place = Place {
                uid: role.uid.clone(),
                secret: tag.to_owned(),
            };
            // The role must still be there: what is made for one that is gone would stay for ever.
            let mut batch = Batch::new()
                .unchanged(format!("{ROLES}{name}"), revision)
                .absent(key.clone())
                .put(names.accessor(&secret.accessor), json(&place)?);
            if let Some(place) = secret.place(&role.uid, tag) {
                batch = batch.put(place, Vec::new());
            }
            let batch = batch.put(key.clone(), json(&secret)?);
            self.store.view.commit(batch).await?;
            // One that had ended may have had the same text.
            self.store.forget_secret(&key);
            Ok(secret)
        };
        let secret = self.store.view.change(text, attempt).await?;
        // Those who make many pay for those that have ended.
        self.store.clear_some().await;
        let made = Reply::data(&Made {
            secret_id: text,
            secret_id_accessor: &secret.accessor,
            secret_id_num_uses: secret.num_uses,
            secret_id_ttl: secret.ttl,
        })?;
        Ok(Reply {
            accessor: Some(secret.accessor),
            ..made
        })
    }

    pub(super) async fn secret_ids_list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Window>()?;
        let (role, _) = self.role_of(call).await?;
        let folder = secrets_of(&role.uid);
        // In the order of their names in the store, which the accessor of one leads to.
        let after = match asked.after() {
            "" => String::new(),
            accessor => {
                let names = self.store.names().await?;
                let place = self.store.place(&names, accessor).await?;
                place.map(|place| place.secret).ok_or_else(|| {
                    Error::field("after", "is no accessor of a secret id of the role")
                })?
            }
        };
        let page = self
            .store
            .view
            .list(&folder, &after, asked.limit(call))
            .await?;
        let mut accessors = Vec::with_capacity(page.names.len());
        for name in page.names {
            if let Some((secret, _)) = self.store.secret(&format!("{folder}{name}")).await? {
                accessors.push(secret.accessor);
            }
        }
        keys(accessors)
    }

    pub(super) async fn secret_id_lookup(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let text = named_secret(call.decode()?)?;
        let (role, _) = self.role_of(call).await?;
        let names = self.store.names().await?;
        let key = names.secret(&role.uid, text.expose().trim());
        match self.store.secret(&key).await? {
            Some((secret, _)) => shown(&secret),
            None => Ok(Reply::none()),
        }
    }

    pub(super) async fn secret_id_destroy(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let text = named_secret(call.decode()?)?;
        let (role, _) = self.role_of(call).await?;
        let names = self.store.names().await?;
        let key = names.secret(&role.uid, text.expose().trim());
        self.destroy(&role.uid, &key).await
    }

    pub(super) async fn accessor_lookup(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let accessor = named_accessor(call)?;
        let (role, _) = self.role_of(call).await?;
        let names = self.store.names().await?;
        let Some(place) = self.store.place(&names, &accessor).await? else {
            let error = no_accessor(&accessor);
            return Ok(Reply::data(&Missing { error })?.with_status(404));
        };
        // One of another role is not told of.
        let key = format!("{}{}", secrets_of(&role.uid), place.secret);
        match self.store.secret(&key).await? {
            Some((secret, _)) => shown(&secret),
            None => Ok(Reply::none()),
        }
    }

    pub(super) async fn accessor_destroy(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let accessor = named_accessor(call)?;
        let (role, _) = self.role_of(call).await?;
        let names = self.store.names().await?;
        let place = self.store.place(&names, &accessor).await?;
        let Some(place) = place.filter(|place| place.uid == role.uid) else {
            return Err(Error::NotFoundBecause(no_accessor(&accessor)));
        };
        let key = format!("{}{}", secrets_of(&role.uid), place.secret);
        self.destroy(&role.uid, &key).await
    }

    async fn destroy(&self, uid: &str, key: &str) -> Result<Reply, Error> {
        let names = self.store.names().await?;
        let attempt = || async {
            if let Some((secret, revision)) = self.store.secret(key).await? {
                let batch = Batch::new().unchanged(key, revision);
                let batch = self.store.removal(&names, (uid, key), &secret, batch);
                self.store.view.commit(batch).await?;
            }
            Ok(())
        };
        let done = self.store.view.change(key, attempt).await;
        // Also where nobody knows whether it was done.
        self.store.forget_secret(key);
        done.map(|()| Reply::none())
    }

    async fn role_of(&self, call: &Call<'_>) -> Result<(Role, Revision), Error> {
        let name = role_name(call)?;
        let stored = self.store.role(&name).await?;
        stored.ok_or_else(|| Error::bad(no_role(&name)))
    }
}

/// A secret id as it is wished for, within what the role allows.
fn fresh(role: &Role, wish: &Wish, call: &Call<'_>) -> Result<SecretId, Error> {
    if !role.bind_secret_id {
        return Err(Error::bad("bind_secret_id is not set on the role"));
    }
    let num_uses = match wish.num_uses {
        Some(uses) => u64::try_from(uses).map_err(|_| Error::bad("num_uses cannot be negative"))?,
        None => role.secret_id_num_uses,
    };
    let ttl = match wish.ttl {
        Some(ttl) => whole("ttl", ttl)?,
        None => role.secret_id_ttl,
    };
    role.check_bounds(num_uses, ttl)?;
    let cidr_list = networks("cidr_list", wish.cidr_list.as_deref().unwrap_or_default())?;
    check_within("cidr_list", &cidr_list, &role.secret_id_bound_cidrs)?;
    let token_bound_cidrs = networks(
        "token_bound_cidrs",
        wish.token_bound_cidrs.as_deref().unwrap_or_default(),
    )?;
    check_within(
        "token_bound_cidrs",
        &token_bound_cidrs,
        &role.token.bound_cidrs,
    )?;
    Ok(SecretId {
        accessor: id::uuid(),
        cidr_list,
        token_bound_cidrs,
        metadata: metadata(wish.metadata.as_deref().unwrap_or_default())?,
        num_uses,
        ttl,
        created: call.now,
        updated: call.now,
    })
}

/// Metadata: a JSON object of texts, that in base64, or `key=value` with commas between.
fn metadata(text: &str) -> Result<BTreeMap<String, String>, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    if text.len() > METADATA {
        return Err(Error::field(
            "metadata",
            format_args!("is longer than {METADATA} bytes"),
        ));
    }
    let decoded = STANDARD.decode(text).unwrap_or_default();
    if let Ok(map) = serde_json::from_str(text).or_else(|_| serde_json::from_slice(&decoded)) {
        return Ok(map);
    }
    let pair = |part: &str| {
        let (key, value) = part.split_once('=')?;
        let key = key.trim();
        (!key.is_empty()).then(|| (key.to_owned(), value.trim().to_owned()))
    };
    text.split(',')
        .map(pair)
        .collect::<Option<_>>()
        .ok_or_else(|| {
            Error::bad(
                "failed to parse metadata: failed to parse the input: invalid <key,value> format",
            )
        })
}

fn named_secret(named: Named) -> Result<Secret<String>, Error> {
    let text = named
        .secret_id
        .filter(|text| !text.expose().trim().is_empty());
    let text = text.ok_or_else(|| Error::bad("missing secret_id"))?;
    match text.expose().len() > ID {
        true => Err(Error::field("secret_id", "is longer than an id may be")),
        false => Ok(text),
    }
}

fn named_accessor(call: &Call<'_>) -> Result<String, Error> {
    let given = call.decode::<ByAccessor>()?.secret_id_accessor;
    given
        .filter(|accessor| !accessor.is_empty())
        .ok_or_else(|| Error::bad("missing secret_id_accessor"))
}

fn no_accessor(accessor: &str) -> String {
    format!("failed to find accessor entry for secret_id_accessor: \"{accessor}\"")
}

fn shown(secret: &SecretId) -> Result<Reply, Error> {
    let never = || "0001-01-01T00:00:00Z".to_owned();
    Reply::data(&Shown {
        cidr_list: &secret.cidr_list,
        creation_time: secret.created.rfc3339(),
        expiration_time: secret.end().map_or_else(never, |end| end.rfc3339()),
        last_updated_time: secret.updated.rfc3339(),
        metadata: &secret.metadata,
        secret_id_accessor: &secret.accessor,
        secret_id_num_uses: secret.num_uses,
        secret_id_ttl: secret.ttl,
        token_bound_cidrs: &secret.token_bound_cidrs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_comes_in_three_forms() {
        let a = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        for text in [r#"{"a":"b"}"#, "eyJhIjoiYiJ9", "a=b", " a = b "] {
            assert_eq!(metadata(text).ok().as_ref(), Some(&a), "{text}");
        }
        assert_eq!(metadata("").ok(), Some(BTreeMap::new()));
        for text in ["not json", r#"{"n":1}"#, "a=b,c", "=b"] {
            assert!(metadata(text).is_err(), "{text}");
        }
    }
}
