//! Logging in with a token of an issuer.

use std::collections::BTreeMap;

use keyfold_api::weak;
use keyfold_core::barrier::View;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::policies;
use keyfold_core::ports::auth::Login;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_core::tokens::{Token, TokenParams};
use keyfold_secret::Secret;
use serde::Deserialize;
use serde_json::Value;

use super::Jwt;
use super::bound;
use super::claims::{self, Expected, Leeway};
use super::jwks::Key;
use super::keys::Loaded;
use super::role::{self, Kind, ROLE, Role, Rules};
use super::template;
use super::token::{Claims, Unverified};
use crate::auth::name;

#[derive(Deserialize, Default)]
#[serde(default)]
struct LoginMembers {
    #[serde(deserialize_with = "weak::secret_string")]
    jwt: Option<Secret<String>>,
    #[serde(deserialize_with = "weak::string")]
    role: Option<String>,
}

/// `PUT login`. Who it is has to be proven first: until then all roles are alike, those that are there
/// and those that are not.
pub(super) async fn login(mount: &Jwt, call: &Call<'_>) -> Result<Reply, Error> {
    let given: LoginMembers = call.decode()?;
    let name = given.role.filter(|name| !name.is_empty());
    let token = given.jwt.filter(|text| !text.expose().is_empty());
    // What is missing is told before an issuer is asked for its keys, which may be away.
    let (token, name) = match (token, name) {
        (Some(token), Some(name)) => (token, name),
        (token, name) => {
            let config = mount.keys.config().await?;
            let token = token.ok_or_else(|| Error::bad("missing token"))?;
            let name = name.unwrap_or(config.shown.default_role);
            if name.is_empty() {
                return Err(Error::bad("missing role"));
            }
            (token, name)
        }
    };
    let keys = mount.keys.current(call.now).await?;
    let unknown = || Error::bad(format!("role \"{name}\" could not be found"));
    let invalid = |what: String| Error::bad(format!("error validating token: {what}"));
    // Before the role is looked for: whoever has no token of the issuer is not told what is there.
    let claims = verified(mount, keys.as_ref(), token.expose(), call.now).await?;
    let issuer = &keys.config.shown.bound_issuer;
    let found = role::find(&mount.view, &name).await?;
    let is_oidc = |role: &Role| role.rules.role_type == Kind::Oidc;
    let oidc = found.as_ref().is_some_and(is_oidc);
    let Some(role) = found.filter(|role| !is_oidc(role)) else {
        // Nor is the holder of one whose time has passed: no such role is one that binds nothing.
        let anybody = Expected {
            issuer,
            subject: "",
            audiences: &[],
            leeway: Leeway::default(),
        };
        claims::check(&claims, &anybody, call.now).map_err(invalid)?;
        return Err(match oidc {
            true => Error::bad("role with oidc role_type is not allowed"),
            false => unknown(),
        });
    };
    // As it is kept, whatever the caller's spelling.
    let name = name::fold(&name).ok_or_else(unknown)?;
    let rules = &role.rules;
    let audiences = rules.bound_audiences.as_deref().unwrap_or_default();
    let expected = Expected {
        issuer,
        subject: &rules.bound_subject,
        audiences,
        leeway: rules.leeway(),
    };
    claims::check(&claims, &expected, call.now).map_err(invalid)?;
    if audiences.is_empty() && !claims::audiences(&claims).map_err(invalid)?.is_empty() {
        return Err(Error::bad(
            "audience claim found in JWT but no audiences bound to the role",
        ));
    }
    if let Some(bound) = &rules.bound_claims {
        bound::check(&claims, bound, rules.bound_claims_type)
            .map_err(|what| Error::bad(format!("error validating claims: {what}")))?;
    }
    granted(role, &name, &claims)
        .map(Reply::login)
        .map_err(Error::bad)
}

/// What a token of a login may have by now: nothing more when its role is gone.
pub(super) async fn renew(view: &View, token: &Token) -> Result<TokenParams, Error> {
    let name = token.internal.get(ROLE);
    let name = name.ok_or(Error::Bug("a token of jwt without a role"))?;
    let gone = || Error::bad(format!("role \"{name}\" could not be found, not renewing"));
    Ok(role::find(view, name).await?.ok_or_else(gone)?.params)
}

