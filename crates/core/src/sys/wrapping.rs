//! `sys/wrapping/`: keeping something under a wrapping token, and getting it back.
//!
//! The pipeline has checked before that the token in question is a live wrapping token.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Row, System};
use crate::error::Error;
use crate::ports::engine::Call;
use crate::reply::{Json, Reply};
use crate::request::Op;
use crate::tokens::Token;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(Op::Write, "wrapping/wrap", "Wraps what is sent.", |s, c| {
            Box::pin(s.wrap(c))
        }),
        Row::new(
            Op::Write,
            "wrapping/unwrap",
            "Unwraps an answer, once.",
            |s, c| Box::pin(s.unwrap(c)),
        ),
        Row::new(
            Op::Write,
            "wrapping/rewrap",
            "Moves an answer to a fresh token.",
            |s, c| Box::pin(s.rewrap(c)),
        ),
        Row::new(
            Op::Write,
            "wrapping/lookup",
            "Describes a wrapping token.",
            |s, c| Box::pin(s.wrapping_lookup(c)),
        )
        .open(),
        Row::new(
            Op::Read,
            "wrapping/lookup",
            "Describes the caller's wrapping token.",
            |s, c| Box::pin(s.wrapping_lookup(c)),
        )
        .open(),
    ]
}

#[derive(Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "weak::secret_string")]
    token: Option<Secret<String>>,
}

#[derive(Serialize)]
struct Described<'a> {
    creation_path: &'a str,
    creation_time: String,
    creation_ttl: u64,
}

/// What is asked about is no wrapping token, or not any more.
pub(crate) fn not_wrapping() -> Error {
    Error::bad("wrapping token is not valid or does not exist")
}

impl System {
    async fn wrap(&self, call: &Call<'_>) -> Result<Reply, Error> {
        if call.wrap_ttl.is_none() {
            return Err(Error::bad("endpoint requires response wrapping to be used"));
        }
        let members = call.decode::<BTreeMap<String, Box<RawValue>>>()?;
        Reply::data(&members)
    }

    async fn unwrap(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let token = self.wrapping_token(call).await?;
        let answer = self.vault.tokens.unwrap(&token.hash).await?;
        let answer = answer.ok_or_else(not_wrapping)?;
        Ok(Reply::exact(Json::raw(answer.into_inner())))
    }

    async fn rewrap(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let token = self.wrapping_token(call).await?;
        let moved = self.vault.tokens.rewrap(&token.hash).await?;
        Ok(Reply::wrapped(moved.ok_or_else(not_wrapping)?))
    }

    async fn wrapping_lookup(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let token = self.wrapping_token(call).await?;
        Reply::data(&Described {
            creation_path: &token.path,
            creation_time: token.created.rfc3339(),
            creation_ttl: token.creation_ttl,
        })
    }

    /// The one that the body names, else the caller's own.
    async fn wrapping_token(&self, call: &Call<'_>) -> Result<Arc<Token>, Error> {
        let named = call.decode::<Named>()?.token;
        let token = match named {
            Some(text) => self.vault.tokens.find(text.expose(), call.now).await?,
            None => call.caller.token.clone(),
        };
        token.filter(|t| t.is_wrapping()).ok_or_else(not_wrapping)
    }
}
