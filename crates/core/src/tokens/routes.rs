//! `auth/token/`: the table, and its handlers.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::Deserialize;

use super::create::{NewToken, display_name};
use super::life::{Granted, Wish};
use super::login;
use super::record::Token;
use super::reply;
use crate::clock::Time;
use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::mounts::Target;
use crate::policies;
use crate::ports::engine::{Call, Engine, Route};
use crate::reply::{self as answer, Reply};
use crate::request::Op;

/// The token auth method, over an open vault.
pub struct TokenAuth(pub Arc<Unsealed>);

impl Engine for TokenAuth {
    fn routes() -> &'static [Route<Self>] {
        type Row = Route<TokenAuth>;
        static ROUTES: &[Row] = &[
            Row::new(Op::Write, "create", "Makes a token.", |t, c| {
                Box::pin(t.create(c, false))
            }),
            Row::new(
                Op::Write,
                "create-orphan",
                "Makes a token without a parent.",
                |t, c| Box::pin(t.create(c, true)),
            ),
            Row::new(
                Op::Read,
                "lookup-self",
                "Describes the caller's token.",
                |t, c| Box::pin(t.lookup_self(c)),
            ),
            Row::new(
                Op::Write,
                "lookup-self",
                "Describes the caller's token.",
                |t, c| Box::pin(t.lookup_self(c)),
            ),
            Row::new(Op::Read, "lookup", "Describes a token.", |t, c| {
                Box::pin(t.lookup(c))
            }),
            Row::new(Op::Write, "lookup", "Describes a token.", |t, c| {
                Box::pin(t.lookup(c))
            }),
            Row::new(
                Op::Write,
                "lookup-accessor",
                "Describes an accessor's token.",
                |t, c| Box::pin(t.lookup_accessor(c)),
            ),
            Row::new(
                Op::Write,
                "renew-self",
                "Prolongs the caller's token.",
                |t, c| Box::pin(t.renew_self(c)),
            ),
            Row::new(Op::Write, "renew", "Prolongs a token.", |t, c| {
                Box::pin(t.renew(c))
            }),
            Row::new(
                Op::Write,
                "renew-accessor",
                "Prolongs an accessor's token.",
                |t, c| Box::pin(t.renew_accessor(c)),
            ),
            Row::new(
                Op::Write,
                "revoke-self",
                "Revokes the caller's token.",
                |t, c| Box::pin(t.revoke_self(c)),
            ),
            Row::new(
                Op::Write,
                "revoke",
                "Revokes a token and its tree.",
                |t, c| Box::pin(t.revoke(c)),
            ),
            Row::new(
                Op::Write,
                "revoke-accessor",
                "Revokes an accessor's token.",
                |t, c| Box::pin(t.revoke_accessor(c)),
            ),
            Row::new(
                Op::Write,
                "revoke-orphan",
                "Revokes a token, not its tree.",
                |t, c| Box::pin(t.revoke_orphan(c)),
            )
            .sudo(),
            Row::new(Op::List, "accessors", "Lists all accessors.", |t, c| {
                Box::pin(t.accessors(c))
            })
            .sudo(),
            Row::new(Op::List, "accessors/", "Lists all accessors.", |t, c| {
                Box::pin(t.accessors(c))
            })
            .sudo(),
        ];
        ROUTES
    }
}

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

#[derive(Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "weak::secret_string")]
    token: Option<Secret<String>>,
    #[serde(default, deserialize_with = "weak::duration")]
    increment: Option<Seconds>,
}

#[derive(Deserialize)]
struct ByAccessor {
    #[serde(default, deserialize_with = "weak::string")]
    accessor: Option<String>,
    #[serde(default, deserialize_with = "weak::duration")]
    increment: Option<Seconds>,
}

fn secs(of: Option<Seconds>) -> u64 {
    of.and_then(|s| u64::try_from(s.0).ok()).unwrap_or(0)
}

