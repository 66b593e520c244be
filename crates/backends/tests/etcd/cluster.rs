//! etcd from Debian's packages: a cluster of the tests' own, on free ports.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use keyfold_backends::storage::Etcd;
use keyfold_backends::storage::etcd::{Options, Tls};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A running cluster, which ends with its last user.
pub struct Cluster {
    folder: TempDir,
    members: Vec<Member>,
    /// Of each member, beside what all have.
    flags: Vec<String>,
    scheme: &'static str,
}

struct Member {
    client: u16,
    peer: u16,
    process: Mutex<Option<Child>>,
}

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
static PREFIXES: AtomicU32 = AtomicU32::new(0);

impl Cluster {
    /// The one that tests share while they run; `None`, and a word about it, without the package.
    pub fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let new = Arc::new(Self::of(1)?);
        *shared = Arc::downgrade(&new);
        Some(new)
    }

    /// One of its own, of so many members.
    pub fn of(members: usize) -> Option<Self> {
        Self::with(members, "http", |_| Vec::new())
    }

    /// The same with other flags, which may name files in its folder.
    pub fn with(
        members: usize,
        scheme: &'static str,
        flags: impl FnOnce(&TempDir) -> Vec<String>,
    ) -> Option<Self> {
        if Command::new("etcd")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_err()
        {
            eprintln!("skipped: etcd is not installed (apt-get install etcd-server)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let flags = flags(&folder);
        // All at once, so that they differ.
        let probes: Vec<_> = (0..2 * members)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports: Vec<u16> = probes
            .iter()
            .map(|probe| probe.local_addr().unwrap().port())
            .collect();
        drop(probes);
        let members = ports.chunks(2).map(|pair| Member {
            client: pair[0],
            peer: pair[1],
            process: Mutex::default(),
        });
        let cluster = Self {
            members: members.collect(),
            folder,
            flags,
            scheme,
        };
        for member in 0..cluster.members.len() {
            cluster.launch(member);
        }
        for member in 0..cluster.members.len() {
            cluster.wait(member);
        }
        Some(cluster)
    }

    /// Starts a member that was stopped.
    pub fn start(&self, member: usize) {
        self.launch(member);
        self.wait(member);
    }

    fn launch(&self, number: usize) {
        let member = &self.members[number];
        let here = self.folder.path();
        let log = fs::File::create(here.join(format!("log{number}"))).unwrap();
        let peer = |port: u16| format!("http://127.0.0.1:{port}");
        let all: Vec<String> = self
            .members
            .iter()
            .enumerate()
            .map(|(number, member)| format!("m{number}={}", peer(member.peer)))
            .collect();
        let client = self.url(number);
        let process = Command::new("etcd")
            .current_dir(here)
            .args(["--name", &format!("m{number}")])
            .args(["--data-dir", &format!("data{number}")])
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer(member.peer)])
            .args(["--initial-advertise-peer-urls", &peer(member.peer)])
            .args(["--initial-cluster", &all.join(",")])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        *member.process() = Some(process);
    }

    fn wait(&self, number: usize) {
        let port = self.members[number].client;
        for _ in 0..1200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(25));
        }
        let log = self.folder.path().join(format!("log{number}"));
        panic!("{}", fs::read_to_string(log).unwrap_or_default());
    }

    /// As by a power cut.
    pub fn kill(&self, member: usize) {
        if let Some(mut process) = self.members[member].process().take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub fn url(&self, member: usize) -> String {
        format!(
            "{}://127.0.0.1:{}",
            self.scheme, self.members[member].client
        )
    }

    /// All members.
    pub fn urls(&self) -> String {
        let urls: Vec<_> = (0..self.members.len()).map(|n| self.url(n)).collect();
        urls.join(",")
    }

    /// A file in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A name that no other test has.
    pub fn prefix(&self) -> String {
        format!("t{}", PREFIXES.fetch_add(1, Ordering::Relaxed))
    }

    /// For a store below a prefix.
    pub fn options(&self, prefix: &str) -> Options {
        Options::new(&self.urls(), prefix, &Tls::default()).unwrap()
    }

    pub async fn open(&self, prefix: &str) -> Arc<Etcd> {
        Arc::new(Etcd::open(self.options(prefix)).await.unwrap())
    }

    /// Asks a member over its other door, with what is in bytes as text.
    pub async fn ask(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/v3/{path}", self.url(0));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = client.post(url).body(body.to_string()).send().await;
        let text = asked.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// How many keys begin so.
    pub async fn count(&self, prefix: &str) -> usize {
        let mut end = prefix.as_bytes().to_vec();
        *end.last_mut().unwrap() += 1;
        let range = json!({
            "key": bytes(prefix.as_bytes()), "range_end": bytes(&end), "count_only": true,
        });
        let counted = self.ask("kv/range", range).await;
        let count = counted.get("count").and_then(Value::as_str);
        count.map_or(0, |count| count.parse().unwrap())
    }

    pub async fn put(&self, key: &str, value: &str) {
        let put = json!({"key": bytes(key.as_bytes()), "value": bytes(value.as_bytes())});
        let put = self.ask("kv/put", put).await;
        assert!(put.get("header").is_some(), "{put}");
    }
}

impl Member {
    fn process(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in 0..self.members.len() {
            self.kill(member);
        }
    }
}

/// As the other door has bytes.
pub fn bytes(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
