//! A disk that takes no more, under each command that writes envelopes: what was there stays, nothing is left over, and the
//! error names what could not be written. The limit of a process for the length of files stands for the disk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]
#![allow(
    dead_code,
    reason = "each test binary uses its part of the support module"
)]

mod support;

use std::fs::{self, File};
use std::process::{Command, Stdio};

use support::{KEYFOLD, Ran, Server, noise};

const FULL: &str = "File too large";

/// Runs a command that may write files of so many KiB. `out` is its standard output, where that is a file.
fn limited(server: &Server, kib: u32, out: Option<&str>, arguments: &[&str]) -> Ran {
    let mut command = Command::new("bash");
    command
        .arg("-c")
        .arg(format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\""))
        .args(["bash", KEYFOLD])
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", server.home.path())
        .env("VAULT_ADDR", &server.address)
        .env("VAULT_TOKEN", "root")
        .current_dir(server.home.path())
        .stdin(File::open(server.path("plain")).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(out) = out {
        command.stdout(File::create(server.path(out)).unwrap());
    }
    Ran::of(command.spawn().unwrap().wait_with_output().unwrap())
}

/// A server, a file `plain` and its envelope `plain.kf`, both longer than the disk has room for.
fn site() -> Server {
    let server = Server::dev();
    server.ok(&["secrets", "enable", "transit"]);
    server.ok(&["write", "-f", "transit/keys/payments"]);
    fs::write(server.path("plain"), noise(50_000)).unwrap();
    server.ok(&["encrypt", "-key=transit/payments", "plain"]);
    server
}

fn files(server: &Server) -> Vec<String> {
    let entries = fs::read_dir(server.home.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Runs a command on the full disk: it fails, names `written`, and changes no file.
fn fails(server: &Server, kib: u32, written: &str, arguments: &[&str]) {
    let before = files(server);
    let contents = |names: &[String]| -> Vec<Vec<u8>> {
        let read = |name: &String| fs::read(server.path(name)).unwrap_or_default();
        names.iter().map(read).collect()
    };
    let were = contents(&before);
    let ran = limited(server, kib, None, arguments);
    assert_eq!(ran.code, 1, "{arguments:?}: {}", ran.stderr);
    let named = format!("can't write {written}");
    assert!(
        ran.stderr.contains(&named) && ran.stderr.contains(FULL),
        "{arguments:?}: {}",
        ran.stderr
    );
    assert_eq!(files(server), before, "{arguments:?}");
    assert!(contents(&before) == were, "{arguments:?}");
}

#[test]
fn what_does_not_fit_leaves_what_was_there() {
    let server = site();
    let key = "-key=transit/payments";
    fails(
        &server,
        8,
        "new.kf",
        &["encrypt", key, "-o", "new.kf", "plain"],
    );
    fails(&server, 8, "plain.kf", &["encrypt", key, "-f", "plain"]);
    fails(
        &server,
        8,
        "new.kf",
        &["encrypt", key, "-o", "new.kf", "/dev/stdin"],
    );
    fails(&server, 8, "new", &["decrypt", "-o", "new", "plain.kf"]);
    fails(&server, 8, "plain", &["decrypt", "-f", "plain.kf"]);
    fails(
        &server,
        8,
        "new",
        &["decrypt", "-range=100-", "-o", "new", "plain.kf"],
    );
    let home = fs::canonicalize(server.home.path()).unwrap();
    let whole = home.join("plain.kf").display().to_string();
    fails(&server, 8, &whole, &["reencrypt", "plain.kf"]);
    // With room again the same commands do it.
    server.ok(&["reencrypt", "plain.kf"]);
    server.ok(&["decrypt", "-o", "again", "plain.kf"]);
    let plain = fs::read(server.path("plain")).unwrap();
    assert!(fs::read(server.path("again")).unwrap() == plain);
}

#[test]
fn a_pipe_into_a_full_disk_names_the_pipe() {
    let server = site();
    for arguments in [
        &["encrypt", "-key=transit/payments", "-o", "-", "plain"][..],
        &["decrypt", "-o", "-", "plain.kf"],
        &["decrypt", "-range=100-", "plain.kf"],
        &["decrypt", "-verify-first", "-o", "-", "plain.kf"],
    ] {
        let ran = limited(&server, 8, Some("out"), arguments);
        assert_eq!(ran.code, 1, "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("can't write standard output") && ran.stderr.contains(FULL),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_rewrap_needs_no_room_and_where_nothing_can_be_written_the_old_wrap_stays() {
    let server = site();
    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    let before = fs::read(server.path("plain.kf")).unwrap();
    let refused = limited(&server, 0, None, &["rewrap", "-no-register", "plain.kf"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("plain.kf") && refused.stderr.contains(FULL),
        "{}",
        refused.stderr
    );
    assert!(fs::read(server.path("plain.kf")).unwrap() == before);
    // Its writes are of what is there: a disk that is only full is no matter.
    let done = limited(&server, 4, None, &["rewrap", "-no-register", "plain.kf"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let after = fs::read(server.path("plain.kf")).unwrap();
    assert!(after != before && after[4096..] == before[4096..]);
    assert!(server.run(&["decrypt", "-o", "-", "plain.kf"]).stdout.len() == 50_000);
}
