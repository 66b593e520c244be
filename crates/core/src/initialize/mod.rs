//! `initialize` stanzas: requests that a new vault is given once, before it serves anybody, so that
//! it comes up configured.
//!
//! ```text
//!   init ── notes sys/initialize/pending ──► first unseal: the requests, with a root token of their
//!           (same commit as the keys)        own ──► the note goes, the token is revoked ──► serving
//! ```
//!
//! A request that fails ends the unsealing with its reason, and the vault stays sealed. The note
//! keeps what was asked and answered so far, sealed like any record, so the next unseal goes on with
//! that request. Only one that a crash cut off between its answer and the note is asked twice. What
//! the requests made outlives the token that they were made with, after a crash too.

mod value;

use std::sync::Arc;

use keyfold_secret::Secret;
use serde_json::{Map, Value};

pub use self::value::{Convert, Field, Node, Source};
use self::value::{Done, Past};
use crate::audit::AuditedHeader;
use crate::barrier::View;
use crate::error::Error;
use crate::id;
use crate::lifecycle::{Core, Unsealed};
use crate::pipeline;
use crate::ports::storage::Batch;
use crate::request::{Body, Op, Request};
use crate::tokens::{Caller, Hash, NewToken, Tokens};

/// Says that the stanzas are still to be carried out.
const PENDING: &str = "initialize/pending";
/// Whose requests they are: the name of the token.
const TOKEN: &str = "initialize/token";
/// How long that token lives, seconds.
const TOKEN_TTL: u64 = 600;

/// An `initialize "name"` stanza.
pub struct Stanza {
    /// Its label.
    pub name: String,
    /// In the order of the text.
    pub requests: Vec<Step>,
}

/// A `request "name"` in it.
pub struct Step {
    /// Its label.
    pub name: String,
    /// What is asked.
    pub op: Op,
    /// Below `/v1/`.
    pub path: String,
    /// The members, an object.
    pub data: Node,
    /// Whose request it is; a root token's where absent.
    pub token: Option<Node>,
    /// Headers, an object of texts or lists of them: for the audit log, where that wants them.
    pub headers: Node,
    /// Where it is there and not true, nothing is asked.
    pub when: Option<Node>,
    /// Its failure is no reason to stop.
    pub allow_failure: bool,
}

/// Adds the note to the batch that begins a store.
pub(crate) fn note(stanzas: &[Stanza], batch: Batch) -> Result<Batch, Error> {
    if stanzas.is_empty() {
        return Ok(batch);
    }
    Ok(batch.put(PENDING, crate::barrier::json(&Past::default())?))
}

/// Ends the token of stanzas that a crash cut off. Before the first sweep, which would end what hangs
/// from it.
pub(crate) async fn settle(system: &View, tokens: &Tokens) -> Result<(), Error> {
    if let Some((left, _)) = system.read::<Hash>(TOKEN).await? {
        tokens.set_free(&left).await?;
    }
    Ok(())
}

/// Carries the stanzas out on a vault that is open and does not serve yet.
pub(crate) async fn run(
    core: &Arc<Core>,
    vault: &Arc<Unsealed>,
    stanzas: &[Stanza],
) -> Result<(), Error> {
    let Some((past, _)) = vault.system.read::<Past>(PENDING).await? else {
        return Ok(());
    };
    let root = NewToken {
        ttl: TOKEN_TTL,
        ..NewToken::root(None)
    };
    let (token, text, made) = vault.tokens.prepare(root, Batch::new())?;
    let name = crate::barrier::json(&token.hash)?;
    vault.system.commit(made.put(TOKEN, name)).await?;
    let done = steps(core, vault, stanzas, past, &text).await;
    // Tokens that the stanzas asked for live on.
    vault.tokens.set_free(&token.hash).await?;
    done?;
    let carried_out = Batch::new().delete(PENDING).delete(TOKEN);
    vault.system.commit(carried_out).await?;
    tracing::info!("the initialize stanzas are carried out");
    Ok(())
}

async fn steps(
    core: &Arc<Core>,
    vault: &Arc<Unsealed>,
    stanzas: &[Stanza],
    mut past: Past,
    root: &Secret<String>,
) -> Result<(), Error> {
    for stanza in stanzas {
        for step in &stanza.requests {
            if past.holds(&stanza.name, &step.name) {
                continue;
            }
            let done = match carry_out(core, vault, step, &past, root).await {
                Ok(done) => done,
                Err(error) if step.allow_failure => {
                    tracing::warn!(%error, stanza = %stanza.name, request = %step.name,
                        "a request of an initialize stanza failed, as it may");
                    Done::default()
                }
                Err(error) => {
                    return Err(Error::bad(format!(
                        "initialize \"{}\", request \"{}\" at {}: {error}",
                        stanza.name, step.name, step.path
                    )));
                }
            };
            past.add(&stanza.name, &step.name, done);
            let note = Batch::new().put(PENDING, crate::barrier::json(&past)?);
            vault.system.commit(note).await?;
        }
    }
    Ok(())
}

