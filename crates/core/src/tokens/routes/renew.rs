//! A longer life for a token, within what whoever made it allows.

use keyfold_secret::Secret;

use super::{Named, TokenAuth, missing_token, secs};
use crate::clock::Time;
use crate::error::Error;
use crate::mounts::Target;
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::tokens::life::Granted;
use crate::tokens::record::{Kind, Token};
use crate::tokens::{login, reply};

impl TokenAuth {
    pub(super) async fn renew_self(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Named>()?;
        let text = call
            .caller
            .text
            .as_ref()
            .map(|t| Secret::new(t.expose().clone()));
        self.prolong(call.caller.token()?, text, secs(asked.increment), call)
            .await
    }

    pub(super) async fn renew(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Named>()?;
        let text = missing_token(asked.token)?;
        let found = self.0.tokens.find(text.expose(), call.now).await?;
        let token = found.ok_or_else(|| Error::bad("token not found"))?;
        self.prolong(&token, Some(text), secs(asked.increment), call)
            .await
    }

    pub(super) async fn renew_accessor(&self, call: &Call<'_>) -> Result<Reply, Error> {
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
        if token.kind == Kind::Batch {
            return Err(Error::bad("batch tokens cannot be renewed"));
        }
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

    /// By the rules of whoever made the token: its auth method, its role, or `auth/token/`.
    async fn renewal(&self, token: &Token, increment: u64, now: Time) -> Result<Granted, Error> {
        let vault = &*self.0;
        let Some(accessor) = &token.mount else {
            let limits = vault.mounts.limits("auth/token/", &vault.settings);
            let Some(name) = &token.role else {
                return Ok(token.renewal(limits, None, increment, now));
            };
            let role = vault.tokens.role(name).await?.ok_or_else(|| {
                Error::bad(format!(
                    "the token's role \"{name}\" is gone: it cannot be renewed"
                ))
            })?;
            return Ok(token.renewal(limits, Some(&role), increment, now));
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
}
