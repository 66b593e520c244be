//! PostgreSQL from Debian's packages: a cluster of the tests' own, on a free port.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use keyfold_backends::storage::Postgres;
use keyfold_backends::storage::postgres::Options;
use keyfold_postgres::{Passwords, Server};
use tempfile::TempDir;

pub const PASSWORD: &str = "correct horse";
/// PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

/// A running cluster, which ends with its last user.
pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    process: Mutex<Option<Child>>,
}

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
static TABLES: AtomicU32 = AtomicU32::new(0);

impl Cluster {
    /// The one that tests share while they run; `None`, and a word about it, without the packages.
    pub fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let new = Arc::new(Self::new()?);
        *shared = Arc::downgrade(&new);
        Some(new)
    }

    /// One of its own, for who stops it.
    pub fn new() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!("skipped: PostgreSQL is not installed (apt-get install postgresql)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        fs::write(here.join("password"), PASSWORD).unwrap();
        if is_root() {
            chown(here, Some(NOBODY), Some(NOBODY)).unwrap();
            chown(here.join("password"), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let made = as_nobody(&programs.join("initdb"), here)
            .args([
                "-D",
                "data",
                "-U",
                "owner",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
            .args(["--pwfile=password", "--no-sync"])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let cluster = Self {
            programs,
            port,
            process: Mutex::new(None),
            folder,
        };
        cluster.start();
        Some(cluster)
    }

    pub fn start(&self) {
        let here = self.folder.path();
        let log = fs::File::create(here.join("log")).unwrap();
        let sockets = format!("unix_socket_directories={}", here.display());
        let process = as_nobody(&self.programs.join("postgres"), here)
            .args(["-D", "data", "-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", &sockets])
            .args([
                "-c",
                "fsync=off",
                "-c",
                "max_connections=300",
                "-c",
                "shared_buffers=64MB",
            ])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.process() = Some(process);
        for _ in 0..600 {
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .unwrap();
            if ready.success() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!(
            "{}",
            fs::read_to_string(here.join("log")).unwrap_or_default()
        );
    }

    /// Its clients are thrown out.
    pub fn stop(&self) {
        if let Some(mut process) = self.process().take() {
            let id = process.id().to_string();
            let _ended = Command::new("kill").args(["-INT", &id]).status();
            let _ = process.wait();
        }
    }

    /// A name that no other test has.
    pub fn table(&self) -> String {
        format!("t{}", TABLES.fetch_add(1, Ordering::Relaxed))
    }

    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://owner:correct%20horse@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// For a store in a table.
    pub fn options(&self, table: &str) -> Options {
        options(&self.url("postgres"), table)
    }

    pub async fn open(&self, table: &str) -> Arc<Postgres> {
        Arc::new(Postgres::open(self.options(table)).await.unwrap())
    }

    /// Runs statements beside the stores; the first column of what the last one gives.
    pub async fn sql(&self, text: &str) -> Vec<Option<String>> {
        let url = format!("owner:correct%20horse@127.0.0.1:{}/postgres", self.port);
        let parameters = ["application_name=beside"];
        let server = Server::new(&url, &parameters, Passwords::Taken, &|_| None).unwrap();
        let client = server.connect().await.unwrap();
        let mut rows = Vec::new();
        for message in client.simple_query(text).await.unwrap() {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                rows.push(row.get(0).map(str::to_owned));
            }
        }
        rows
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn options(url: &str, table: &str) -> Options {
    Options::new(url, table, &|_| None).unwrap()
}

/// Where Debian puts the newest version's programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let versions = versions.filter_map(|version| {
        let path = version.ok()?.path();
        let number: u32 = path.file_name()?.to_str()?.parse().ok()?;
        let programs = path.join("bin");
        programs
            .join("initdb")
            .exists()
            .then_some((number, programs))
    });
    versions.max().map(|(_, programs)| programs)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|facts| facts.uid() == 0)
}

fn as_nobody(program: &Path, folder: &Path) -> Command {
    let mut command = match is_root() {
        false => Command::new(program),
        true => {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=nobody", "--clear-groups"])
                .arg(program);
            command
        }
    };
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}
