//! What is known of a token.

use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::{Deserialize, Deserializer};

use super::TokenAuth;
use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::{self as answer, Reply};
use crate::tokens::{Token, reply};

#[derive(Deserialize)]
struct Asked {
    #[serde(default, deserialize_with = "named")]
    token: Whose,
}

/// Whose token is asked for.
#[derive(Default)]
enum Whose {
    /// Nobody's in particular: the caller's own.
    #[default]
    Own,
    /// One that was to be named and is not: the caller's own would be the wrong answer.
    Null,
    /// That of a text.
    Of(Secret<String>),
}

fn named<'de, D: Deserializer<'de>>(from: D) -> Result<Whose, D::Error> {
    Ok(match weak::secret_string(from)? {
        None => Whose::Null,
        Some(text) if text.expose().is_empty() => Whose::Own,
        Some(text) => Whose::Of(text),
    })
}

impl TokenAuth {
    pub(super) async fn lookup_self(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let text = call.caller.text.as_ref().map_or("", |t| t.expose());
        self.told(call.caller.token()?, text, call).await
    }

    pub(super) async fn lookup(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let text = match call.decode::<Asked>()?.token {
            Whose::Of(text) => text,
            Whose::Own => return self.lookup_self(call).await,
            Whose::Null => return Err(Error::bad("missing token ID")),
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
