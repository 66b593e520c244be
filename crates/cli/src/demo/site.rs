//! [`Site`]: a server inside this process, and requests to it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use keyfold_client::{Client, ClientConfig, Request};
use keyfold_secret::Secret;
use keyfold_server::{Config, Server, StartError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::error::DemoError;
use super::folder::Folder;
use super::snapshot::Snapshot;

/// How long the last user of a store that is being closed may take.
const CLOSING: Duration = Duration::from_secs(10);

/// Longest path of a socket, bytes, on any system.
const LONGEST_SOCKET: usize = 100;

/// A server and the way to it: a socket in the demo's folder, which nobody else can enter.
pub(super) struct Site {
    runtime: Runtime,
    server: Server,
    /// The configuration, JSON.
    config: String,
    address: String,
}

/// What `sys/seal-status` says.
#[derive(Deserialize)]
pub(super) struct SealStatus {
    pub(super) sealed: bool,
    /// Shares that open it.
    #[serde(rename = "t")]
    pub(super) threshold: u64,
    /// Shares that there are.
    #[serde(rename = "n")]
    pub(super) shares: u64,
    /// Shares given so far.
    pub(super) progress: u64,
}

/// What `sys/init` gives, once and never again.
pub(super) struct Initialized {
    pub(super) shares: Vec<Secret<String>>,
    pub(super) root_token: Secret<String>,
}

/// What `sys/key-status` says of the server's own KEK.
#[derive(Deserialize)]
pub(super) struct KeyStatus {
    pub(super) term: u64,
    /// DEKs that it wraps.
    pub(super) encryptions: u64,
}

/// The threads that the server runs on.
pub(super) fn runtime() -> Result<Runtime, DemoError> {
    Builder::new_multi_thread()
        .enable_all()
        .thread_name("keyfold-demo")
        .build()
        .map_err(DemoError::io("can't start threads"))
}

impl Site {
    /// Starts a server on a new store in the folder.
    pub(super) fn start(runtime: Runtime, folder: &Folder) -> Result<Self, DemoError> {
        let socket = text_of(folder.join("keyfold.sock"))?;
        if socket.len() > LONGEST_SOCKET {
            let long = "TMPDIR is too long to hold a socket: give a shorter one".to_owned();
            return Err(DemoError::Usage(long));
        }
        let config = json!({
            "storage": {"redb": {"path": text_of(folder.join("store.redb"))?}},
            "listener": {"unix": {"address": socket}},
        })
        .to_string();
        let server = open(&runtime, &config)?;
        Ok(Self {
            runtime,
            server,
            config,
            address: format!("unix://{socket}"),
        })
    }

    /// Stops the server and starts another on the same store.
    pub(super) fn restart(self) -> Result<Self, DemoError> {
        let stopped = self.runtime.block_on(self.server.shutdown());
        stopped.map_err(|error| DemoError::Store(error.to_string()))?;
        let began = Instant::now();
        let server = loop {
            match open(&self.runtime, &self.config) {
                // The last task of the old server lets go of the store a moment later.
                Err(DemoError::Start(StartError::Config(_))) if began.elapsed() < CLOSING => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                other => break other?,
            }
        };
        Ok(Self { server, ..self })
    }

    /// A client with a token, or with none.
    pub(super) fn client(&self, token: Option<&Secret<String>>) -> Result<Client, DemoError> {
        Ok(Client::new(ClientConfig {
            address: self.address.clone(),
            token: token.map(|token| Secret::new(token.expose().clone())),
            // "Sealed" is what the story wants to hear, at once.
            max_retries: 0,
            ..ClientConfig::default()
        })?)
    }

    /// Writes, and takes no interest in the answer.
    pub(super) fn write(&self, client: &Client, path: &str, body: &Value) -> Result<(), DemoError> {
        let request = Request::write(path, body).map_err(DemoError::client(path))?;
        self.send(client, &request)?;
        Ok(())
    }

    /// Writes, and reads the answer.
    pub(super) fn answer<T: DeserializeOwned>(
        &self,
        client: &Client,
        path: &str,
        body: &Value,
    ) -> Result<T, DemoError> {
        let request = Request::write(path, body).map_err(DemoError::client(path))?;
        let answer = self.send(client, &request)?;
        answer.json().map_err(DemoError::client(path))
    }

    /// Reads.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        client: &Client,
        path: &str,
    ) -> Result<T, DemoError> {
        let answer = self.send(client, &Request::read(path))?;
        answer.json().map_err(DemoError::client(path))
    }

    fn send(
        &self,
        client: &Client,
        request: &Request,
    ) -> Result<keyfold_client::Response, DemoError> {
        let answer = self.runtime.block_on(client.send(request));
        answer
            .and_then(keyfold_client::Response::success)
            .map_err(DemoError::client(request.path()))
    }

    /// Makes the keys and their shares.
    pub(super) fn init(&self, shares: u64, threshold: u64) -> Result<Initialized, DemoError> {
        #[derive(Deserialize)]
        struct Answer {
            keys: Vec<String>,
            root_token: String,
        }
        let body = json!({"secret_shares": shares, "secret_threshold": threshold});
        let answer: Answer = self.answer(&self.client(None)?, "sys/init", &body)?;
        Ok(Initialized {
            shares: answer.keys.into_iter().map(Secret::new).collect(),
            root_token: Secret::new(answer.root_token),
        })
    }

    /// Gives one share.
    pub(super) fn unseal(&self, share: &Secret<String>) -> Result<SealStatus, DemoError> {
        self.answer(
            &self.client(None)?,
            "sys/unseal",
            &json!({"key": share.expose()}),
        )
    }

    pub(super) fn seal_status(&self) -> Result<SealStatus, DemoError> {
        self.read(&self.client(None)?, "sys/seal-status")
    }

    pub(super) fn key_status(&self, operator: &Client) -> Result<KeyStatus, DemoError> {
        self.read(operator, "sys/key-status")
    }

    /// What lies in the store.
    pub(super) fn snapshot(&self) -> Result<Snapshot, DemoError> {
        self.runtime.block_on(Snapshot::take(&self.server))
    }
}

fn open(runtime: &Runtime, config: &str) -> Result<Server, DemoError> {
    let config = Config::parse(config, Path::new("demo.json"))?;
    Ok(runtime.block_on(Server::start(config))?)
}

/// The configuration is JSON, so a path has to be text.
fn text_of(path: PathBuf) -> Result<String, DemoError> {
    path.into_os_string()
        .into_string()
        .map_err(|_| DemoError::Usage("TMPDIR is not UTF-8 text: give another folder".to_owned()))
}
