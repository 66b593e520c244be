//! `cubbyhole/`: what a token keeps for itself. No other token can read it, the root token no more
//! than others, and it goes when the token goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::ports::engine::{Call, Engine, Route};
use crate::reply::{self, Json, Reply};
use crate::request::Op;
use crate::tokens::{Kind, RESPONSE, Token};

/// Longest path, bytes.
const MAX_PATH: usize = 16 * 1024;
const OLD_WAY: &str = "Reading from 'cubbyhole/response' is deprecated. Please use \
    sys/wrapping/unwrap to unwrap responses, as it provides additional security checks and other \
    benefits.";

/// The cubbyholes of an open vault.
pub(crate) struct Cubbyhole(pub Arc<Unsealed>);

impl Engine for Cubbyhole {
    fn routes() -> &'static [Route<Self>] {
        type Row = Route<Cubbyhole>;
        static ROUTES: &[Row] = &[
            Row::new(Op::Read, "{path...}", "Reads what is kept.", |e, c| {
                Box::pin(e.read(c))
            }),
            Row::new(Op::List, "{path...}", "Lists what is kept.", |e, c| {
                Box::pin(e.list(c))
            }),
            Row::new(Op::Write, "{path...}", "Keeps a map.", |e, c| {
                Box::pin(e.write(c))
            })
            .exists(|e, c| Box::pin(e.exists(c))),
            Row::new(Op::Delete, "{path...}", "Drops what is kept.", |e, c| {
                Box::pin(e.delete(c))
            }),
        ];
        ROUTES
    }
}

impl Cubbyhole {
    async fn read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let token = owner(call)?;
        let path = path(call)?;
        if token.is_wrapping() && path == RESPONSE {
            return self.unwrap(token).await;
        }
        let kept = self.0.tokens.kept(&token.hash, path).await?;
        let kept = kept.ok_or(Error::NotFound)?;
        Ok(Reply::raw(Json::raw(kept.into_inner())))
    }

    /// The answer that a wrapping token keeps, as a text. It can be had once, in this way too.
    async fn unwrap(&self, token: &Token) -> Result<Reply, Error> {
        #[derive(Serialize)]
        struct Wrapped<'a> {
            response: &'a str,
        }
        let answer = self.0.tokens.unwrap(&token.hash).await?;
        let answer = answer.ok_or(Error::NotFound)?;
        let response = std::str::from_utf8(answer.expose())
            .map_err(|_| Error::Bug("a wrapped answer is no text"))?;
        Ok(Reply::data(&Wrapped { response })?.warn(OLD_WAY))
    }

    async fn exists(&self, call: &Call<'_>) -> Result<bool, Error> {
        match (owner(call), path(call)) {
            (Ok(token), Ok(path)) => {
                let kept = self.0.tokens.kept(&token.hash, path).await?;
                Ok(kept.is_some())
            }
            _ => Ok(false),
        }
    }

    async fn write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let token = owner(call)?;
        let path = path(call)?;
        let members = call.decode::<BTreeMap<String, Box<RawValue>>>()?;
        if members.is_empty() {
            return Err(Error::bad(keyfold_api::error::multi("missing data fields")));
        }
        let value = Json::of(&members)?;
        let kept = self.0.tokens.keep(&token.hash, path, value.bytes());
        match kept.await? {
            true => Ok(Reply::none()),
            false => {
                Ok(Reply::none().warn("the token ends with this request, so nothing was kept"))
            }
        }
    }

    async fn delete(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let token = owner(call)?;
        self.0.tokens.drop_kept(&token.hash, path(call)?).await?;
        Ok(Reply::none())
    }

    async fn list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let token = owner(call)?;
        let folder = match call.param("path").trim_end_matches('/') {
            "" => String::new(),
            path if path.len() > MAX_PATH => return Err(Error::NotFound),
            path => format!("{path}/"),
        };
        let page = self.0.tokens.list_kept(&token.hash, &folder).await?;
        reply::keys(page.names)
    }
}

/// Whose cubbyhole it is. A batch token has no record, so nothing would ever go with it.
fn owner<'a>(call: &'a Call<'_>) -> Result<&'a Token, Error> {
    let token = call.caller.token()?;
    match token.kind {
        Kind::Service => Ok(token),
        Kind::Batch => Err(Error::bad(
            "cubbyhole operations are only supported by 'service' type tokens",
        )),
    }
}

fn path<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    match call.param("path") {
        "" => Err(Error::bad(keyfold_api::error::multi("missing path"))),
        path if path.ends_with('/') => Err(Error::NotFound),
        path if path.len() > MAX_PATH => Err(Error::bad(format!(
            "the path is longer than {MAX_PATH} bytes"
        ))),
        path => Ok(path),
    }
}
