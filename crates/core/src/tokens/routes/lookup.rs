//! What is known of a token.

use super::{Named, TokenAuth};
use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::{self as answer, Reply};
use crate::tokens::reply;

impl TokenAuth {
    pub(super) async fn lookup_self(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let text = call.caller.text.as_ref().map_or("", |t| t.expose());
        reply::lookup(call.caller.token()?, text, call.now)
    }

    pub(super) async fn lookup(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let asked = call.decode::<Named>()?;
        let Some(text) = asked.token.filter(|t| !t.expose().is_empty()) else {
            return self.lookup_self(call).await;
        };
        let found = self.0.tokens.find(text.expose(), call.now).await?;
        let token = found.ok_or_else(|| Error::DeniedBecause("bad token".to_owned()))?;
        reply::lookup(&token, text.expose(), call.now)
    }

    pub(super) async fn lookup_accessor(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let (token, _) = self.of_accessor(call).await?;
        reply::lookup(&token, "", call.now)
    }

    pub(super) async fn accessors(&self, _: &Call<'_>) -> Result<Reply, Error> {
        answer::keys(self.0.tokens.accessors().await?)
    }
}
