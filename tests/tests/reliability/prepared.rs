//! The stores that are copied for each point, made once.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_tests::server::Keys;
use keyfold_tests::{Binary, Launch, TestServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::deks;
use crate::talk::{call, request, string, text};
use crate::{PATIENCE, PAUSE};

/// What the secret is that must never go.
pub const KEPT: &str = "what must never go";
/// The first text of the policy that an act changes.
pub const POLICY: &str = "path \"notes/*\" { capabilities = [\"read\"] }";
/// Records in the mount whose dek is rotated.
pub const MANY: usize = 20;

/// What a store holds before an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// A store that was not initialised.
    Empty,
    /// One that [`Prepared::new`] has filled.
    Filled,
}

/// Two stores to copy, and what opens the filled one.
pub struct Prepared {
    pub binary: Binary,
    empty: TempDir,
    filled: TempDir,
    pub keys: Keys,
    /// Of a policy of its own.
    pub token: String,
    pub ciphertext: String,
    /// Taken before the record `notes/later` was written.
    pub snapshot: Vec<u8>,
    /// Deks of the filled one.
    pub deks: usize,
}

impl Prepared {
    pub fn new(binary: Binary) -> Result<Self, String> {
        let mut prepared = Self {
            binary,
            empty: TempDir::new().map_err(text)?,
            filled: TempDir::new().map_err(text)?,
            keys: Keys {
                shares: Vec::new(),
                root_token: String::new(),
            },
            token: String::new(),
            ciphertext: String::new(),
            snapshot: Vec::new(),
            deks: 0,
        };
        let server = prepared.launch("").start_in(prepared.empty.path());
        stop(server.map_err(text)?)?;
        let server = prepared.launch("").start_in(prepared.filled.path());
        let server = server.map_err(text)?;
        prepared.fill(&server)?;
        stop(server)?;
        prepared.deks = deks::count(&prepared.store(Base::Filled))?;
        Ok(prepared)
    }

    /// The store's file of a base.
    pub fn store(&self, base: Base) -> PathBuf {
        let folder = match base {
            Base::Empty => &self.empty,
            Base::Filled => &self.filled,
        };
        folder.path().join("store")
    }

    pub fn launch(&self, config: &str) -> Launch {
        let mut launch = Launch::new(self.binary.clone());
        launch.config = config.to_owned();
        launch
    }

    fn fill(&mut self, server: &TestServer) -> Result<(), String> {
        self.keys = server.init(3, 2).map_err(text)?;
        server.unseal(&self.keys).map_err(text)?;
        let root = self.keys.root_token.clone();
        let put = |path: &str, body: Value| call(server, &root, "PUT", path, body);
        let v2 = json!({"type": "kv", "options": {"version": "2"}});
        put("sys/mounts/notes", v2)?;
        put("sys/mounts/many", json!({"type": "kv"}))?;
        put("sys/mounts/spare", json!({"type": "kv"}))?;
        put("sys/mounts/cipher", json!({"type": "transit"}))?;
        put("notes/data/kept", json!({"data": {"v": KEPT}}))?;
        put("notes/data/changing", json!({"data": {"v": "old"}}))?;
        put("spare/x", json!({"v": "old"}))?;
        for n in 0..MANY {
            put(&format!("many/{n}"), json!({"v": n}))?;
        }
        put("sys/policies/acl/reader", json!({"policy": POLICY}))?;
        let made = put("auth/token/create", json!({"policies": ["reader"]}))?;
        self.token = string(&made, "/auth/client_token")?;
        put("cipher/keys/key", json!({}))?;
        let plaintext = json!({"plaintext": STANDARD.encode(KEPT)});
        let sealed = put("cipher/encrypt/key", plaintext)?;
        self.ciphertext = string(&sealed, "/data/ciphertext")?;
        let request = request(&root, "GET", "sys/storage/raft/snapshot", None);
        self.snapshot = server.send(&request).map_err(text)?.body;
        put("notes/data/later", json!({"data": {"v": "old"}}))?;
        Ok(())
    }
}

/// Ends a server in good order.
pub fn stop(mut server: TestServer) -> Result<(), String> {
    server.signal("TERM").map_err(text)?;
    let end = Instant::now() + PATIENCE;
    while !server.ended().map_err(text)? {
        if Instant::now() > end {
            return Err("it did not end after SIGTERM".to_owned());
        }
        sleep(PAUSE);
    }
    Ok(())
}
