//! Who calls where no token is asked for, and what they bring.

use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::Deserialize;

use crate::error::Error;
use crate::lifecycle::{Insider, Unsealed};
use crate::pipeline::Question;
use crate::policy::{JsonParams, Operation};
use crate::ports::engine::Call;
use crate::request::Op;

/// A share, and the nonce of what it is given for.
#[derive(Deserialize)]
pub(super) struct Give {
    #[serde(default)]
    pub key: Option<Secret<String>>,
    #[serde(default, deserialize_with = "weak::string")]
    pub nonce: Option<String>,
}

/// The nonce of what is to end.
#[derive(Deserialize)]
pub(super) struct Cancel {
    #[serde(default, deserialize_with = "weak::string")]
    pub nonce: Option<String>,
}

/// Whether the caller came with a token that would be let in if the path asked for one.
pub(super) async fn permits(vault: &Unsealed, call: &Call<'_>) -> Result<bool, Error> {
    let Some(token) = &call.caller.token else {
        return Ok(false);
    };
    let identity = call.caller.identity.as_deref();
    let acl = vault.acl_with(token, identity).await?;
    let question = Question {
        path: call.full_path,
        operation: match call.op {
            Op::Delete => Operation::Delete,
            Op::Read => Operation::Read,
            _ => Operation::Update,
        },
        sudo: false,
        params: &JsonParams(call.body.bytes()),
        meant: None,
    };
    Ok(question.put_to(&acl).is_ok())
}

/// What the caller shows to end what others are at.
pub(super) async fn of<'a>(
    vault: &Unsealed,
    call: &Call<'_>,
    nonce: Option<&'a str>,
) -> Result<Insider<'a>, Error> {
    Ok(match permits(vault, call).await? {
        true => Insider::Token,
        false => Insider::Nonce(nonce),
    })
}
