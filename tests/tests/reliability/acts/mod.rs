//! What is done when the disk fails, and how one sees afterwards whether it was done.

mod shares;
mod store;

use serde_json::{Value, json};

use crate::prepared::{Base, MANY, POLICY};
use crate::site::Site;
use crate::talk::{Refusal, same, string};

/// Whether an act was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Old,
    New,
}

/// An operation that is cut off.
pub struct Act {
    /// The first column of the table.
    pub name: &'static str,
    pub base: Base,
    /// Whether it is for a store that was just initialised.
    pub begins: bool,
    /// Whether the server is open when it begins.
    pub open: bool,
    /// HCL that it needs.
    pub config: &'static str,
    /// Whether it goes on by itself after its answer, and after a restart.
    pub goes_on: bool,
    /// How many deks it makes or destroys, where they are counted.
    pub deks: Option<isize>,
    /// `Ok` when the caller was told that it was done.
    pub perform: fn(&mut Site<'_>) -> Result<(), Refusal>,
    /// Opens the server, if it can be, and looks. An error for what must not be.
    pub state: fn(&mut Site<'_>) -> Result<State, String>,
}

impl Act {
    const fn new(
        name: &'static str,
        perform: fn(&mut Site<'_>) -> Result<(), Refusal>,
        state: fn(&mut Site<'_>) -> Result<State, String>,
    ) -> Self {
        Self {
            name,
            base: Base::Filled,
            begins: false,
            open: true,
            config: "",
            goes_on: false,
            deks: None,
            perform,
            state,
        }
    }
}

const SEAL: &str = "seal \"static\" \"file\" {\n  current_key_id = \"a\"\n  \
                    current_key = \"file://${dir}/seal.key\"\n}";
const NEW_POLICY: &str = "path \"notes/*\" { capabilities = [\"list\"] }";
const DEK: &str = "sys/mounts/many/rotate-dek";

/// In the order of the table's rows.
pub static ACTS: [Act; 18] = [
    Act {
        base: Base::Empty,
        open: false,
        ..Act::new("init", shares::init, shares::initialised)
    },
    Act {
        base: Base::Empty,
        begins: true,
        open: false,
        ..Act::new("unseal", |site| site.open(), shares::opened)
    },
    Act {
        deks: Some(1),
        ..Act::new("mount", mount, mounted)
    },
    Act {
        deks: Some(-1),
        ..Act::new("delete of a mount", unmount, unmounted)
    },
    Act::new("token creation", make_token, token_made),
    Act::new("KV write", write, written),
    Act::new("policy write", change_policy, policy_changed),
    Act::new("rotate", rotate, rotated),
    Act::new("rotate/config", configure, configured),
    Act {
        goes_on: true,
        deks: Some(0),
        ..Act::new("rotate-dek", rotate_dek, dek_rotated)
    },
    Act {
        goes_on: true,
        ..Act::new("rekey", shares::rekey, shares::told)
    },
    Act::new(
        "rekey with verification",
        shares::rekey_verified,
        shares::verified,
    ),
    Act {
        goes_on: true,
        ..Act::new("root rotation", shares::rotate_root, shares::told)
    },
    Act::new("generate-root", shares::generate_root, token_made),
    Act {
        open: false,
        config: SEAL,
        goes_on: true,
        ..Act::new("seal added at a restart", add_seal, seal_added)
    },
    Act {
        base: Base::Empty,
        begins: true,
        ..Act::new("snapshot save", store::save, store::saved)
    },
    Act::new(
        "snapshot restore, running server",
        store::restore,
        store::restored,
    ),
    Act {
        base: Base::Empty,
        open: false,
        ..Act::new(
            "snapshot restore, empty server",
            store::restore,
            store::begun,
        )
    },
];

pub use shares::init as begin;

fn mount(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.put("sys/mounts/more", json!({"type": "kv"})).map(drop)
}

fn mounted(site: &mut Site<'_>) -> Result<State, String> {
    site.open()?;
    if site.get("sys/mounts")?.get("more/").is_none() {
        return Ok(State::Old);
    }
    site.put("more/x", json!({"v": "new"}))?;
    same(
        "the record",
        &site.get("more/x")?["data"]["v"],
        &json!("new"),
    )?;
    Ok(State::New)
}

fn unmount(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.call(&site.root, "DELETE", "sys/mounts/spare", Value::Null)
        .map(drop)
}

fn unmounted(site: &mut Site<'_>) -> Result<State, String> {
    site.open()?;
    if site.get("sys/mounts")?.get("spare/").is_some() {
        same(
            "the record",
            &site.get("spare/x")?["data"]["v"],
            &json!("old"),
        )?;
        return Ok(State::Old);
    }
    match site.found("spare/x")? {
        None => Ok(State::New),
        Some(_) => Err("a record of the mount is read, and there is no mount".to_owned()),
    }
}

fn make_token(site: &mut Site<'_>) -> Result<(), Refusal> {
    let made = site.put("auth/token/create", json!({"policies": ["reader"]}))?;
    site.new_token = Some(string(&made, "/auth/client_token")?);
    Ok(())
}

/// Of a token that nobody was told of there is an accessor.
fn token_made(site: &mut Site<'_>) -> Result<State, String> {
    site.open()?;
    if let Some(token) = &site.new_token {
        site.call(token, "GET", "auth/token/lookup-self", Value::Null)?;
    }
    let listed = site.call(&site.root, "LIST", "auth/token/accessors", Value::Null)?;
    match listed["data"]["keys"].as_array().map(Vec::len) {
        Some(2) => Ok(State::Old),
        Some(3) => Ok(State::New),
        other => Err(format!("there are {other:?} tokens")),
    }
}

fn write(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.put("notes/data/changing", json!({"data": {"v": "new"}}))
        .map(drop)
}

fn written(site: &mut Site<'_>) -> Result<State, String> {
    site.open()?;
    let first = site.get("notes/data/changing?version=1")?;
    same(
        "the first version",
        &first["data"]["data"]["v"],
        &json!("old"),
    )?;
    let newest = site.get("notes/data/changing")?;
    let newest = &newest["data"];
    match (
        newest["metadata"]["version"].as_u64(),
        newest["data"]["v"].as_str(),
    ) {
        (Some(1), Some("old")) => Ok(State::Old),
        (Some(2), Some("new")) => Ok(State::New),
        _ => Err(format!("the secret is {newest}")),
    }
}

fn change_policy(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.put("sys/policies/acl/reader", json!({"policy": NEW_POLICY}))
        .map(drop)
}

fn policy_changed(site: &mut Site<'_>) -> Result<State, String> {
    site.open()?;
    match string(&site.get("sys/policies/acl/reader")?, "/data/policy")? {
        text if text == POLICY => Ok(State::Old),
        text if text == NEW_POLICY => Ok(State::New),
        text => Err(format!("the policy is {text}")),
    }
}

fn rotate(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.put("sys/rotate", Value::Null).map(drop)
}

fn rotated(site: &mut Site<'_>) -> Result<State, String> {
    site.open()?;
    match site.get("sys/key-status")?["term"].as_u64() {
        Some(1) => Ok(State::Old),
        Some(2) => Ok(State::New),
        other => Err(format!("the term is {other:?}")),
    }
}

fn configure(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.put("sys/rotate/config", json!({"interval": "800h"}))
        .map(drop)
}

fn configured(site: &mut Site<'_>) -> Result<State, String> {
    site.open()?;
    let config = site.get("sys/rotate/config")?;
    match &config["data"]["interval"] {
        Value::String(text) if text == "800h0m0s" => Ok(State::New),
        Value::Number(none) if none.as_u64() == Some(0) => Ok(State::Old),
        other => Err(format!("the interval is {other}")),
    }
}

/// To its end, or to the disk's.
fn rotate_dek(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.put(DEK, Value::Null)?;
    site.acknowledged = true;
    site.wait(dek_done).map(drop)
}

fn dek_rotated(site: &mut Site<'_>) -> Result<State, String> {
    site.open()?;
    let idle = site.get(DEK)?["data"]["state"] == "idle";
    // After a failure it waits for some seconds; started again it goes on at once.
    if !idle && site.restarted && site.wait_for(dek_done)?.is_none() {
        return Err(format!("the rotation does not end: {}", site.get(DEK)?));
    }
    for n in 0..MANY {
        let record = site.get(&format!("many/{n}"))?;
        same("a record", &record["data"]["v"], &json!(n))?;
    }
    Ok(if idle { State::Old } else { State::New })
}

fn dek_done(site: &Site<'_>) -> Result<Option<()>, Refusal> {
    let done = site.get(DEK)?["data"]["state"] == "done";
    Ok(done.then_some(()))
}

/// The next unseal is the moment at which the root key is at hand.
fn add_seal(site: &mut Site<'_>) -> Result<(), Refusal> {
    site.open()?;
    let wrapped = site.wait(|site| Ok(wrapped(site)?.then_some(())))?;
    wrapped.ok_or(Refusal::Unfinished)
}

fn seal_added(site: &mut Site<'_>) -> Result<State, String> {
    if !site.restarted {
        // What failed is tried again after a pause.
        site.open()?;
        return Ok(if wrapped(site)? {
            State::New
        } else {
            State::Old
        });
    }
    if wrapped(site)? {
        let open = site.wait_for(|site| Ok((!site.sealed()?).then_some(())))?;
        let stays = || "the seal has a wrap, and does not open the server".to_owned();
        return open.map(|()| State::New).ok_or_else(stays);
    }
    site.open()?;
    let wrapped = site.wait_for(|site| Ok(wrapped(site)?.then_some(())))?;
    let never = || "the seal gets no wrap".to_owned();
    wrapped.map(|()| State::Old).ok_or_else(never)
}

/// What the configuration says of seals is what the store has.
fn wrapped(site: &Site<'_>) -> Result<bool, Refusal> {
    Ok(site.get("sys/seal-status")?["migration"] == Value::Bool(false))
}
