//! A server process of its own for each test, and the commands that talk to it.

pub mod faulty;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub const KEYFOLD: &str = env!("CARGO_BIN_EXE_keyfold");

/// `keyfold server`, killed when dropped, and a home folder for the commands.
pub struct Server {
    child: Child,
    pub address: String,
    pub home: TempDir,
}

/// What a command did.
pub struct Ran {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Server {
    /// In memory, unsealed, with the root token `root`.
    pub fn dev() -> Self {
        Self::dev_with(&["-dev", "-dev-no-store-token"])
    }

    /// The same with these flags.
    pub fn dev_with(flags: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let common = ["-dev-root-token-id=root", "-dev-listen-address=127.0.0.1:0"];
        let arguments: Vec<_> = flags
            .iter()
            .chain(&common)
            .map(|s| (*s).to_owned())
            .collect();
        Self::start(home, &arguments)
    }

    /// With a store in the home folder; not initialised.
    pub fn stored() -> Self {
        let home = tempfile::tempdir().unwrap();
        let listener = "listener \"tcp\" { address = \"127.0.0.1:0\" tls_disable = true }";
        Self::listening(home, listener)
    }

    /// With a store in `home` and the listener that is given; not initialised.
    pub fn listening(home: TempDir, listener: &str) -> Self {
        let config = home.path().join("config.hcl");
        let store = home.path().join("store");
        let text = format!(
            "storage \"redb\" {{ path = \"{}\" }}\n{listener}\n",
            store.display()
        );
        fs::write(&config, text).unwrap();
        Self::start(home, &[format!("-config={}", config.display())])
    }

    fn start(home: TempDir, arguments: &[String]) -> Self {
        let mut child = bare(home.path())
            .arg("server")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut address = None;
        loop {
            let mut line = String::new();
            assert_ne!(
                lines.read_line(&mut line).unwrap(),
                0,
                "the server ended at its start"
            );
            if let Some((_, found)) = line.split_once("listening on ") {
                address = Some(found.trim().to_owned());
            }
            // The last line of each banner: from then on it answers.
            if line.starts_with("Root Token:")
                || (line.contains("started!") && arguments.len() == 1)
            {
                break;
            }
        }
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut lines, &mut std::io::sink());
        });
        let address = address.unwrap();
        let address = if address.contains("://") {
            address
        } else {
            format!("http://{address}")
        };
        Self {
            child,
            address,
            home,
        }
    }

    /// Kills it; its home folder stays.
    pub fn stop(mut self) -> TempDir {
        let home = std::mem::replace(&mut self.home, tempfile::tempdir().unwrap());
        drop(self);
        home
    }

    /// A path in the home folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A command with the root token.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_as("root", arguments)
    }

    /// A command that must succeed; its stdout.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.text()
    }

    /// A command that must succeed, with `-format=json`.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["-format=json"]].concat();
        serde_json::from_str(&self.ok(&arguments)).unwrap()
    }

    /// A command with another token; the empty one is none.
    pub fn run_as(&self, token: &str, arguments: &[&str]) -> Ran {
        Ran::of(self.command(token).args(arguments).output().unwrap())
    }

    /// A command with bytes on its standard input.
    pub fn piped(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command("root");
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // The command may refuse without reading all of it.
            let _ = stdin.write_all(&input);
        });
        let ran = Ran::of(child.wait_with_output().unwrap());
        writer.join().unwrap();
        ran
    }

    /// A command that talks to this server, in the home folder.
    pub fn command(&self, token: &str) -> Command {
        let mut command = bare(self.home.path());
        command.env("VAULT_ADDR", &self.address);
        if !token.is_empty() {
            command.env("VAULT_TOKEN", token);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }
}

/// The binary without the environment of whoever runs the tests.
pub fn bare(home: &Path) -> Command {
    let mut command = Command::new(KEYFOLD);
    command
        .env_clear()
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

/// Bytes that do not repeat soon.
pub fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fs::File::open("/dev/urandom")
        .unwrap()
        .read_exact(&mut bytes)
        .unwrap();
    bytes
}