/// Makes one request, where it is wanted. One that is not is noted all the same: what it depends on
/// may change until the next try.
async fn carry_out(
    core: &Arc<Core>,
    vault: &Arc<Unsealed>,
    step: &Step,
    past: &Past,
    root: &Secret<String>,
) -> Result<Done, Error> {
    if let Some(when) = &step.when {
        let found = when.value(past).map_err(|why| format!("when: {why}"));
        let wanted = truth(&found.map_err(Error::bad)?);
        if !wanted.ok_or_else(|| Error::bad("when: not true or false"))? {
            return Ok(Done::default());
        }
    }
    let prepared = prepare(step, past, root).map_err(Error::bad)?;
    let response = ask(core, vault, step, &prepared).await?;
    Ok(Done {
        request: prepared.members,
        response,
    })
}

/// Whether a `when` can be true or false at all: what is written down is known before.
pub fn decides(when: &Node) -> bool {
    match when {
        Node::From(..) => true,
        Node::Literal(value) => truth(value).is_some(),
        Node::List(_) | Node::Object(_) => false,
    }
}

/// What is true or false, as the configuration of a server has it.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) => truth(&Value::String(number.to_string())),
        Value::String(text) => match text.trim() {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(true),
            "false" | "False" | "FALSE" | "f" | "F" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

struct Prepared {
    members: Value,
    headers: Vec<(String, Vec<String>)>,
    token: Secret<String>,
}

fn prepare(step: &Step, past: &Past, root: &Secret<String>) -> Result<Prepared, String> {
    let members = step.data.value(past)?;
    let token = match &step.token {
        None => root.expose().clone(),
        Some(node) => match node.value(past)? {
            Value::String(token) => token,
            _ => return Err("token: not a text".to_owned()),
        },
    };
    Ok(Prepared {
        members,
        headers: headers(step.headers.value(past)?)?,
        token: Secret::new(token),
    })
}

/// Names in lower case and their values.
fn headers(found: Value) -> Result<Vec<(String, Vec<String>)>, String> {
    let Value::Object(found) = found else {
        return Err("headers: not a block".to_owned());
    };
    let text = |value| match value {
        Value::String(text) => Some(text),
        _ => None,
    };
    let header = |(name, value): (String, Value)| {
        let values = match value {
            Value::Array(values) => values.into_iter().map(text).collect(),
            value => text(value).map(|text| vec![text]),
        };
        let values = values.ok_or_else(|| format!("headers: {name:?} is no text"))?;
        Ok((name.to_ascii_lowercase(), values))
    };
    found.into_iter().map(header).collect()
}

/// Those that the audit log wants.
fn audited(vault: &Unsealed, headers: &[(String, Vec<String>)]) -> Vec<AuditedHeader> {
    let Some(wanted) = vault.audit.headers() else {
        return Vec::new();
    };
    let found = headers.iter().filter_map(|(name, values)| {
        Some(AuditedHeader {
            name: name.clone(),
            hmac: wanted.get(name)?.hmac,
            values: values.clone(),
        })
    });
    found.collect()
}

async fn ask(
    core: &Arc<Core>,
    vault: &Arc<Unsealed>,
    step: &Step,
    prepared: &Prepared,
) -> Result<Value, Error> {
    let empty = prepared.members.as_object().is_none_or(Map::is_empty);
    let body = match empty {
        true => Body::empty(),
        false => Body::new(crate::barrier::json(&prepared.members)?),
    };
    let now = vault.clock.now();
    let token = vault.tokens.find(prepared.token.expose(), now).await?;
    let identity = match &token {
        Some(token) => vault.identity.of_token(token).await?,
        None => None,
    };
    let caller = Caller {
        token,
        identity,
        text: Some(Secret::new(prepared.token.expose().clone())),
        ..Caller::anonymous()
    };
    let request = Request {
        op: step.op,
        path: step.path.clone(),
        body,
        headers: audited(vault, &prepared.headers),
        ..Request::internal(id::uuid())
    };
    let reply = pipeline::serve(core, vault, request, caller).await?;
    let data = reply.data.as_ref().map(|data| data.bytes());
    let data = data.and_then(|data| serde_json::from_slice::<Value>(data).ok());
    let auth = reply.auth.as_ref().map(|auth| {
        serde_json::json!({
            "client_token": auth.client_token.expose(),
            "accessor": auth.accessor,
        })
    });
    Ok(serde_json::json!({"data": data, "auth": auth}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_true() {
        for (value, is) in [
            (json!(true), Some(true)),
            (json!("true"), Some(true)),
            (json!("1"), Some(true)),
            (json!(1), Some(true)),
            (json!(false), Some(false)),
            (json!("F"), Some(false)),
            (json!(0), Some(false)),
            (json!("perhaps"), None),
            (json!(""), None),
            (json!(null), None),
            (json!(2), None),
            (json!(["true"]), None),
        ] {
            assert_eq!(truth(&value), is, "{value}");
        }
    }

    #[test]
    fn headers_are_texts_or_lists_of_them() {
        let found = headers(json!({"X-A": "b", "x-c": ["d", "e"]})).unwrap();
        let list = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let wanted = [("x-a", &["b"][..]), ("x-c", &["d", "e"])];
        let wanted = wanted.map(|(name, values)| (name.to_owned(), list(values)));
        assert_eq!(found, wanted);
        for wrong in [json!([]), json!({"a": 1}), json!({"a": [null]})] {
            assert!(headers(wrong).unwrap_err().starts_with("headers: "));
        }
    }
}
