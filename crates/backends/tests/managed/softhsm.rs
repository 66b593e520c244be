//! A token of SoftHSM2.

use std::path::{Path, PathBuf};
use std::process::Command;

pub const PIN: &str = "123456";
pub const LABEL: &str = "keyfold";

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

/// A folder with a configuration, and two tokens without keys.
pub fn prepare(folder: &Path) {
    let tokens = folder.join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let config = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(folder.join("softhsm2.conf"), config).unwrap();
    for label in [LABEL, "other"] {
        let ran = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--pin", PIN, "--so-pin", "654321"])
            .args(["--label", label])
            .env("SOFTHSM2_CONF", folder.join("softhsm2.conf"))
            .output()
            .unwrap();
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}
