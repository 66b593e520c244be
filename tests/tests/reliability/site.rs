//! A server on its own copy of a store that was prepared once.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_tests::server::Keys;
use keyfold_tests::{Binary, TestServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::deks;
use crate::prepared::{Base, KEPT, Prepared, stop};
use crate::talk::{Refusal, answer, call, request, same, text};
use crate::{PATIENCE, PAUSE};

/// A running server and what is known of it.
pub struct Site<'a> {
    prepared: &'a Prepared,
    config: &'static str,
    dir: TempDir,
    server: Option<TestServer>,
    /// Those that are known to open it.
    pub shares: Vec<String>,
    pub root: String,
    /// Shares that an act was told of.
    pub new_shares: Option<Vec<String>>,
    /// A token that an act was told of.
    pub new_token: Option<String>,
    /// The act was said to be done, or to be on its way.
    pub acknowledged: bool,
    /// It was done again after it had failed.
    pub repeated: bool,
    /// Something was written after the disk had failed.
    pub probed: bool,
    /// It was started again since.
    pub restarted: bool,
}

impl<'a> Site<'a> {
    /// Starts a server on a copy of a store.
    pub fn start(prepared: &'a Prepared, base: Base, config: &'static str) -> Result<Self, String> {
        let dir = TempDir::with_prefix("keyfold-test-").map_err(text)?;
        fs::copy(prepared.store(base), dir.path().join("store")).map_err(text)?;
        // For the act that adds a seal.
        fs::write(dir.path().join("seal.key"), [7; 32]).map_err(text)?;
        let mut site = Self {
            prepared,
            config,
            dir,
            server: None,
            shares: Vec::new(),
            root: String::new(),
            new_shares: None,
            new_token: None,
            acknowledged: false,
            repeated: false,
            probed: false,
            restarted: false,
        };
        if base == Base::Filled {
            site.adopt_prepared();
        }
        site.restart()?;
        site.restarted = false;
        Ok(site)
    }

    /// Ends it with SIGKILL, if it still runs, and starts it again on its store.
    pub fn restart(&mut self) -> Result<(), String> {
        self.restart_under(Vec::new())
    }

    /// The same by another program, which becomes the server.
    pub fn restart_under(&mut self, under: Vec<String>) -> Result<(), String> {
        self.kill();
        let mut launch = self.prepared.launch(self.config);
        launch.under = under;
        self.server = Some(launch.start_in(self.dir.path()).map_err(text)?);
        self.restarted = true;
        Ok(())
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Ends it in good order.
    pub fn stop(&mut self) -> Result<(), String> {
        self.server.take().map_or(Ok(()), stop)
    }

    pub fn server(&mut self) -> Result<&mut TestServer, String> {
        self.server
            .as_mut()
            .ok_or_else(|| "it did not start".to_owned())
    }

    /// From here on it is the prepared store: what opened that opens it.
    pub fn adopt_prepared(&mut self) {
        let Keys { shares, root_token } = self.prepared.keys.clone();
        (self.shares, self.root) = (shares, root_token);
    }

    /// A file in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn binary(&self) -> &Binary {
        &self.prepared.binary
    }

