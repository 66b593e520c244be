//! Roles: which tokens to let in, and what they get.

use std::collections::{BTreeMap, BTreeSet};

use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use keyfold_core::barrier::{View, json};
use keyfold_core::error::{Error, UnsupportedReason};
use keyfold_core::policies;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::{Batch, Revision};
use keyfold_core::reply::Reply;
use keyfold_core::tokens::TokenParams;
use serde::{Deserialize, Serialize};

use super::bound::{BoundClaims, Comparison};
use super::claims::Leeway;
use super::template;
use crate::auth::former::{FormerView, GrantMembers, Shown};
use crate::auth::name;

pub(super) const FOLDER: &str = "role/";
/// The metadata of a token that says by which role it was made.
pub(super) const ROLE: &str = "role";

/// What is stored of a role at `role/<name>`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    #[serde(flatten)]
    pub(super) rules: Rules,
    /// What a login grants.
    #[serde(flatten)]
    pub(super) params: TokenParams,
    shown: Shown,
}

/// What a role has of its own, as it is shown too. Leeways in seconds.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Rules {
    allowed_redirect_uris: Option<Vec<String>>,
    pub(super) bound_audiences: Option<Vec<String>>,
    pub(super) bound_claims: Option<BoundClaims>,
    pub(super) bound_claims_type: Comparison,
    pub(super) bound_subject: String,
    callback_mode: Callback,
    pub(super) claim_mappings: Option<BTreeMap<String, String>>,
    clock_skew_leeway: i64,
    expiration_leeway: i64,
    pub(super) groups_claim: String,
    max_age: u64,
    not_before_leeway: i64,
    oauth2_metadata: Option<Vec<String>>,
    oidc_disable_confirmation: bool,
    oidc_scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll_interval: Option<u64>,
    pub(super) role_type: Kind,
    pub(super) token_policies_template_claims: bool,
    pub(super) user_claim: String,
    pub(super) user_claim_json_pointer: bool,
    verbose_oidc_logging: bool,
}

/// How one logs in with a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// With a token.
    Jwt,
    /// With a browser.
    #[default]
    Oidc,
}

/// How a browser comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Callback {
    #[default]
    Client,
    Device,
    Direct,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Members {
    #[serde(deserialize_with = "weak::list")]
    allowed_redirect_uris: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::list")]
    bound_audiences: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::object")]
    bound_claims: Option<BoundClaims>,
    #[serde(deserialize_with = "weak::string")]
    bound_claims_type: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    bound_subject: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    callback_mode: Option<String>,
    #[serde(deserialize_with = "weak::map")]
    claim_mappings: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "weak::signed_duration")]
    clock_skew_leeway: Option<Seconds>,
    #[serde(deserialize_with = "weak::signed_duration")]
    expiration_leeway: Option<Seconds>,
    #[serde(deserialize_with = "weak::string")]
    groups_claim: Option<String>,
    #[serde(deserialize_with = "weak::duration")]
    max_age: Option<Seconds>,
    #[serde(deserialize_with = "weak::signed_duration")]
    not_before_leeway: Option<Seconds>,
    #[serde(deserialize_with = "weak::list")]
    oauth2_metadata: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::boolean")]
    oidc_disable_confirmation: Option<bool>,
    #[serde(deserialize_with = "weak::list")]
    oidc_scopes: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::duration")]
    poll_interval: Option<Seconds>,
    #[serde(deserialize_with = "weak::string")]
    role_type: Option<String>,
    /// As they are written: in a template the case of a claim's name counts.
    #[serde(deserialize_with = "weak::list")]
    token_policies: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::boolean")]
    token_policies_template_claims: Option<bool>,
    #[serde(deserialize_with = "weak::string")]
    user_claim: Option<String>,
    #[serde(deserialize_with = "weak::boolean")]
    user_claim_json_pointer: Option<bool>,
    #[serde(deserialize_with = "weak::boolean")]
    verbose_oidc_logging: Option<bool>,
}

/// The storage key of a role. What can't be a name is no path of this method.
fn key(call: &Call<'_>) -> Result<String, Error> {
    let name = name::fold(call.param("name"));
    let name = name.ok_or(Error::Unsupported(UnsupportedReason::Path))?;
    Ok(format!("{FOLDER}{name}"))
}

