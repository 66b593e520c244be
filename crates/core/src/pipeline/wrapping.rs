//! Response wrapping: the check of a wrapping token before it is used, and the answer that is kept
//! instead of going out.

use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::Deserialize;

use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::reply::Reply;
use crate::request::{Op, Request};
use crate::tokens::{Caller, NewWrapping};

const PATHS: &str = "sys/wrapping/";

#[derive(Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "weak::secret_string")]
    token: Option<Secret<String>>,
}

/// A call about a wrapping token that is none, or was used before, is told that, whoever asks:
/// before the policies, so that who holds a dead one learns that it is dead.
pub(super) async fn check(
    vault: &Unsealed,
    request: &Request,
    caller: &Caller,
) -> Result<(), Error> {
    if !matches!(
        request.path.strip_prefix(PATHS),
        Some("unwrap" | "lookup" | "rewrap")
    ) || request.op == Op::Help
    {
        return Ok(());
    }
    let empty =
        |what: &str| Error::DeniedBecause(format!("error validating wrapping token: {what}"));
    let named = request.body.decode::<Named>()?.value.token;
    let text = match &named {
        Some(text) if text.expose().is_empty() => return Err(empty("empty token in request body")),
        Some(text) => text,
        None => caller
            .text
            .as_ref()
            .ok_or_else(|| empty("token is empty"))?,
    };
    let token = Box::pin(vault.tokens.find(text.expose(), vault.clock.now())).await?;
    match token {
        Some(token) if token.is_wrapping() => Ok(()),
        _ => Err(crate::sys::not_wrapping()),
    }
}

/// Keeps an answer that was asked for wrapped. What is no success, or says nothing, is not wrapped.
pub(super) async fn wrapped(
    vault: &Unsealed,
    request: &Request,
    reply: Reply,
) -> Result<Reply, Error> {
    let ttl = request.wrap_ttl.and_then(|ttl| u64::try_from(ttl.0).ok());
    let Some(ttl @ 1..) = ttl else {
        return Ok(reply);
    };
    let refused = reply.status.is_some_and(|s| !(200..300).contains(&s));
    if refused || reply.is_empty() || reply.wrap.is_some() || request.op == Op::Help {
        return Ok(reply);
    }
    let mut answer = Secret::new(reply.body(&request.id));
    if answer.expose().ends_with(b"\n") {
        answer.expose_mut().pop();
    }
    let path = match request.op {
        Op::List if !request.path.ends_with('/') => format!("{}/", request.path),
        _ => request.path.clone(),
    };
    let new = NewWrapping {
        path,
        ttl,
        answer,
        accessor: reply.accessor.or(reply.auth.map(|auth| auth.accessor)),
    };
    Ok(Reply::wrapped(Box::pin(vault.tokens.wrap(new)).await?))
}
