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
use crate::wiring::NO_PRIVATE_HALF;

/// What is encrypted.
const PROBE: &[u8] = b"a drill";

/// How a key did.
#[derive(Debug, Serialize)]
pub struct KeyProbe {
    /// Its path.
    pub path: String,
    /// It decrypted what it encrypted, or verified what it signed; or there was nothing to try.
    pub ok: bool,
    /// It was tried.
    pub tried: bool,
    /// What was seen.
    pub remark: String,
}

/// What a key showed.
enum Shown {
    /// What it can do.
    Works(&'static str),
    /// Why it was not tried, or not to the end.
    Untried(&'static str),
}

/// Has each key encrypt and decrypt, or sign and verify something, so many of each mount at most.
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
            let (ok, tried, remark) = match went {
                Ok(Shown::Works(remark)) => (true, true, remark.to_owned()),
                Ok(Shown::Untried(remark)) => (true, false, remark.to_owned()),
                // It does what it ever did.
                Err(Error::BadRequest(text)) if text == NO_PRIVATE_HALF => (true, false, text),
                Err(error) => (false, true, error.to_string()),
            };
            probes.push(KeyProbe {
                path: format!("{mount}keys/{name}"),
                ok,
                tried,
                remark,
            });
        }
    }
    Ok(probes)
}

async fn one(
    core: &Arc<Core>,
    token: &Secret<String>,
    mount: &str,
    name: &str,
) -> Result<Shown, Error> {
    let path = |verb: &str| format!("{mount}{verb}/{name}");
    let key = value(&ask(core, Some(token), Op::Read, &path("keys"), Value::Null).await?);
    let is = |member: &str| key.get(member).and_then(Value::as_bool) == Some(true);
    let probe = base64::encode(PROBE);
    let context = is("derived").then(|| json!(probe));
    let call = async |verb: &str, mut body: Value| {
        if let (Some(context), Some(members)) = (&context, body.as_object_mut()) {
            members.insert("context".to_owned(), context.clone());
        }
        Ok::<_, Error>(value(
            &ask(core, Some(token), Op::Write, &path(verb), body).await?,
        ))
    };
    if is("soft_deleted") {
        return Ok(Shown::Untried("is soft-deleted"));
    }
    // A sandbox has no business with a device.
    if key.get("managed_keys").is_some() {
        return Ok(Shown::Untried("its secret part lies in a device"));
    }
    let newest = key.get("latest_version").map(Value::to_string);
    let marked = key.get("compromised").zip(newest);
    if marked.is_some_and(|(marks, newest)| marks.get(newest).is_some()) {
        return Ok(Shown::Untried("its newest version is compromised"));
    }
    if is("supports_encryption") {
        let sealed = call("encrypt", json!({"plaintext": probe})).await?;
        let body = json!({"ciphertext": sealed.get("ciphertext")});
        let opened = call("decrypt", body).await?;
        return match opened.get("plaintext") == Some(&json!(probe)) {
            true => Ok(Shown::Works("encrypts and decrypts")),
            false => Err(Error::bad("it decrypts to something else")),
        };
    }
    if is("supports_signing") {
        let signed = call("sign", json!({"input": probe})).await?;
        let body = json!({"input": probe, "signature": signed.get("signature")});
        let verified = call("verify", body).await?;
        return match verified.get("valid") == Some(&json!(true)) {
            true => Ok(Shown::Works("signs and verifies")),
            false => Err(Error::bad("it does not verify what it signs")),
        };
    }
    Ok(Shown::Untried("neither encrypts nor signs"))
}
