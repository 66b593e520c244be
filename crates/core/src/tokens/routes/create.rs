//! `create`, `create/<role>`, `create-orphan`: what was asked for becomes a token.

use std::collections::BTreeMap;

use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::Deserialize;

use super::policies::Choice;
use super::{TokenAuth, secs};
use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::tokens::create::{NewToken, display_name};
use crate::tokens::life::{Wish, lesser};
use crate::tokens::params::TokenType;
use crate::tokens::record::{Kind, Token};
use crate::tokens::reply;
use crate::tokens::role::Role;

/// Remarks that a token may carry: pairs, bytes of a key, bytes of a value.
const META: (usize, usize, usize) = (64, 128, 512);

#[derive(Deserialize)]
struct Create {
    #[serde(default, deserialize_with = "weak::secret_string")]
    id: Option<Secret<String>>,
    #[serde(default, deserialize_with = "weak::list")]
    policies: Option<Vec<String>>,
    #[serde(default, deserialize_with = "weak::map")]
    meta: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "weak::boolean")]
    no_parent: Option<bool>,
    #[serde(default, deserialize_with = "weak::boolean")]
    no_default_policy: Option<bool>,
    #[serde(default, deserialize_with = "weak::boolean")]
    renewable: Option<bool>,
    #[serde(default, deserialize_with = "weak::duration")]
    ttl: Option<Seconds>,
    /// An old name of `ttl`.
    #[serde(default, deserialize_with = "weak::duration")]
    lease: Option<Seconds>,
    #[serde(default, deserialize_with = "weak::duration")]
    explicit_max_ttl: Option<Seconds>,
    #[serde(default, deserialize_with = "weak::string")]
    display_name: Option<String>,
    #[serde(default, deserialize_with = "weak::int")]
    num_uses: Option<i64>,
    #[serde(default, deserialize_with = "weak::duration")]
    period: Option<Seconds>,
    #[serde(default, deserialize_with = "weak::string")]
    entity_alias: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "weak::string")]
    kind: Option<String>,
}

impl TokenAuth {
    pub(super) async fn create(&self, call: &Call<'_>, orphan: bool) -> Result<Reply, Error> {
        let parent = call.caller.token()?;
        check_parent(parent)?;
        let asked = call.decode::<Create>()?;
        let name = call.param("role");
        let role = match name {
            "" => None,
            name => Some(self.role(name).await?),
        };
        let role = role.as_ref();
        let privileged = call.caller.sudo || parent.is_root();
        let need = |wish: bool, what: &str| match wish && !privileged {
            true => Err(Error::bad(format!(
                "root or sudo privileges required to {what}"
            ))),
            false => Ok(()),
        };
        let mut warnings = Vec::new();
        let kind = kind(asked.kind.as_deref(), role, &mut warnings)?;
        let alias = alias(asked.entity_alias, role)?;
        let text = asked.id.filter(|id| !id.expose().is_empty());
        need(text.is_some(), "specify token id")?;
        if let Some(text) = &text {
            check_text(text.expose())?;
            if kind == Kind::Batch {
                warnings.push("'id' has no effect on a batch token".to_owned());
            }
        }
        let orphan = match role {
            Some(role) => {
                if asked.no_parent.is_some_and(|wish| wish != role.orphan) {
                    warnings.push("'no_parent' has no effect: the role decides".to_owned());
                }
                role.orphan
            }
            None => orphan || asked.no_parent.unwrap_or(false),
        };
        need(orphan && role.is_none(), "create orphan token")?;
        let period = secs(asked.period);
        need(period > 0, "create periodic token")?;
        let Ok(num_uses) = u64::try_from(asked.num_uses.unwrap_or(0)) else {
            return Err(Error::bad("number of uses cannot be negative"));
        };
        let num_uses = lesser(num_uses, role.map_or(0, |r| r.num_uses));
        let meta = asked.meta.filter(|m| !m.is_empty());
        check_meta(meta.as_ref())?;
        let choice = Choice {
            asked: asked.policies.unwrap_or_default(),
            no_default: asked.no_default_policy.unwrap_or(false),
            role,
            parent,
            privileged,
        };
        let policies = choice.policies()?;

        let explicit_max_ttl = secs(asked.explicit_max_ttl);
        let wish = Wish {
            ttl: secs(asked.ttl.or(asked.lease)),
            period: within(
                "Period",
                period,
                role.map_or(0, |r| r.period),
                &mut warnings,
            ),
            explicit_max_ttl: within(
                "Explicit max TTL",
                explicit_max_ttl,
                role.map_or(0, |r| r.explicit_max_ttl),
                &mut warnings,
            ),
        };
        let forever = policies.iter().any(|p| p == "root")
            && (wish.ttl, wish.period, wish.explicit_max_ttl) == (0, 0, 0);
        if forever && parent.expires.is_some() {
            return Err(Error::bad(
                "expiring root tokens cannot create non-expiring root tokens",
            ));
        }
        if kind == Kind::Batch && wish.explicit_max_ttl > 0 {
            return Err(Error::bad(
                "batch tokens cannot have \"explicit_max_ttl\" set",
            ));
        }
        let ttl = if forever {
            0
        } else {
            let limits = self.0.mounts.limits("auth/token/", &self.0.settings);
            let granted = limits.grant(wish, 0);
            warnings.extend(granted.warning);
            granted.ttl
        };
        for name in &policies {
            if !self.0.policies.exists(name).await? {
                warnings.push(format!("Policy \"{name}\" does not exist"));
            }
        }
        let renewable = asked.renewable.unwrap_or(true) && role.is_none_or(|r| r.renewable);
        let mut new = NewToken {
            text,
            policies,
            path: path(call.full_path, role),
            display_name: display_name(asked.display_name),
            meta,
            num_uses,
            ttl,
            explicit_max_ttl,
            // A batch token's would be refused, whoever said it.
            period: if kind == Kind::Batch {
                wish.period
            } else {
                period
            },
            renewable: renewable && !forever,
            parent: (!orphan).then(|| parent.hash.clone()),
            kind,
            bound_cidrs: role.map(|r| r.bound_cidrs.clone()).unwrap_or_default(),
            // A child acts for whom its parent acts for.
            entity: parent
                .entity
                .as_deref()
                .filter(|_| !orphan)
                .map(str::to_owned),
            role: role.map(|_| name.to_owned()),
            ..NewToken::default()
        };
        if let (Some(alias), Some(mount)) = (alias, call.mount) {
            self.0.tokens.check(&new).await?;
            let standing = self.0.identity.alias_login(&mount.accessor, &alias).await?;
            new.entity = Some(standing.entity.id.clone());
        }
        let (token, text) = self.0.tokens.create(new).await?;
        Ok(Reply {
            warnings,
            ..Reply::auth(reply::auth(&token, Some(text), ttl))
        })
    }