    /// What it has logged since its folder was made.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.file("server.log")).unwrap_or_default()).into_owned()
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&mut self) -> Result<String, String> {
        Ok(format!("http://{}", self.server()?.address()))
    }

    pub fn put(&self, path: &str, body: Value) -> Result<Value, Refusal> {
        self.call(&self.root, "PUT", path, body)
    }

    pub fn get(&self, path: &str) -> Result<Value, Refusal> {
        self.call(&self.root, "GET", path, Value::Null)
    }

    pub fn call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Result<Value, Refusal> {
        let server = self.server.as_ref().ok_or(Refusal::Gone)?;
        call(server, token, method, path, body)
    }

    /// Whether it has no such thing: `Ok` with what it has, `None` after 404.
    pub fn found(&self, path: &str) -> Result<Option<Value>, Refusal> {
        match self.get(path) {
            Ok(found) => Ok(Some(found)),
            Err(Refusal::Answered(404, _)) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Sends the snapshot.
    pub fn restore(&self) -> Result<Value, Refusal> {
        let body = Some(self.prepared.snapshot.clone());
        let request = request(&self.root, "PUT", "sys/storage/raft/snapshot", body);
        let server = self.server.as_ref().ok_or(Refusal::Gone)?;
        answer(server, &request)
    }

    pub fn initialised(&self) -> Result<bool, Refusal> {
        Ok(self.get("sys/init")?["initialized"] == Value::Bool(true))
    }

    pub fn sealed(&self) -> Result<bool, Refusal> {
        Ok(self.get("sys/seal-status")?["sealed"] == Value::Bool(true))
    }

    /// Opens it, if it is sealed, with the shares that count.
    pub fn open(&self) -> Result<(), Refusal> {
        let shares = self.shares.clone();
        match self.sealed()? && !self.opened_by(&shares)? {
            true => Err(Refusal::Answered(
                400,
                "the shares do not open it".to_owned(),
            )),
            false => Ok(()),
        }
    }

    /// Seals it, if it is open, and tries shares.
    pub fn opens_with(&self, shares: &[String]) -> Result<bool, Refusal> {
        if !self.sealed()? {
            self.put("sys/seal", Value::Null)?;
        }
        self.opened_by(shares)
    }

    fn opened_by(&self, shares: &[String]) -> Result<bool, Refusal> {
        self.put("sys/unseal", json!({"reset": true}))?;
        for share in shares {
            match self.put("sys/unseal", json!({"key": share})) {
                Ok(status) if status["sealed"] == Value::Bool(false) => return Ok(true),
                Ok(_) => {}
                Err(Refusal::Answered(400, _)) => return Ok(false),
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(false)
    }

    /// What was there before every act is there.
    pub fn canaries(&self) -> Result<(), String> {
        let kept = self.get("notes/data/kept")?;
        same("the secret", &kept["data"]["data"]["v"], &json!(KEPT))?;
        let body = json!({"ciphertext": self.prepared.ciphertext});
        let opened = self.put("cipher/decrypt/key", body)?;
        let plaintext = json!(STANDARD.encode(KEPT));
        same("the ciphertext", &opened["data"]["plaintext"], &plaintext)?;
        let own = self.call(
            &self.prepared.token,
            "GET",
            "auth/token/lookup-self",
            Value::Null,
        )?;
        same(
            "the token",
            &own["data"]["policies"],
            &json!(["default", "reader"]),
        )
    }

    /// Ends it, and looks whether its store has so many deks more than the prepared one.
    pub fn count_deks(&mut self, more: isize) -> Result<(), String> {
        self.kill();
        let found = deks::count(&self.file("store"))?;
        match self.prepared.deks.checked_add_signed(more) {
            Some(wanted) if wanted == found => Ok(()),
            wanted => Err(format!("there are {found} deks, not {wanted:?}")),
        }
    }

    /// Asks again and again until `done` has an answer: `None` when it has none in time.
    pub fn wait_for<T>(
        &self,
        mut done: impl FnMut(&Self) -> Result<Option<T>, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(found) = done(self)? {
                return Ok(Some(found));
            }
            sleep(PAUSE);
        }
        Ok(None)
    }

    /// The same until the disk fails: then there is no answer either.
    pub fn wait<T>(
        &self,
        mut done: impl FnMut(&Self) -> Result<Option<T>, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        let found = self.wait_for(|site| match done(site)? {
            Some(found) => Ok(Some(Some(found))),
            None => Ok(site.disk_failed().then_some(None)),
        })?;
        Ok(found.flatten())
    }

    /// Whether the log speaks of a disk that failed.
    pub fn disk_failed(&self) -> bool {
        self.log().contains("a commit failed")
    }

    /// Waits until the process has ended.
    pub fn ended(&mut self) -> Result<bool, String> {
        let end = Instant::now() + PATIENCE;
        while !self.server()?.ended().map_err(text)? {
            if Instant::now() > end {
                return Ok(false);
            }
            sleep(PAUSE);
        }
        Ok(true)
    }
}