impl TokenAuth {
    async fn create(&self, call: &Call<'_>, orphan: bool) -> Result<Reply, Error> {
        let parent = call.caller.token()?;
        if parent.num_uses > 0 || parent.spent {
            return Err(Error::bad(
                "restricted use token cannot generate child tokens",
            ));
        }
        let asked = call.decode::<Create>()?;
        let privileged = call.caller.sudo || parent.is_root();
        let need = |wish: bool, what: &str| match wish && !privileged {
            true => Err(Error::bad(format!(
                "root or sudo privileges required to {what}"
            ))),
            false => Ok(()),
        };
        match asked.kind.as_deref() {
            None | Some("" | "service") => {}
            Some("batch") => return Err(Error::field("type", "batch tokens are not offered")),
            Some(_) => return Err(Error::bad("invalid 'token_type' value")),
        }
        if asked.entity_alias.is_some_and(|alias| !alias.is_empty()) {
            return Err(Error::bad(
                "'entity_alias' is only allowed in combination with token role",
            ));
        }
        let text = asked.id.filter(|id| !id.expose().is_empty());
        need(text.is_some(), "specify token id")?;
        if let Some(text) = &text {
            check_text(text.expose())?;
        }
        let orphan = orphan || asked.no_parent.unwrap_or(false);
        need(orphan, "create orphan token")?;
        let period = secs(asked.period);
        need(period > 0, "create periodic token")?;
        let Ok(num_uses) = u64::try_from(asked.num_uses.unwrap_or(0)) else {
            return Err(Error::bad("number of uses cannot be negative"));
        };
        let policies = choose_policies(
            asked.policies.unwrap_or_default(),
            asked.no_default_policy.unwrap_or(false),
            parent,
            privileged,
        )?;

        let explicit_max_ttl = secs(asked.explicit_max_ttl);
        let ttl = secs(asked.ttl.or(asked.lease));
        let root = policies.iter().any(|p| p == "root");
        let forever = root && ttl == 0 && period == 0 && explicit_max_ttl == 0;
        if forever && parent.expires.is_some() {
            return Err(Error::bad(
                "expiring root tokens cannot create non-expiring root tokens",
            ));
        }
        let limits = self.0.mounts.limits("auth/token/", &self.0.settings);
        let mut warnings = Vec::new();
        let ttl = if forever {
            0
        } else {
            let granted = limits.grant(
                Wish {
                    ttl,
                    period,
                    explicit_max_ttl,
                },
                0,
            );
            warnings.extend(granted.warning);
            granted.ttl
        };
        for name in &policies {
            if !self.0.policies.exists(name).await? {
                warnings.push(format!("Policy \"{name}\" does not exist"));
            }
        }
        let new = NewToken {
            text,
            policies,
            path: call.full_path.to_owned(),
            display_name: display_name(asked.display_name),
            meta: asked.meta.filter(|m| !m.is_empty()),
            num_uses,
            ttl,
            explicit_max_ttl,
            period,
            renewable: asked.renewable.unwrap_or(true) && !forever,
            parent: (!orphan).then(|| parent.hash.clone()),
            ..NewToken::default()
        };
        let (token, text) = self.0.tokens.create(new).await?;
        Ok(Reply {
            warnings,
            ..Reply::auth(reply::auth(&token, Some(text), ttl))
        })
    }

    async fn lookup_self(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let text = call.caller.text.as_ref().map_or("", |t| t.expose());
        reply::lookup(call.caller.token()?, text, call.now)
    }

    async fn lookup(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Named>()?;
        let Some(text) = asked.token.filter(|t| !t.expose().is_empty()) else {
            return self.lookup_self(call).await;
        };
        let found = self.0.tokens.find(text.expose(), call.now).await?;
        let token = found.ok_or_else(|| Error::DeniedBecause("bad token".to_owned()))?;
        reply::lookup(&token, text.expose(), call.now)
    }

    async fn lookup_accessor(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (token, _) = self.of_accessor(call).await?;
        reply::lookup(&token, "", call.now)
    }

    async fn renew_self(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Named>()?;
        let text = call
            .caller
            .text
            .as_ref()
            .map(|t| Secret::new(t.expose().clone()));
        self.prolong(call.caller.token()?, text, secs(asked.increment), call)
            .await
    }

    async fn renew(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Named>()?;
        let text = missing_token(asked.token)?;
        let found = self.0.tokens.find(text.expose(), call.now).await?;
        let token = found.ok_or_else(|| Error::bad("token not found"))?;
        self.prolong(&token, Some(text), secs(asked.increment), call)
            .await
    }

    async fn renew_accessor(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (token, increment) = self.of_accessor(call).await?;
        self.prolong(&token, None, increment, call).await
    }

    async fn prolong(
        &self,
        token: &Token,
        text: Option<Secret<String>>,
        increment: u64,
        call: &Call<'_>,
    ) -> Result<Reply, Error> {
        if token.expires.is_none() {
            return Err(Error::bad("invalid lease ID"));
        }
        if !token.renewable {
            return Err(Error::bad("lease is not renewable"));
        }
        let granted = self.renewal(token, increment, call.now).await?;
        // The bound was lowered below its age; to renew it must not end it.
        if granted.ttl == 0 {
            return Err(Error::bad("past the max TTL, cannot renew"));
        }
        let renewed = self
            .0
            .tokens
            .update(&token.hash, |t| {
                if !t.alive(call.now) && !t.spent {
                    return Err(Error::bad("token not found"));
                }
                t.renew(&granted, call.now);
                Ok(true)
            })
            .await?
            .ok_or_else(|| Error::bad("token not found"))?;
        let warnings = granted.warning.clone().into_iter().collect();
        Ok(Reply {
            warnings,
            ..Reply::auth(reply::auth(&renewed, text, granted.ttl))
        })
    }