    async fn role(&self, name: &str) -> Result<Role, Error> {
        let role = self.0.tokens.role(name).await?;
        role.ok_or_else(|| Error::bad(format!("unknown role {name}")))
    }
}

/// The alias that the token is to act by, where its role allows it.
fn alias(asked: Option<String>, role: Option<&Role>) -> Result<Option<String>, Error> {
    let Some(alias) = asked.filter(|alias| !alias.is_empty()) else {
        return Ok(None);
    };
    let role = role.ok_or_else(|| {
        Error::bad("'entity_alias' is only allowed in combination with token role")
    })?;
    match role.allows_alias(&alias) {
        true => Ok(Some(alias)),
        false => Err(Error::bad("invalid 'entity_alias' value")),
    }
}

/// Who may have children.
fn check_parent(parent: &Token) -> Result<(), Error> {
    if parent.kind == Kind::Batch {
        return Err(Error::bad("batch tokens cannot create more tokens"));
    }
    if parent.num_uses > 0 || parent.spent {
        return Err(Error::bad(
            "restricted use token cannot generate child tokens",
        ));
    }
    Ok(())
}

/// The kind that was asked for, unless the role decides alone.
fn kind(
    asked: Option<&str>,
    role: Option<&Role>,
    warnings: &mut Vec<String>,
) -> Result<Kind, Error> {
    let wish = match asked {
        None | Some("") => None,
        Some("service") => Some(Kind::Service),
        Some("batch") => Some(Kind::Batch),
        Some(_) => return Err(Error::bad("invalid 'token_type' value")),
    };
    let kind = match role.map_or(TokenType::Default, |r| r.kind) {
        TokenType::Service => Kind::Service,
        TokenType::Batch => Kind::Batch,
        TokenType::DefaultBatch => wish.unwrap_or(Kind::Batch),
        TokenType::Default | TokenType::DefaultService => wish.unwrap_or(Kind::Service),
    };
    if wish.is_some_and(|wish| wish != kind) {
        warnings.push("'type' has no effect: the role decides".to_owned());
    }
    Ok(kind)
}

/// A bound of the caller's within the role's; told where both have one.
fn within(what: &str, asked: u64, role: u64, warnings: &mut Vec<String>) -> u64 {
    let bound = lesser(asked, role);
    if asked > 0 && role > 0 {
        warnings.push(format!(
            "{what} specified both during creation call and in role; using the lesser value of \
             {bound} seconds"
        ));
    }
    bound
}

/// Where it was made, and the role's suffix.
fn path(made: &str, role: Option<&Role>) -> String {
    match role.map_or("", |r| r.path_suffix.as_str()) {
        "" => made.to_owned(),
        suffix => format!("{made}/{suffix}"),
    }
}

/// A token text of the caller's choice: what a header can carry, and without the dot that every
/// minted one has.
fn check_text(text: &str) -> Result<(), Error> {
    let printable = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if text.len() > 512 || !printable || text.trim() != text {
        return Err(Error::field(
            "id",
            "must be at most 512 printable ASCII characters, with no space around them",
        ));
    }
    if text.contains('.') {
        return Err(Error::bad("custom token ID cannot have a '.' in the value"));
    }
    Ok(())
}

/// It stands in the token's record, and in memory with it.
fn check_meta(meta: Option<&BTreeMap<String, String>>) -> Result<(), Error> {
    let Some(meta) = meta else { return Ok(()) };
    let (pairs, key, value) = META;
    if meta.len() > pairs || meta.iter().any(|(k, v)| k.len() > key || v.len() > value) {
        return Err(Error::field(
            "meta",
            format_args!("at most {pairs} pairs, keys of {key} and values of {value} bytes"),
        ));
    }
    Ok(())
}
