//! What a body says of a role.

use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::policies;
use keyfold_core::ports::engine::Call;
use keyfold_core::request::Body;
use keyfold_core::tokens::{TokenMembers, TokenType};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::role::{Role, networks};
use crate::auth::former::whole;

/// Everything that a role can be told.
pub(super) struct Members {
    own: Own,
    token: TokenMembers,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Own {
    #[serde(deserialize_with = "weak::boolean")]
    bind_secret_id: Option<bool>,
    /// The old name of the next one.
    #[serde(deserialize_with = "weak::list")]
    bound_cidr_list: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::list")]
    secret_id_bound_cidrs: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::int")]
    secret_id_num_uses: Option<i64>,
    #[serde(deserialize_with = "weak::duration")]
    secret_id_ttl: Option<Seconds>,
    #[serde(deserialize_with = "weak::boolean")]
    local_secret_ids: Option<bool>,
    #[serde(deserialize_with = "weak::string")]
    role_id: Option<String>,
    /// The old name of `token_policies`.
    #[serde(deserialize_with = "weak::list")]
    policies: Option<Vec<String>>,
    /// The old name of `token_period`.
    #[serde(deserialize_with = "weak::duration")]
    period: Option<Seconds>,
    /// Whether the new names are there too: they count.
    token_policies: Option<IgnoredAny>,
    token_period: Option<IgnoredAny>,
}

impl Members {
    /// From the body of a call.
    pub fn of(call: &Call<'_>) -> Result<Self, Error> {
        let (own, token) = call.decode_both()?;
        Ok(Self { own, token })
    }

    /// From a body that holds no more than what may be changed.
    pub fn only(body: &Body) -> Result<Self, Error> {
        Ok(Self {
            own: body.decode()?.value,
            token: body.decode()?.value,
        })
    }

    /// The id that the role is to have.
    pub fn role_id(&self) -> Result<Option<String>, Error> {
        match self.own.role_id.as_deref() {
            Some("") => Err(Error::bad(
                "invalid role_id supplied, or failed to generate a role_id",
            )),
            Some(id) if id.len() > super::store::ID => {
                Err(Error::field("role_id", "is longer than an id may be"))
            }
            id => Ok(id.map(str::to_owned)),
        }
    }

    /// Puts the members into a role; remarks on them.
    pub fn apply(self, role: &mut Role, new: bool) -> Result<Vec<String>, Error> {
        let own = self.own;
        if let Some(bind) = own.bind_secret_id {
            role.bind_secret_id = bind;
        }
        if let Some(local) = own.local_secret_ids {
            if !new {
                return Err(Error::bad(
                    "local_secret_ids can only be modified during role creation",
                ));
            }
            role.local_secret_ids = local;
        }
        if let Some(cidrs) = own.secret_id_bound_cidrs.or(own.bound_cidr_list) {
            role.secret_id_bound_cidrs = networks("secret_id_bound_cidrs", &cidrs)?;
        }
        if let Some(uses) = own.secret_id_num_uses {
            role.secret_id_num_uses = u64::try_from(uses)
                .map_err(|_| Error::bad("secret_id_num_uses cannot be negative"))?;
        }
        if let Some(ttl) = own.secret_id_ttl {
            role.secret_id_ttl = whole("secret_id_ttl", ttl)?;
        }
        if let Some(names) = own.policies {
            role.token.policies = policies::names(names);
            role.old_policies = true;
        }
        if let Some(period) = own.period {
            role.token.period = whole("period", period)?;
            role.old_period = true;
        }
        role.old_policies &= own.token_policies.is_none();
        role.old_period &= own.token_period.is_none();
        role.token = self.token.apply(&role.token)?;
        let mut remarks = Vec::new();
        let plain = match role.token.kind {
            TokenType::DefaultBatch => Some((TokenType::Batch, "default-batch", "batch")),
            TokenType::DefaultService => Some((TokenType::Service, "default-service", "service")),
            _ => None,
        };
        if let Some((kind, given, meant)) = plain {
            role.token.kind = kind;
            remarks.push(format!(
                "{given} has no useful meaning; adjusting to {meant}"
            ));
        }
        role.check()?;
        Ok(remarks)
    }
}
