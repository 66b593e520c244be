//! A server process of its own for each test.
//!
//! It listens on a free port of 127.0.0.1, keeps its store, its log and its configuration in a folder (a temporary one,
//! or one that is given), and is killed when its [`TestServer`] is dropped.

use std::env;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wire::{self, Request, Response};

/// How long a server may take until it listens, or until it has ended.
const PATIENCE: Duration = Duration::from_secs(30);
/// A free port may be taken by another process before the server has it; then another is tried.
const TRIES: usize = 4;
/// What a server says on its standard output once it serves.
const SERVING: &str = "server started!";

/// Why a server could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No program to start.
    #[error(
        "no keyfold binary at {0}: build it with `cargo build -p keyfold-cli`, or name one in KEYFOLD_BIN"
    )]
    NoBinary(PathBuf),
    /// The program ended, or did not serve in time.
    #[error("{binary} did not listen on {address}; its log:\n{log}")]
    NotListening {
        /// The program.
        binary: PathBuf,
        /// Where it was told to listen.
        address: SocketAddr,
        /// The end of its log.
        log: String,
    },
    /// An answer that init or unseal must not give.
    #[error("{call} answered {status}: {body}")]
    Refused {
        /// Method and path.
        call: &'static str,
        /// The status code.
        status: u16,
        /// The body as text.
        body: String,
    },
    /// The machine's fault.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Which program is started.
#[derive(Debug, Clone)]
pub struct Binary {
    path: PathBuf,
    /// Another implementation: it keeps its store in memory and may answer as `peer_status` says.
    pub foreign: bool,
}

impl Binary {
    /// The program that `KEYFOLD_BIN` names, else the workspace's own build.
    pub fn keyfold() -> Result<Self, ServerError> {
        let path = match env::var_os("KEYFOLD_BIN") {
            Some(path) => PathBuf::from(path),
            None => built()?,
        };
        if !path.is_file() {
            return Err(ServerError::NoBinary(path));
        }
        Ok(Self {
            path,
            foreign: false,
        })
    }

    /// Another server with the same command line.
    pub fn foreign(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            foreign: true,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The build of this profile if there is one, else the other.
fn built() -> Result<PathBuf, ServerError> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let profiles = if cfg!(debug_assertions) {
        ["debug", "release"]
    } else {
        ["release", "debug"]
    };
    let paths = profiles.map(|profile| target.join(profile).join("keyfold"));
    let found = paths.iter().find(|path| path.is_file());
    found
        .cloned()
        .ok_or_else(|| ServerError::NoBinary(target.join("debug/keyfold")))
}

/// Where the server keeps its data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// The embedded store, in the temporary folder: survives a restart.
    #[default]
    Redb,
    /// Memory: gone with the process.
    Inmem,
}

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What to start.
    pub binary: Binary,
    /// Where it keeps its data.
    pub storage: Storage,
    /// HCL put at the end of the configuration; `${dir}` is the temporary folder.
    pub config: String,
    /// HCL lines put in the listener's block.
    pub listener: String,
    /// A program and its arguments, which becomes the server whose command line follows them.
    pub under: Vec<String>,
}

impl Launch {
    /// The default: the embedded store, nothing else configured.
    pub fn new(binary: Binary) -> Self {
        let storage = if binary.foreign {
            Storage::Inmem
        } else {
            Storage::Redb
        };
        Self {
            binary,
            storage,
            config: String::new(),
            listener: String::new(),
            under: Vec::new(),
        }
    }

    /// Starts it and waits until it serves. Nothing is initialised yet.
    pub fn start(self) -> Result<TestServer, ServerError> {
        let own = TempDir::with_prefix("keyfold-test-")?;
        let mut server = self.start_in(own.path())?;
        server._own = Some(own);
        Ok(server)
    }