    /// By the rules of whoever made the token: its auth method, or `auth/token/`.
    async fn renewal(&self, token: &Token, increment: u64, now: Time) -> Result<Granted, Error> {
        let vault = &*self.0;
        let Some(accessor) = &token.mount else {
            let limits = vault.mounts.limits("auth/token/", &vault.settings);
            return Ok(token.renewal(limits, increment, now));
        };
        let gone = || Error::bad("the auth method that made the token is gone");
        let mount = vault.mounts.by_accessor(accessor).ok_or_else(gone)?;
        let Target::Engine { engine, .. } = &mount.target else {
            return Err(gone());
        };
        let params = engine.renew(token).await?;
        Ok(login::renewal(
            vault,
            &mount.record,
            &params,
            token,
            increment,
            now,
        ))
    }

    async fn revoke_self(&self, call: &Call<'_>) -> Result<Reply, Error> {
        self.0.tokens.revoke(&call.caller.token()?.hash).await?;
        Ok(Reply::none())
    }

    async fn revoke(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let text = missing_token(call.decode::<Named>()?.token)?;
        self.0
            .tokens
            .revoke(&self.0.tokens.hash(text.expose()))
            .await?;
        Ok(Reply::none())
    }

    async fn revoke_orphan(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let text = missing_token(call.decode::<Named>()?.token)?;
        if !self
            .0
            .tokens
            .revoke_orphan(&self.0.tokens.hash(text.expose()))
            .await?
        {
            return Err(Error::bad("token to revoke not found"));
        }
        Ok(Reply::none())
    }

    async fn revoke_accessor(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let accessor = missing_accessor(call.decode::<ByAccessor>()?.accessor)?;
        // A dead one too: its revocation may have failed halfway, and is asked for again.
        match self.0.tokens.named_by(&accessor).await? {
            Some(hash) => {
                self.0.tokens.revoke(&hash).await?;
                Ok(Reply::none())
            }
            None => Ok(Reply::none().warn("No token found with this accessor")),
        }
    }

    async fn accessors(&self, _: &Call<'_>) -> Result<Reply, Error> {
        answer::keys(self.0.tokens.accessors().await?)
    }

    async fn of_accessor(&self, call: &Call<'_>) -> Result<(Arc<Token>, u64), Error> {
        let asked = call.decode::<ByAccessor>()?;
        let accessor = missing_accessor(asked.accessor)?;
        let token = self.0.tokens.by_accessor(&accessor).await?;
        let token =
            token.ok_or_else(|| Error::bad(keyfold_api::error::multi("invalid accessor")))?;
        Ok((token, secs(asked.increment)))
    }
}

fn missing_token(text: Option<Secret<String>>) -> Result<Secret<String>, Error> {
    text.filter(|t| !t.expose().is_empty())
        .ok_or_else(|| Error::bad("missing token ID"))
}

fn missing_accessor(accessor: Option<String>) -> Result<String, Error> {
    accessor
        .filter(|a| !a.is_empty())
        .ok_or_else(|| Error::bad(keyfold_api::error::multi("missing accessor")))
}

/// A token text of the caller's choice: what a header can carry, and without the dot that every
/// minted one has.
fn check_text(text: &str) -> Result<(), Error> {
    if text.len() > 512 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::field(
            "id",
            "must be at most 512 printable ASCII characters",
        ));
    }
    if text.contains('.') {
        return Err(Error::bad("custom token ID cannot have a '.' in the value"));
    }
    Ok(())
}

/// The policies of a new token: lower case, sorted, each once; what the parent may give.
fn choose_policies(
    asked: Vec<String>,
    no_default: bool,
    parent: &Token,
    privileged: bool,
) -> Result<Vec<String>, Error> {
    let asked = policies::names(asked);
    if let Some(name) = asked.iter().find(|name| policies::is_unassignable(name)) {
        return Err(Error::bad(format!("cannot assign policy \"{name}\"")));
    }
    // `default` comes by itself only where that gives nothing that the parent has not.
    let parents = parent.policies.iter().any(|p| p == "default");
    let adds_default = !no_default && !asked.is_empty() && (privileged || parents);
    let mut chosen = if asked.is_empty() {
        parent.policies.clone()
    } else {
        asked
    };
    if !privileged && chosen.iter().any(|p| !parent.policies.contains(p)) {
        return Err(Error::bad("child policies must be subset of parent"));
    }
    if chosen.iter().any(|p| p == "root") {
        if !parent.is_root() {
            return Err(Error::bad(
                "root tokens may not be created without parent token being root",
            ));
        }
        return Ok(vec!["root".to_owned()]);
    }
    if no_default {
        chosen.retain(|p| p != "default");
    } else if adds_default {
        chosen.push("default".to_owned());
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}