/// The role of a name.
pub(super) async fn find(view: &View, name: &str) -> Result<Option<Role>, Error> {
    let Some(name) = name::fold(name) else {
        return Ok(None);
    };
    Ok(view
        .read(&format!("{FOLDER}{name}"))
        .await?
        .map(|(role, _)| role))
}

/// Whether a write of a role changes one that is there.
pub(super) async fn exists(view: &View, call: &Call<'_>) -> Result<bool, Error> {
    Ok(find(view, call.param("name")).await?.is_some())
}

/// `LIST role`.
pub(super) async fn list(view: &View, call: &Call<'_>) -> Result<Reply, Error> {
    call.list(view, FOLDER).await
}

/// `GET role/{name}`.
pub(super) async fn read(view: &View, call: &Call<'_>) -> Result<Reply, Error> {
    #[derive(Serialize)]
    struct RoleView<'a> {
        #[serde(flatten)]
        rules: &'a Rules,
        #[serde(flatten)]
        former: FormerView<'a>,
        #[serde(flatten)]
        token: &'a TokenParams,
    }
    let (role, _) = view
        .read::<Role>(&key(call)?)
        .await?
        .ok_or(Error::NotFound)?;
    Reply::data(&RoleView {
        rules: &role.rules,
        former: FormerView::new(&role.params, &role.shown),
        token: &role.params,
    })
}

/// `PUT role/{name}`: makes a role, or changes what is given.
pub(super) async fn write(view: &View, call: &Call<'_>) -> Result<Reply, Error> {
    let key = key(call)?;
    let change = || async {
        let old = view.read::<Role>(&key).await?;
        let read = old.as_ref().map(|(_, revision)| *revision);
        let old = old.map_or_else(Role::default, |(role, _)| role);
        let (own, grant) = GrantMembers::decode::<Members>(call)?;
        let role = old.changed(own, grant)?;
        store(view, &key, &role, read).await?;
        Ok(role)
    };
    let role = view.change(&key, change).await?;
    let reply = Reply::none().granting(&role.params);
    Ok(match role.rules.verbose_oidc_logging {
        true => reply.warn(
            "verbose_oidc_logging has been enabled for this role. It has no effect here: nothing \
             of a token is ever logged.",
        ),
        false => reply,
    })
}

/// `DELETE role/{name}`. One that is not there is no error.
pub(super) async fn delete(view: &View, call: &Call<'_>) -> Result<Reply, Error> {
    let key = key(call)?;
    view.change(&key, || view.commit(Batch::new().delete(&key)))
        .await?;
    Ok(Reply::none())
}

/// Writes the record, if it still is the one that was read.
async fn store(view: &View, key: &str, role: &Role, read: Option<Revision>) -> Result<(), Error> {
    let batch = Batch::new().put(key, json(role)?);
    let batch = match read {
        Some(revision) => batch.unchanged(key, revision),
        None => batch.absent(key),
    };
    view.commit(batch).await.map(|_| ())
}

impl Role {
    /// The role with members put in, checked as a whole.
    fn changed(mut self, own: Members, grant: GrantMembers) -> Result<Self, Error> {
        let written = own.token_policies.clone();
        self.rules.take(own)?;
        self.params = grant.apply(&self.params, &mut self.shown)?;
        match (self.rules.token_policies_template_claims, written) {
            (true, Some(templates)) => self.params.policies = templates,
            (true, None) => {}
            (false, _) => {
                let names = std::mem::take(&mut self.params.policies);
                self.params.policies = policies::names(names);
            }
        }
        self.rules.check()?;
        if self.rules.is_unbound() && self.params.bound_cidrs.is_empty() {
            return Err(Error::bad(
                "must have at least one bound constraint when creating/updating a role",
            ));
        }
        if self.rules.token_policies_template_claims {
            for policy in &self.params.policies {
                let wrong = |what| Error::field("token_policies", what);
                template::check(policy).map_err(wrong)?;
            }
        }
        Ok(self)
    }
}

impl Rules {
    /// What is forgiven.
    pub(super) fn leeway(&self) -> Leeway {
        Leeway {
            expiration: self.expiration_leeway,
            not_before: self.not_before_leeway,
            clock_skew: self.clock_skew_leeway,
        }
    }

