//! A vault over a store that may break, and a client of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keyfold_backends::storage::Memory;
use keyfold_core::chunks::Chunks;
use keyfold_core::clock::{ManualClock, Time};
use keyfold_core::error::Error;
use keyfold_core::initialize::Stanza;
use keyfold_core::lifecycle::{Core, CoreConfig, SealConfig, Settings};
use keyfold_core::lockout::LockoutRules;
use keyfold_core::mounts::Kinds;
use keyfold_core::ports::seal::{Seal, SealSetup};
use keyfold_core::ports::storage::{Revision, Storage};
use keyfold_core::reply::Reply;
use keyfold_core::request::{Body, Op, Request};
use keyfold_core::testing::{FaultySeal, FaultyStorage};
use keyfold_secret::Secret;
use serde_json::{Value, json};

use crate::shelf::KINDS;

pub struct World {
    pub disk: Arc<dyn Storage>,
    pub store: Arc<FaultyStorage>,
    pub clock: Arc<ManualClock>,
    pub core: Arc<Core>,
    pub shares: Vec<String>,
    pub root: String,
    pub seals: Seals,
    stanzas: fn() -> Vec<Stanza>,
}

/// The seals that are configured.
#[derive(Clone)]
pub struct Seals {
    pub all: Vec<Machine>,
    pub shares_unseal: bool,
    pub require: Option<u8>,
}

/// A seal that needs no people.
#[derive(Clone)]
pub struct Machine {
    pub name: &'static str,
    pub seal: Arc<FaultySeal>,
    pub disabled: bool,
}

impl Machine {
    pub fn new(name: &'static str, key: u8) -> Self {
        Self {
            name,
            seal: Arc::new(FaultySeal::new(key)),
            disabled: false,
        }
    }
}

impl Seals {
    pub fn none() -> Self {
        Self::any(Vec::new())
    }

    /// Any one of them opens, and so do the shares.
    pub fn any(all: Vec<Machine>) -> Self {
        Self {
            all,
            shares_unseal: true,
            require: None,
        }
    }

    /// So many of them and of the shares, which count as one, open together.
    pub fn together(all: Vec<Machine>, require: u8) -> Self {
        Self {
            require: Some(require),
            ..Self::any(all)
        }
    }

    fn config(&self) -> SealConfig {
        let setup = |(at, machine): (usize, &Machine)| SealSetup {
            name: machine.name.to_owned(),
            kind: "test",
            priority: u32::try_from(at).unwrap(),
            disabled: machine.disabled,
            seal: machine.seal.clone() as Arc<dyn Seal>,
        };
        SealConfig {
            seals: self.all.iter().enumerate().map(setup).collect(),
            shares_unseal: self.shares_unseal,
            require: self.require,
        }
    }
}

impl World {
    /// An empty store.
    pub async fn new() -> Self {
        Self::with(Seals::none()).await
    }

    /// An empty store, and a configuration with `initialize` stanzas.
    pub async fn told(stanzas: fn() -> Vec<Stanza>) -> Self {
        let mut world = Self::new().await;
        world.stanzas = stanzas;
        world.restart().await;
        world
    }

    /// An empty store with seals.
    pub async fn with(seals: Seals) -> Self {
        Self::on(Arc::new(Memory::new()), seals).await
    }

    /// On a store that is there.
    pub async fn on(disk: Arc<dyn Storage>, seals: Seals) -> Self {
        let clock = Arc::new(ManualClock::at(Time(1_900_000_000_000_000_000)));
        let store = Arc::new(FaultyStorage::new(disk.clone()));
        let core = open(&store, &clock, &seals, Vec::new()).await.unwrap();
        Self {
            disk,
            store,
            clock,
            core,
            shares: Vec::new(),
            root: String::new(),
            seals,
            stanzas: Vec::new,
        }
    }

    /// Begun with those seals and 3 of 5 shares beside them, open, with a shelf at `shelf/`.
    pub async fn begun_with(machines: Vec<Machine>) -> Self {
        Self::begun_under(Seals::any(machines)).await.unwrap()
    }

    /// The same, with all that can be said of seals.
    pub async fn begun_under(seals: Seals) -> Result<Self, Error> {
        let mut world = Self::with(seals).await;
        world.init().await?;
        let shelf = json!({"type": "shelf"});
        world.write("sys/mounts/shelf", shelf).await?;
        Ok(world)
    }

    /// Begun with 3 of 5, open, with a shelf at `shelf/`.
    pub async fn begun() -> Self {
        let mut world = Self::new().await;
        world.init().await.unwrap();
        world.unseal().await.unwrap();
        world
            .write("sys/mounts/shelf", json!({"type": "shelf"}))
            .await
            .unwrap();
        world
    }

    pub async fn init(&mut self) -> Result<(), Error> {
        let (body, keys) = match self.seals.all.is_empty() {
            true => (json!({"secret_shares": 5, "secret_threshold": 3}), "keys"),
            false => {
                let body = json!({"recovery_shares": 5, "recovery_threshold": 3});
                (body, "recovery_keys")
            }
        };
        let reply = data(self.anonymous(Op::Write, "sys/init", body).await?);
        let texts = reply[keys].as_array().unwrap();
        self.shares = texts
            .iter()
            .map(|k| k.as_str().unwrap().to_owned())
            .collect();
        self.root = reply["root_token"].as_str().unwrap().to_owned();
        Ok(())
    }

