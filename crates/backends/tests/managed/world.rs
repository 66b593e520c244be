//! A vault with a transit mount, and a client of it.

use std::sync::Arc;
use std::time::Duration;

use keyfold_backends::engines::transit;
use keyfold_backends::managed::pkcs11::Pkcs11Keys;
use keyfold_backends::storage::Memory;
use keyfold_core::audit::AuditConfig;
use keyfold_core::clock::SystemClock;
use keyfold_core::error::Error;
use keyfold_core::lifecycle::{Core, CoreConfig, SealConfig, Settings};
use keyfold_core::lockout::LockoutRules;
use keyfold_core::mounts::Kinds;
use keyfold_core::ports::fetch::Offline;
use keyfold_core::reply::Reply;
use keyfold_core::request::{Body, Op, Request};
use keyfold_secret::Secret;
use serde_json::{Value, json};

use crate::softhsm::{LABEL, PIN, library};

/// `hello`.
pub const HELLO: &str = "aGVsbG8=";

pub struct World {
    core: Arc<Core>,
    root: String,
}

impl World {
    pub async fn new() -> Self {
        let library = library().unwrap();
        let libraries = [
            ("SoftHSM", library.to_str().unwrap()),
            ("missing", "/nonexistent.so"),
        ];
        Self::of(Pkcs11Keys::new(libraries)).await
    }

    pub async fn of(managed: Pkcs11Keys) -> Self {
        let core = Core::open(CoreConfig {
            storage: Arc::new(Memory::new()),
            clock: Arc::new(SystemClock),
            kinds: Kinds {
                fetch: &Offline,
                engines: &[transit::KIND, keyfold_backends::engines::kv::KIND],
                auths: &[],
            },
            audit: AuditConfig::default(),
            managed: vec![Arc::new(managed)],
            initialize: Vec::new(),
            seals: SealConfig::default(),
            settings: Settings {
                default_lease_ttl: Duration::from_secs(3600),
                max_lease_ttl: Duration::from_secs(3600),
                api_addr: String::new(),
                version: "0",
                cluster_name: None,
                raw_storage: false,
                lockout: LockoutRules::default(),
            },
        });
        let core = core.await.unwrap();
        let vault = core.develop(None, 2).await.unwrap();
        let world = Self {
            core,
            root: vault.root_token.expose().clone(),
        };
        let mount = json!({ "type": "transit" });
        world.write("sys/mounts/transit", mount).await;
        world
    }

    pub async fn ask(&self, op: Op, path: &str, body: Value) -> Result<Reply, Error> {
        let request = Request {
            id: keyfold_core::id::uuid(),
            op,
            path: path.to_owned(),
            body: Body::new(serde_json::to_vec(&body).unwrap()),
            token: Some(Secret::new(self.root.clone())),
            remote: None,
            headers: Vec::new(),
            wrap_ttl: None,
            index: None,
        };
        self.core.handle(request).await
    }

    /// A write that has to succeed: its data.
    pub async fn write(&self, path: &str, body: Value) -> Value {
        let reply = self.ask(Op::Write, path, body.clone()).await;
        data(reply.unwrap_or_else(|error| panic!("{path} {body}: {error}")))
    }

    /// A write that has to be refused as the caller's mistake: its text.
    pub async fn refused(&self, path: &str, body: Value) -> String {
        match self.ask(Op::Write, path, body.clone()).await {
            Err(Error::BadRequest(text)) => text,
            Err(other) => panic!("{path} {body}: {other:?}"),
            Ok(reply) => panic!("{path} {body} was taken: {}", data(reply)),
        }
    }

    pub async fn read(&self, path: &str) -> Value {
        let reply = self.ask(Op::Read, path, json!({})).await;
        data(reply.unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    /// A managed key that its device makes when it is used first.
    pub async fn managed(&self, name: &str, mechanism: &str, more: Value) {
        let mut body = json!({
            "library": "softhsm",
            "token_label": LABEL,
            "pin": PIN,
            "key_label": name,
            "mechanism": mechanism,
            "rsa_oaep_hash": "sha1",
            "allow_generate_key": true,
            "any_mount": true,
        });
        for (member, value) in more.as_object().unwrap() {
            body[member] = value.clone();
        }
        let path = format!("sys/managed-keys/pkcs11/{name}");
        self.write(&path, body).await;
    }

    /// A transit key that lies in the token, under the name of its managed key.
    pub async fn key(&self, name: &str, mechanism: &str, more: Value) -> Value {
        self.managed(name, mechanism, more).await;
        let body = json!({ "type": "managed_key", "managed_key_name": name });
        self.write(&format!("transit/keys/{name}"), body).await
    }

    pub async fn encrypt(&self, key: &str, more: Value) -> String {
        let mut body = json!({ "plaintext": HELLO });
        for (member, value) in more.as_object().unwrap() {
            body[member] = value.clone();
        }
        let answer = self.write(&format!("transit/encrypt/{key}"), body).await;
        answer["ciphertext"].as_str().unwrap().to_owned()
    }

    pub async fn decrypt(&self, key: &str, ciphertext: &str) -> String {
        let body = json!({ "ciphertext": ciphertext });
        let answer = self.write(&format!("transit/decrypt/{key}"), body).await;
        answer["plaintext"].as_str().unwrap().to_owned()
    }
}

fn data(reply: Reply) -> Value {
    match reply.data {
        Some(json) => serde_json::from_slice(json.bytes()).unwrap(),
        None => Value::Null,
    }
}
