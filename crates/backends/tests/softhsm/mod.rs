//! Tokens of SoftHSM2. The library reads its configuration from the environment, so a test that uses
//! one is a child of itself.

use std::path::{Path, PathBuf};
use std::process::Command;

pub const PIN: &str = "123456";
pub const LABEL: &str = "keyfold";

/// Runs the test `inside` of this program again, with `variable` naming a folder that has tokens with
/// these labels; `fill` brings keys. Without the library it says so, and does nothing.
pub fn in_a_child(variable: &str, labels: &[&str], fill: impl FnOnce(&Path)) {
    if library().is_none() {
        eprintln!("skipped: SoftHSM2 is not installed (apt-get install softhsm2)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    prepare(here, labels);
    fill(here);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["inside", "--exact", "--nocapture", "--test-threads=1"])
        .env(variable, here)
        .env("SOFTHSM2_CONF", here.join("softhsm2.conf"))
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}{}",
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr)
    );
}

pub fn library() -> Option<PathBuf> {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
    ];
    places
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
}

/// What its own tool does in a folder.
pub fn util(folder: &Path, arguments: &[&str]) {
    let ran = Command::new("softhsm2-util")
        .args(arguments)
        .env("SOFTHSM2_CONF", folder.join("softhsm2.conf"))
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// A configuration, and tokens without keys.
fn prepare(folder: &Path, labels: &[&str]) {
    let tokens = folder.join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let config = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(folder.join("softhsm2.conf"), config).unwrap();
    for label in labels {
        let pins = ["--init-token", "--free", "--pin", PIN, "--so-pin", "654321"];
        util(folder, &[&pins[..], &["--label", label]].concat());
    }
}