/// The claims of a token that one of the keys has signed. Where none has, the issuer may have new
/// ones.
async fn verified(mount: &Jwt, keys: &Loaded, token: &str, now: Time) -> Result<Claims, Error> {
    let invalid = |what: &str| {
        let text = "error validating token: error verifying token signature:";
        Error::bad(format!("{text} {what}"))
    };
    let token = Unverified::parse(token).map_err(invalid)?;
    let supported = &keys.config.shown.jwt_supported_algs;
    if !supported.is_empty()
        && token
            .algorithm
            .is_some_and(|used| !supported.contains(&used))
    {
        return Err(Error::bad(
            "error validating token: invalid algorithm (alg) header parameter: token signed with \
             unexpected algorithm",
        ));
    }
    match by(keys, &token) {
        Ok(claims) => Ok(claims),
        // What no key can have signed is no reason to ask for others.
        Err(what) if token.algorithm.is_none() => Err(invalid(what)),
        Err(what) => match mount.keys.renewed(keys, now).await? {
            Some(keys) => by(&keys, &token).map_err(invalid),
            None => Err(invalid(what)),
        },
    }
}

/// Verifies with the keys that the token's header allows: the one it names, where one has that name.
fn by(keys: &Loaded, token: &Unverified<'_>) -> Result<Claims, &'static str> {
    let named = |key: &Key| key.kid.is_some() && key.kid == token.kid;
    let one = keys.keys.iter().any(named);
    token.verified(|algorithm, message, signature| {
        let fit = keys.keys.iter().filter(|&key| !one || named(key));
        fit.filter(|key| key.algorithm.is_none_or(|of| of == algorithm))
            .any(|key| key.public.verifies(algorithm, message, signature))
    })
}

/// Who it is and what they get, by the claims of their token. The error is for the caller.
fn granted(role: Role, name: &str, claims: &Claims) -> Result<Login, String> {
    let Role {
        rules, mut params, ..
    } = role;
    let user = user(&rules, claims)?;
    let mapped = metadata(&rules, claims)?;
    if rules.token_policies_template_claims {
        let rendered = params
            .policies
            .iter()
            .map(|text| template::render(text, claims));
        params.policies = policies::names(rendered.collect::<Result<_, _>>()?);
    }
    let role = BTreeMap::from([(ROLE.to_owned(), name.to_owned())]);
    let mut shown = mapped.clone();
    shown.extend(role.clone());
    Ok(Login {
        alias: user.clone(),
        alias_metadata: mapped,
        groups: groups(&rules, claims)?,
        display_name: user,
        metadata: shown,
        internal: role,
        params,
    })
}

fn user(rules: &Rules, claims: &Claims) -> Result<String, String> {
    let claim = &rules.user_claim;
    let value = match rules.user_claim_json_pointer {
        true => claims::find(claims, claim),
        false => claims.get(claim),
    };
    match value {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::String(_)) => Err(format!("claim \"{claim}\" is empty")),
        Some(_) => Err(format!(
            "claim \"{claim}\" could not be converted to string"
        )),
        None => Err(format!("claim \"{claim}\" not found in token")),
    }
}

/// The claims that the role wants in the metadata; those that are absent are left out.
fn metadata(rules: &Rules, claims: &Claims) -> Result<BTreeMap<String, String>, String> {
    let mappings = rules.claim_mappings.iter().flatten();
    let found =
        mappings.filter_map(|(claim, target)| Some((claim, target, claims::find(claims, claim)?)));
    found
        .map(|(claim, target, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(is) => u8::from(*is).to_string(),
                _ => return Err(format!("error converting claim '{claim}' to string")),
            };
            Ok((target.clone(), text))
        })
        .collect()
}

/// The groups that the issuer says they belong to.
fn groups(rules: &Rules, claims: &Claims) -> Result<Vec<String>, String> {
    let claim = &rules.groups_claim;
    if claim.is_empty() {
        return Ok(Vec::new());
    }
    let missing = || format!("failed to fetch groups: \"{claim}\" claim not found in token");
    match claims::find(claims, claim).ok_or_else(missing)? {
        Value::String(one) => Ok(vec![one.clone()]),
        Value::Array(all) => {
            let wrong = |value: &Value| {
                format!("value {value} in groups claim could not be parsed as string")
            };
            let text = |value: &Value| {
                value
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| wrong(value))
            };
            all.iter().map(text).collect()
        }
        _ => Err(format!(
            "\"{claim}\" claim could not be converted to string list"
        )),
    }
}
