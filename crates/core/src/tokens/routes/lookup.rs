//! What is known of a token.

use super::{Named, TokenAuth};
use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::{self as answer, Reply};
use crate::tokens::{Token, reply};

impl TokenAuth {
    pub(super) async fn lookup_self(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let text = call.caller.text.as_ref().map_or("", |t| t.expose());
        self.told(call.caller.token()?, text, call).await
    }

    pub(super) async fn lookup(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Named>()?;
        let Some(text) = asked.token.filter(|t| !t.expose().is_empty()) else {
            return self.lookup_self(call).await;
        };
        let found = self.0.tokens.find(text.expose(), call.now).await?;
        let token = found.ok_or_else(|| Error::DeniedBecause("bad token".to_owned()))?;
        self.told(&token, text.expose(), call).await
    }

    pub(super) async fn lookup_accessor(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (token, _) = self.of_accessor(call).await?;
        self.told(&token, "", call).await
    }

    /// With what its entity adds to its policies.
    async fn told(&self, token: &Token, id: &str, call: &Call<'_>) -> Result<Reply, Error> {
        let standing = match &token.entity {
            Some(entity) => self.0.identity.standing(entity).await?,
            None => None,
        };
        let policies = standing.as_ref().map_or(&[][..], |s| &s.policies);
        reply::lookup(token, policies, id, call.now)
    }

    pub(super) async fn accessors(&self, _: &Call<'_>) -> Result<Reply, Error> {
        answer::keys(self.0.tokens.accessors().await?)
    }
}
