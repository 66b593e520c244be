//! Whether transit keys work.

use std::sync::Arc;

use keyfold_api::base64;
use keyfold_core::request::Op;
use keyfold_core::tokens::NewToken;
use keyfold_core::{Core, Error};
use keyfold_secret::Secret;
use serde::Serialize;
use serde_json::{Value, json};

use super::{ask, value};

/// What is encrypted.
const PROBE: &[u8] = b"a drill";

/// How a key did.
#[derive(Debug, Serialize)]
pub struct KeyProbe {
    /// Its path.
    pub path: String,
    /// It decrypted what it encrypted.
    pub ok: bool,
    /// What was seen.
    pub remark: String,
}

/// Has each key encrypt and decrypt something, so many of each mount at most.
pub async fn probe(core: &Arc<Core>, most: usize) -> Result<Vec<KeyProbe>, Error> {
    let vault = core.unsealed()?;
    let table = vault.mounts.table();
    let mounts = table.sorted();
    let transits = mounts.iter().filter(|mount| mount.record.kind == "transit");
    let paths: Vec<_> = transits.map(|mount| mount.record.path.clone()).collect();
    // In the sandbox's store, with which it goes.
    let (_, token) = vault.tokens.create(NewToken::root(None)).await?;
    let mut probes = Vec::new();
    for mount in paths {
        let listed = json!({"limit": most});
        let names = match ask(
            core,
            Some(&token),
            Op::List,
            &format!("{mount}keys"),
            listed,
        )
        .await
        {
            Ok(names) => value(&names),
            Err(Error::NotFound) => continue,
            Err(error) => return Err(error),
        };
        let names = names.get("keys").and_then(Value::as_array);
        for name in names.into_iter().flatten().filter_map(Value::as_str) {
            let went = one(core, &token, &mount, name).await;
            let (ok, remark) = match went {
                Ok(remark) => (true, remark.to_owned()),
                Err(error) => (false, error.to_string()),
            };
            let path = format!("{mount}keys/{name}");
            probes.push(KeyProbe { path, ok, remark });
        }
    }
    Ok(probes)
}

async fn one(
    core: &Arc<Core>,
    token: &Secret<String>,
    mount: &str,
    name: &str,
) -> Result<&'static str, Error> {
    let token = Some(token);
    let path = |verb: &str| format!("{mount}{verb}/{name}");
    let key = value(&ask(core, token, Op::Read, &path("keys"), Value::Null).await?);
    let is = |member: &str| key.get(member).and_then(Value::as_bool) == Some(true);
    if !is("supports_encryption") || is("soft_deleted") {
        return Ok("does not encrypt");
    }
    let plaintext = base64::encode(PROBE);
    let mut body = json!({"plaintext": plaintext});
    let context = is("derived").then(|| json!(plaintext));
    if let (Some(context), Some(members)) = (&context, body.as_object_mut()) {
        members.insert("context".to_owned(), context.clone());
    }
    let sealed = value(&ask(core, token, Op::Write, &path("encrypt"), body).await?);
    let mut body = json!({"ciphertext": sealed.get("ciphertext")});
    if let (Some(context), Some(members)) = (context, body.as_object_mut()) {
        members.insert("context".to_owned(), context);
    }
    let opened = value(&ask(core, token, Op::Write, &path("decrypt"), body).await?);
    match opened.get("plaintext").and_then(Value::as_str) == Some(plaintext.as_str()) {
        true => Ok("encrypts and decrypts"),
        false => Err(Error::bad("it decrypts to something else")),
    }
}