    pub async fn unseal(&self) -> Result<(), Error> {
        for share in self.shares.iter().skip(1).take(3) {
            self.anonymous(Op::Write, "sys/unseal", json!({"key": share}))
                .await?;
        }
        Ok(())
    }

    /// The process dies and starts again on what the store kept.
    pub async fn restart(&mut self) {
        self.try_restart().await.unwrap();
    }

    pub async fn try_restart(&mut self) -> Result<(), Error> {
        self.store = Arc::new(FaultyStorage::new(self.disk.clone()));
        let stanzas = (self.stanzas)();
        self.core = open(&self.store, &self.clock, &self.seals, stanzas).await?;
        Ok(())
    }

    /// The configuration is read again.
    pub async fn reseal(&self) {
        self.core.reseal(self.seals.config()).await;
    }

    pub async fn anonymous(&self, op: Op, path: &str, body: Value) -> Result<Reply, Error> {
        self.ask(None, op, path, body).await
    }

    pub async fn write(&self, path: &str, body: Value) -> Result<Reply, Error> {
        self.ask(Some(&self.root), Op::Write, path, body).await
    }

    pub async fn read(&self, path: &str) -> Result<Value, Error> {
        self.ask(Some(&self.root), Op::Read, path, Value::Null)
            .await
            .map(data)
    }

    /// The same for a caller who has seen a commit elsewhere.
    pub async fn read_at(&self, path: &str, index: Option<Revision>) -> Result<Value, Error> {
        let asked = request(Some(&self.root), Op::Read, path, Body::empty());
        self.core.handle(Request { index, ..asked }).await.map(data)
    }

    pub async fn delete(&self, path: &str) -> Result<Reply, Error> {
        self.ask(Some(&self.root), Op::Delete, path, Value::Null)
            .await
    }

    pub async fn ask(
        &self,
        token: Option<&str>,
        op: Op,
        path: &str,
        body: Value,
    ) -> Result<Reply, Error> {
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::new(serde_json::to_vec(&body).unwrap()),
        };
        self.core.handle(request(token, op, path, body)).await
    }

    /// A snapshot of the store, as it goes out.
    pub async fn save(&self) -> Result<Vec<u8>, Error> {
        let reply = self
            .ask(Some(&self.root), Op::Read, "sys/snapshot", Value::Null)
            .await?;
        let mut chunks = reply.stream.and_then(|stream| stream.take()).unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = chunks.next().await? {
            bytes.extend(piece);
        }
        Ok(bytes)
    }

    /// Restores a snapshot over the API, with the root token or none.
    pub async fn restore(&self, bytes: &[u8], force: bool) -> Result<Reply, Error> {
        let path = match force {
            false => "sys/storage/raft/snapshot",
            true => "sys/storage/raft/snapshot-force",
        };
        let mut request = request(Some(&self.root), Op::Write, path, Body::empty());
        request.body = Body::streamed(Pieces(bytes.to_vec()));
        self.core.handle(request).await
    }

    /// Every key and value of the disk.
    pub async fn dump(&self) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for name in self.disk.list(&folder, "", 0).await.unwrap().names {
                let key = format!("{folder}{name}");
                if name.ends_with('/') {
                    folders.push(key);
                } else {
                    let entry = self.disk.get(&key).await.unwrap().unwrap();
                    all.insert(key, entry.value);
                }
            }
        }
        all
    }
}

fn request(token: Option<&str>, op: Op, path: &str, body: Body) -> Request {
    Request {
        id: keyfold_core::id::uuid(),
        op,
        path: path.to_owned(),
        body,
        token: token.map(|t| Secret::new(t.to_owned())),
        remote: None,
        headers: Vec::new(),
        wrap_ttl: None,
        index: None,
    }
}

/// Bytes that come in pieces.
struct Pieces(Vec<u8>);

#[async_trait::async_trait]
impl Chunks for Pieces {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let rest = self.0.split_off(self.0.len().min(1000));
        let piece = std::mem::replace(&mut self.0, rest);
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}

pub fn data(reply: Reply) -> Value {
    match reply.data {
        Some(json) => serde_json::from_slice(json.bytes()).unwrap(),
        None => Value::Null,
    }
}

/// The text of a token that a reply made.
pub fn token(reply: Reply) -> String {
    reply.auth.unwrap().client_token.expose().clone()
}

async fn open(
    store: &Arc<FaultyStorage>,
    clock: &Arc<ManualClock>,
    seals: &Seals,
    initialize: Vec<Stanza>,
) -> Result<Arc<Core>, Error> {
    let settings = Settings {
        default_lease_ttl: Duration::from_secs(768 * 3600),
        max_lease_ttl: Duration::from_secs(768 * 3600),
        api_addr: "http://127.0.0.1:8200".to_owned(),
        version: "2.6.2",
        cluster_name: None,
        raw_storage: true,
        lockout: LockoutRules::default(),
    };
    let config = CoreConfig {
        storage: store.clone(),
        clock: clock.clone(),
        kinds: Kinds {
            fetch: &keyfold_core::ports::fetch::Offline,
            engines: KINDS,
            auths: &[keyfold_backends::auth::approle::KIND, crate::people::KIND],
        },
        audit: keyfold_core::audit::AuditConfig {
            kinds: crate::chores::AUDIT,
            ..Default::default()
        },
        initialize,
        managed: Vec::new(),
        seals: seals.config(),
        settings,
    };
    Core::open(config).await
}
