//! Logging in, and what a renewal gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::ports::auth::Login;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_core::tokens::{Token, TokenParams, admits};
use keyfold_secret::Secret;
use serde::Deserialize;

use super::role::Role;
use super::secret::SecretId;
use super::store::{ID, Names};
use super::{AppRole, no_role};

/// What a token needs for its renewal: the name of its role.
const ROLE: &str = "role_name";
/// Records that a login reads when all of its role is read from the store: the role's id, the role,
/// the secret id. One that is refused reads as many, whatever it found.
const READS: usize = 3;
/// In the place of a role that is not there.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

#[derive(Deserialize)]
struct Credentials {
    #[serde(default, deserialize_with = "weak::string")]
    role_id: Option<String>,
    #[serde(default, deserialize_with = "weak::secret_string")]
    secret_id: Option<Secret<String>>,
}

/// Why nobody is let in, as far as it may be told.
enum Refusal {
    /// Something does not fit, and what is not said.
    Silent,
    /// The secret id fits: who has it may know what is wrong with the rest.
    Told(Error),
}

#[derive(Deserialize)]
struct Claim {
    #[serde(default, deserialize_with = "weak::string")]
    role_id: Option<String>,
}

/// Whose secret id a login claims to have.
pub(super) fn attempt(call: &Call<'_>) -> Option<String> {
    if call.path != "login" {
        return None;
    }
    call.body.decode::<Claim>().ok()?.value.role_id
}

impl AppRole {
    pub(super) async fn login(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let given = call.decode::<Credentials>()?;
        let role_id = given.role_id.filter(|id| !id.is_empty());
        let role_id = role_id.ok_or_else(|| Error::bad("missing role_id"))?;
        let text = given.secret_id.as_ref().map_or("", |s| s.expose().trim());
        let names = self.store.names().await?;
        let (role, mut reads) = match role_id.len() > ID || text.len() > ID {
            true => (None, 0),
            false => self.store.by_role_id(&names, &role_id).await?,
        };
        let uid = role.as_ref().map_or(NOBODY, |role| role.uid.as_str());
        let key = names.secret(uid, text);
        let admitted = match &role {
            None => Err(Refusal::Silent),
            Some(role) if !role.bind_secret_id => alone(role, call),
            Some(_) if text.is_empty() => Err(Refusal::Silent),
            Some(role) => {
                reads += 1;
                self.with_secret(&names, role, &key, call).await?
            }
        };
        match (admitted, role) {
            (Ok(secret), Some(role)) => Ok(Reply::login(login(&role, secret.as_deref()))),
            (Err(Refusal::Told(error)), _) => Err(error),
            _ => {
                self.store.idle(READS.saturating_sub(reads)).await?;
                Err(match text {
                    "" => Error::bad("missing secret_id"),
                    _ => Error::Unproven("invalid role or secret ID"),
                })
            }
        }
    }

    /// Checks a secret id and, last, takes a use of it.
    async fn with_secret(
        &self,
        names: &Names,
        role: &Role,
        key: &str,
        call: &Call<'_>,
    ) -> Result<Result<Option<Arc<SecretId>>, Refusal>, Error> {
        let stored = self.store.standing_secret(key).await?;
        let Some(secret) = stored.filter(|secret| !secret.is_over(call.now)) else {
            return Ok(Err(Refusal::Silent));
        };
        if !role.admits(call.remote) || !secret.admits(call.remote) {
            return Ok(Err(Refusal::Told(far(call))));
        }
        if !admits(token_cidrs(role, Some(&secret)), call.remote) {
            return Ok(Err(Refusal::Told(Error::Denied)));
        }
        if secret.num_uses == 0 {
            return Ok(Ok(Some(secret)));
        }
        let spent = self.store.spend(names, &role.uid, key, call.now).await?;
        Ok(spent.map(|s| Some(Arc::new(s))).ok_or(Refusal::Silent))
    }

    /// What a token may have when it is renewed: what its role says by now.
    pub(super) async fn renewal(&self, token: &Token) -> Result<TokenParams, Error> {
        let name = token.internal.get(ROLE).unwrap_or_default();
        match self.store.role(name).await? {
            Some((role, _)) => Ok(role.token),
            None => Err(Error::bad(format!("{} during renewal", no_role(name)))),
        }
    }
}

/// A role that asks for no secret id: the address is all there is to check.
fn alone(role: &Role, call: &Call<'_>) -> Result<Option<Arc<SecretId>>, Refusal> {
    match role.admits(call.remote) && role.token.admits(call.remote) {
        true => Ok(None),
        false => Err(Refusal::Silent),
    }
}

fn far(call: &Call<'_>) -> Error {
    let from = call.remote.map(|ip| ip.to_canonical().to_string());
    Error::bad(format!(
        "source address \"{}\" unauthorized by CIDR restrictions on the role",
        from.unwrap_or_default()
    ))
}

/// Addresses that may use the token: the secret id's, or else the role's.
fn token_cidrs<'a>(role: &'a Role, secret: Option<&'a SecretId>) -> &'a [IpNet] {
    let own = secret.map(|secret| secret.token_bound_cidrs.as_slice());
    own.filter(|own| !own.is_empty())
        .unwrap_or(&role.token.bound_cidrs)
}

fn login(role: &Role, secret: Option<&SecretId>) -> Login {
    let mut metadata = secret.map_or_else(BTreeMap::new, |secret| secret.metadata.clone());
    metadata.insert(ROLE.to_owned(), role.name.clone());
    Login {
        alias: role.role_id.clone(),
        alias_metadata: metadata.clone(),
        groups: Vec::new(),
        display_name: String::new(),
        metadata,
        internal: BTreeMap::from([(ROLE.to_owned(), role.name.clone())]),
        params: TokenParams {
            bound_cidrs: token_cidrs(role, secret).to_vec(),
            ..role.token.clone()
        },
    }
}