    fn take(&mut self, given: Members) -> Result<(), Error> {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        // The kind and the way back are not kept from before: absent is their default.
        self.role_type = match given.role_type.as_deref() {
            Some("jwt") => Kind::Jwt,
            None | Some("" | "oidc") => Kind::Oidc,
            Some(other) => return Err(Error::bad(format!("invalid 'role_type': {other}"))),
        };
        self.callback_mode = match given.callback_mode.as_deref() {
            None | Some("" | "client") => Callback::Client,
            Some("device") => Callback::Device,
            Some("direct") => Callback::Direct,
            Some(other) => return Err(Error::bad(format!("invalid 'callback_mode': {other}"))),
        };
        match given.bound_claims_type.as_deref() {
            None => {}
            Some("" | "string") => self.bound_claims_type = Comparison::String,
            Some("glob") => self.bound_claims_type = Comparison::Glob,
            Some(other) => return Err(Error::bad(format!("invalid 'bound_claims_type': {other}"))),
        }
        let secs = |seconds: Option<Seconds>| seconds.map(|s| u64::try_from(s.0).unwrap_or(0));
        self.oidc_disable_confirmation = given.oidc_disable_confirmation.unwrap_or(false);
        self.poll_interval = secs(given.poll_interval).or(self.poll_interval);
        set(&mut self.max_age, secs(given.max_age));
        set(
            &mut self.clock_skew_leeway,
            given.clock_skew_leeway.map(|s| s.0),
        );
        set(
            &mut self.expiration_leeway,
            given.expiration_leeway.map(|s| s.0),
        );
        set(
            &mut self.not_before_leeway,
            given.not_before_leeway.map(|s| s.0),
        );
        set(
            &mut self.allowed_redirect_uris,
            given.allowed_redirect_uris.map(Some),
        );
        set(&mut self.bound_audiences, given.bound_audiences.map(Some));
        set(&mut self.bound_claims, given.bound_claims.map(Some));
        set(&mut self.bound_subject, given.bound_subject);
        set(&mut self.claim_mappings, given.claim_mappings.map(Some));
        set(&mut self.groups_claim, given.groups_claim);
        set(&mut self.oauth2_metadata, given.oauth2_metadata.map(Some));
        set(&mut self.oidc_scopes, given.oidc_scopes.map(Some));
        set(
            &mut self.token_policies_template_claims,
            given.token_policies_template_claims,
        );
        set(&mut self.user_claim, given.user_claim);
        set(
            &mut self.user_claim_json_pointer,
            given.user_claim_json_pointer,
        );
        set(&mut self.verbose_oidc_logging, given.verbose_oidc_logging);
        Ok(())
    }

    /// The parts fit each other.
    fn check(&self) -> Result<(), Error> {
        let none = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
        if self.role_type == Kind::Oidc && none(&self.allowed_redirect_uris) {
            return Err(Error::bad(
                "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.",
            ));
        }
        if self.user_claim.is_empty() {
            return Err(Error::bad("a user claim must be defined on the role"));
        }
        if let Some(bound) = &self.bound_claims {
            self.bound_claims_type.takes(bound).map_err(Error::bad)?;
        }
        let known = ["access_token", "id_token", "refresh_token"];
        let metadata = self.oauth2_metadata.iter().flatten();
        if let Some(unknown) = metadata
            .into_iter()
            .find(|name| !known.contains(&name.as_str()))
        {
            return Err(Error::bad(format!(
                "Unrecognized oauth2 metadata name {unknown}"
            )));
        }
        let mut targets = BTreeSet::from([ROLE]);
        for target in self.claim_mappings.iter().flat_map(BTreeMap::values) {
            if target == ROLE {
                return Err(Error::bad(format!(
                    "metadata key \"{ROLE}\" is reserved and may not be a mapping destination"
                )));
            }
            if !targets.insert(target) {
                return Err(Error::bad(format!(
                    "multiple keys are mapped to metadata key \"{target}\""
                )));
            }
        }
        Ok(())
    }

    /// A token that anybody got from the issuer would do. The browser's flow binds by its client.
    fn is_unbound(&self) -> bool {
        self.role_type == Kind::Jwt
            && self.bound_audiences.as_ref().is_none_or(Vec::is_empty)
            && self.bound_subject.is_empty()
            && self.bound_claims.as_ref().is_none_or(BTreeMap::is_empty)
    }
}
