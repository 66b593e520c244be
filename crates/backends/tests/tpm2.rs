//! The tpm2 seal on swtpm, a TPM in software: each test has one of its own, with its own state, on
//! free ports.
#![cfg(feature = "tpm2")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use keyfold_backends::seals::KINDS;
use keyfold_core::ports::seal::{Blob, Seal, SealError};
use keyfold_keys::Share;
use tss_esapi::handles::{AuthHandle, PcrHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Auth, Digest, DigestValues};
use tss_esapi::{Context, TctiNameConf};

/// A TPM that runs; it ends when this is dropped.
struct Soft {
    process: Child,
    port: u16,
}

impl Soft {
    /// Switches it on, at free ports: the second is for what is no command.
    fn start(state: &Path) -> Self {
        let (port, taken) = (0..100).find_map(|_| pair()).unwrap();
        drop(taken);
        Self::start_at(state, port)
    }

    fn start_at(state: &Path, port: u16) -> Self {
        let at = |port: u16| format!("type=tcp,port={port},bindaddr=127.0.0.1");
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", state.display()))
            .args(["--server", &at(port), "--ctrl", &at(port + 1)])
            .spawn()
            .unwrap();
        // From here on it ends with its owner.
        let soft = Self { process, port };
        let there = || TcpStream::connect(("127.0.0.1", port + 1)).is_ok();
        for _ in 0..500 {
            if there() {
                return soft;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("swtpm does not listen");
    }

    fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    fn seal(&self, more: &[(&str, &str)]) -> Arc<dyn Seal> {
        seal(&[&[("tcti", self.tcti().as_str())], more].concat())
    }

    /// Has its owner do something with it.
    fn act<T>(&self, act: impl FnOnce(&mut Context) -> T) -> T {
        let tcti = TctiNameConf::from_str(&self.tcti()).unwrap();
        let mut context = Context::new(tcti).unwrap();
        context.execute_with_session(Some(AuthSession::Password), act)
    }

    /// Something else was started on the machine.
    fn extend(&self) {
        let mut values = DigestValues::new();
        values.set(
            HashingAlgorithm::Sha256,
            Digest::try_from(vec![5; 32]).unwrap(),
        );
        self.act(|tpm| tpm.pcr_extend(PcrHandle::Pcr7, values))
            .unwrap();
    }
}

impl Drop for Soft {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// Two free ports in a row, taken until they are dropped.
fn pair() -> Option<(u16, [TcpListener; 2])> {
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = first.local_addr().unwrap().port();
    let second = TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).ok()?;
    Some((port, [first, second]))
}

/// Whether there is a TPM to try it on.
fn installed() -> bool {
    let there = Command::new("swtpm").args(["socket", "--version"]).output();
    if there.is_err() {
        eprintln!("skipped: swtpm is not installed (apt-get install swtpm)");
    }
    there.is_ok()
}

fn seal(settings: &[(&str, &str)]) -> Arc<dyn Seal> {
    let settings = settings
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let kind = KINDS.iter().find(|kind| kind.name == "tpm2").unwrap();
    (kind.make)(&settings).ok().unwrap()
}

fn share() -> Share {
    Share::from_bytes(&[9; 33]).ok().unwrap()
}

async fn opens(seal: &Arc<dyn Seal>, blob: &Blob) {
    let again = seal.unwrap(blob).await;
    assert!(
        again.as_ref().is_ok_and(|s| s.ct_eq(&share())),
        "{:?}",
        again.err()
    );
}

async fn fails(seal: &Arc<dyn Seal>, blob: &Blob, class: &str, words: &str) {
    let error: SealError = seal.unwrap(blob).await.err().unwrap();
    let text = error.to_string();
    assert_eq!(error.class(), class, "{text}");
    assert!(text.contains(words), "{text}");
}

#[tokio::test]
async fn a_tpm_seals_and_opens() {
    if !installed() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let tpm = Soft::start(state.path());
    let blob = tpm.seal(&[]).wrap(&share()).await.unwrap();
    // A TPM has room for three objects: nothing may stay behind.
    for _ in 0..6 {
        opens(&tpm.seal(&[]), &blob).await;
    }
    let seal = tpm.seal(&[]);
    let (one, other) = (share(), share());
    let (one, other) = tokio::join!(seal.wrap(&one), seal.wrap(&other));
    for at_once in [one.unwrap(), other.unwrap()] {
        assert_eq!(at_once.key_id, blob.key_id);
        opens(&seal, &at_once).await;
    }
    // Off and on.
    drop(tpm);
    let tpm = Soft::start(state.path());
    opens(&tpm.seal(&[]), &blob).await;
}

#[tokio::test]
async fn what_is_not_of_the_tpm_is_foreign() {
    if !installed() {
        return;
    }
    let (state, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tpm = Soft::start(state.path());
    let seal = tpm.seal(&[]);
    let blob = seal.wrap(&share()).await.unwrap();
    let mut flipped = blob.clone();
    *flipped.bytes.last_mut().unwrap() ^= 1;
    let mut cut = blob.clone();
    cut.bytes.pop();
    for bad in [&flipped, &cut] {
        fails(&seal, bad, "foreign", "under the TPM's key").await;
    }
    let mut none = blob.clone();
    for bytes in [vec![], vec![1; 30], blob.bytes[..20].to_vec()] {
        none.bytes = bytes;
        fails(&seal, &none, "foreign", "none of a TPM").await;
    }
    let other = Soft::start(other.path());
    let stranger = other.seal(&[]);
    fails(&stranger, &blob, "foreign", "of another TPM").await;
    // Whatever the store says of it.
    let mut renamed = blob.clone();
    renamed.key_id = stranger.wrap(&share()).await.unwrap().key_id;
    fails(&stranger, &renamed, "foreign", "under the TPM's key").await;
    opens(&seal, &blob).await;
}

#[tokio::test]
async fn what_is_bound_to_pcrs_opens_while_they_stay() {
    if !installed() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let tpm = Soft::start(state.path());
    let bound = tpm.seal(&[("pcrs", "0,7")]);
    let blob = bound.wrap(&share()).await.unwrap();
    assert!(blob.key_id.ends_with(" sha256:0,7"), "{}", blob.key_id);
    opens(&bound, &blob).await;
    // The wrap knows what it is bound to; another name for its key has it made anew.
    let free = tpm.seal(&[]);
    opens(&free, &blob).await;
    let loose = free.wrap(&share()).await.unwrap();
    assert_ne!(loose.key_id, blob.key_id);
    tpm.extend();
    fails(&bound, &blob, "refused", "PCRs are not those of the wrap").await;
    fails(&free, &blob, "refused", "PCRs are not those of the wrap").await;
    opens(&free, &loose).await;
    // Claiming that it is bound to nothing helps nobody.
    let mut claimed = blob.clone();
    claimed.bytes[1..5].fill(0);
    fails(&bound, &claimed, "foreign", "none of a TPM").await;
    // Started as before.
    drop(tpm);
    let tpm = Soft::start(state.path());
    opens(&tpm.seal(&[("pcrs", "0,7")]), &blob).await;
}

#[tokio::test]
async fn a_tpm_that_is_away_is_down() {
    if !installed() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let tpm = Soft::start(state.path());
    let (seal, port) = (tpm.seal(&[]), tpm.port);
    let blob = seal.wrap(&share()).await.unwrap();
    drop(tpm);
    fails(&seal, &blob, "down", "can't be reached").await;
    let _tpm = Soft::start_at(state.path(), port);
    opens(&seal, &blob).await;
    let none = self::seal(&[("tcti", "device:/nonexistent/tpm")]);
    fails(&none, &blob, "down", "not found").await;
}

#[tokio::test]
async fn an_owner_may_have_a_password() {
    if !installed() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let tpm = Soft::start(state.path());
    let blob = tpm.seal(&[]).wrap(&share()).await.unwrap();
    let auth = Auth::try_from(b"mine".to_vec()).unwrap();
    tpm.act(|tpm| tpm.hierarchy_change_auth(AuthHandle::Owner, auth))
        .unwrap();
    for more in [&[][..], &[("owner_auth", "yours")]] {
        fails(&tpm.seal(more), &blob, "refused", "owner's password").await;
    }
    opens(&tpm.seal(&[("owner_auth", "mine")]), &blob).await;
}