    /// The same on what lies in a folder, which stays when the server is dropped.
    pub fn start_in(self, dir: &Path) -> Result<TestServer, ServerError> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let address = free_address()?;
            fs::write(dir.join("server.hcl"), self.hcl(dir, address))?;
            match spawn(&self, dir, address) {
                Ok(child) => {
                    return Ok(TestServer {
                        launch: self,
                        dir: dir.to_owned(),
                        _own: None,
                        address,
                        child,
                    });
                }
                Err(ServerError::NotListening { log, .. })
                    if tries > 0 && log.to_lowercase().contains("address already in use") => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn hcl(&self, dir: &Path, address: SocketAddr) -> String {
        let dir = dir.display().to_string();
        let storage = match self.storage {
            Storage::Redb => format!("storage \"redb\" {{\n  path = \"{dir}/store\"\n}}"),
            Storage::Inmem => "storage \"inmem\" {}".to_owned(),
        };
        let (listener, config) = (&self.listener, self.config.replace("${dir}", &dir));
        format!(
            "listener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n  {listener}\n}}\n\
             api_addr = \"http://{address}\"\n{storage}\n{config}\n"
        )
    }
}

/// A running server.
#[derive(Debug)]
pub struct TestServer {
    launch: Launch,
    dir: PathBuf,
    /// The folder where it is the server's own.
    _own: Option<TempDir>,
    address: SocketAddr,
    child: Child,
}

/// What `sys/init` handed out.
#[derive(Debug, Clone)]
pub struct Keys {
    /// In hex, as many as were asked for.
    pub shares: Vec<String>,
    /// The first token.
    pub root_token: String,
}

impl TestServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder with its configuration, log and store.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether its process has ended.
    pub fn ended(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// The last lines of its log.
    pub fn log(&self) -> String {
        end_of(&said(&self.dir, 0))
    }

    /// Sends a request as it stands.
    pub fn send(&self, request: &Request) -> io::Result<Response> {
        wire::send(self.address, request)
    }

    /// `PUT /v1/sys/init`.
    pub fn init(&self, shares: u8, threshold: u8) -> Result<Keys, ServerError> {
        let body = json!({"secret_shares": shares, "secret_threshold": threshold});
        let answer = self.put("/v1/sys/init", &body)?;
        let refused = || refusal("PUT /v1/sys/init", &answer);
        let json = answer.json();
        let (Some(keys), Some(token)) = (
            json.get("keys").and_then(Value::as_array),
            json.get("root_token").and_then(Value::as_str),
        ) else {
            return Err(refused());
        };
        let shares = keys
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        Ok(Keys {
            shares,
            root_token: token.to_owned(),
        })
    }

    /// `PUT /v1/sys/unseal` with share after share until the server is open.
    pub fn unseal(&self, keys: &Keys) -> Result<(), ServerError> {
        let mut last = None;
        for share in &keys.shares {
            let answer = self.put("/v1/sys/unseal", &json!({ "key": share }))?;
            if answer.json().get("sealed") == Some(&Value::Bool(false)) {
                return Ok(());
            }
            last = Some(answer);
        }
        Err(last.map_or_else(
            || io::Error::other("there are no shares to unseal with").into(),
            |answer| refusal("PUT /v1/sys/unseal", &answer),
        ))
    }

    /// Ends the server with SIGTERM and starts it again on its store.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.signal("TERM")?;
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > end {
                return Err(io::Error::other("the server did not end after SIGTERM").into());
            }
            sleep(Duration::from_millis(10));
        }
        self.child = spawn(&self.launch, &self.dir, self.address)?;
        Ok(())
    }

    /// Ends the server with SIGKILL and starts it again on its store.
    pub fn crash(&mut self) -> Result<(), ServerError> {
        self.child.kill()?;
        self.child.wait()?;
        self.child = spawn(&self.launch, &self.dir, self.address)?;
        Ok(())
    }

    /// Sends a signal by its name, such as `HUP`.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other("kill failed"))
        }
    }

    fn put(&self, target: &str, body: &Value) -> io::Result<Response> {
        self.send(&Request {
            method: "PUT".to_owned(),
            target: target.to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: Some(body.to_string().into_bytes()),
        })
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn spawn(launch: &Launch, dir: &Path, address: SocketAddr) -> Result<Child, ServerError> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("server.log"))?;
    // What stands before this was said by a server before this one.
    let begin = usize::try_from(log.metadata()?.len()).unwrap_or(usize::MAX);
    let binary = launch.binary.path();
    let mut command = match launch.under.split_first() {
        None => Command::new(binary),
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(binary);
            command
        }
    };
    let mut child = command
        .arg("server")
        .arg(format!("-config={}", dir.join("server.hcl").display()))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let end = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() && Instant::now() < end {
        // Its own word: what answers at the address may be a stranger who took the port first.
        if said(dir, begin).contains(SERVING) {
            return Ok(child);
        }
        sleep(Duration::from_millis(5));
    }
    let _already_gone = child.kill();
    child.wait()?;
    Err(ServerError::NotListening {
        binary: binary.to_owned(),
        address,
        log: end_of(&said(dir, begin)),
    })
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The log in a folder, from a byte on.
fn said(dir: &Path, begin: usize) -> String {
    let bytes = fs::read(dir.join("server.log")).unwrap_or_default();
    String::from_utf8_lossy(bytes.get(begin..).unwrap_or_default()).into_owned()
}

/// The last lines of a log.
fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let last = lines.get(lines.len().saturating_sub(20)..);
    last.unwrap_or_default().join("\n")
}

fn refusal(call: &'static str, answer: &Response) -> ServerError {
    ServerError::Refused {
        call,
        status: answer.status,
        body: answer.text(),
    }
}
