//! Acts by which shares or a root token are handed out, or shares are given.

use serde_json::{Value, json};

use super::State;
use crate::site::Site;
use crate::talk::{Refusal, bare, string};

pub fn init(site: &mut Site<'_>) -> Result<(), Refusal> {
    let told = site.put(
        "sys/init",
        json!({"secret_shares": 2, "secret_threshold": 2}),
    )?;
    site.shares = texts(&told["keys"]);
    site.root = string(&told, "/root_token")?;
    Ok(())
}

/// A store of which nobody has the shares is empty: nothing is lost with it.
pub fn initialised(site: &mut Site<'_>) -> Result<State, String> {
    if !site.initialised()? {
        return Ok(State::Old);
    }
    if !site.shares.is_empty() {
        site.open()?;
        site.put("sys/rotate", Value::Null)?;
    }
    Ok(State::New)
}

/// What unsealing writes is its own business.
pub fn opened(site: &mut Site<'_>) -> Result<State, String> {
    site.open()?;
    Ok(State::New)
}

/// Until the old shares are gone, which is after the answer, or the disk failed.
pub fn rekey(site: &mut Site<'_>) -> Result<(), Refusal> {
    new_shares(site, "sys/rekey", false)?;
    settled(site)
}

pub fn rotate_root(site: &mut Site<'_>) -> Result<(), Refusal> {
    new_shares(site, "sys/rotate/root", false)?;
    settled(site)
}

/// Shares that were told open the store; else the old ones do.
pub fn told(site: &mut Site<'_>) -> Result<State, String> {
    let (shares, state) = match &site.new_shares {
        Some(new) => (new.clone(), State::New),
        None => (site.shares.clone(), State::Old),
    };
    if !site.opens_with(&shares)? {
        return Err(format!("the {state:?} shares do not open it"));
    }
    // The root key that is wrapped is the keyring's.
    site.put("sys/rotate", Value::Null)?;
    Ok(state)
}

pub fn rekey_verified(site: &mut Site<'_>) -> Result<(), Refusal> {
    let nonce = new_shares(site, "sys/rekey", true)?;
    for share in site.new_shares.clone().unwrap_or_default() {
        site.put("sys/rekey/verify", json!({"key": share, "nonce": nonce}))?;
    }
    Ok(())
}

/// Either the old shares open the store, or the new ones do.
pub fn verified(site: &mut Site<'_>) -> Result<State, String> {
    let old = site.shares.clone();
    let mut state = State::Old;
    let mut open = site.opens_with(&old)?;
    if let Some(new) = site.new_shares.clone()
        && !open
    {
        state = State::New;
        open = site.opens_with(&new)?;
    }
    if !open {
        return Err("neither the old shares nor the new ones open it".to_owned());
    }
    site.put("sys/rotate", Value::Null)?;
    Ok(state)
}

pub fn generate_root(site: &mut Site<'_>) -> Result<(), Refusal> {
    let begun = bare(site.put("sys/generate-root/attempt", json!({}))?);
    let mut last = Value::Null;
    for share in site.shares.iter().take(2) {
        let body = json!({"key": share, "nonce": begun["nonce"]});
        last = bare(site.put("sys/generate-root/update", body)?);
    }
    let body = json!({"encoded_token": last["encoded_token"], "otp": begun["otp"]});
    let decoded = bare(site.put("sys/decode-token", body)?);
    site.new_token = Some(string(&decoded, "/token")?);
    Ok(())
}

/// Has new shares made, by the old ones; the nonce of their verification, if there is one.
fn new_shares(site: &mut Site<'_>, base: &str, verified: bool) -> Result<Value, Refusal> {
    let terms = json!({
        "secret_shares": 2, "secret_threshold": 2, "require_verification": verified,
    });
    let begun = bare(site.put(&format!("{base}/init"), terms)?);
    let mut last = Value::Null;
    for share in site.shares.iter().take(2) {
        let body = json!({"key": share, "nonce": begun["nonce"]});
        last = bare(site.put(&format!("{base}/update"), body)?);
    }
    site.new_shares = Some(texts(&last["keys"]));
    Ok(last["verification_nonce"].clone())
}

/// Waits until the old shares are gone.
fn settled(site: &Site<'_>) -> Result<(), Refusal> {
    let one = |site: &Site<'_>| {
        let status = site.get("sys/seal-status")?;
        Ok(status["shares_next"].is_null().then_some(()))
    };
    site.wait(one).map(drop)
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().cloned().unwrap_or_default();
    let texts = list.iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
