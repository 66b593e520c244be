//! The demo's second part, `scripts/incidents.sh`: it says what the README shows, and leaves nothing, however it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use keyfold_tests::Binary;
use tempfile::TempDir;

const README: &str = include_str!("../../README.md");

#[test]
fn it_says_what_the_readme_shows() {
    let temp = tempfile::tempdir().unwrap();
    let output = incidents(&temp).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}{complained}");
    nothing_is_left(&temp);
    if left_out(&said) {
        return;
    }
    assert_eq!(complained, "", "{said}");
    assert!(
        said.is_ascii() && !said.contains('\x1b'),
        "piped, it is plain"
    );
    let (_, shown) = README
        .split_once("Part two:")
        .expect("the README shows part two");
    let (shown, _) = shown.split_once("```").unwrap();
    let (_, said) = said.split_once("Part two:").unwrap();
    for (shown, said) in shown.trim().lines().zip(said.trim().lines()) {
        assert_eq!(without_figures(shown), without_figures(said));
    }
    assert_eq!(shown.trim().lines().count(), said.trim().lines().count());
}

#[test]
fn a_signal_ends_it_and_nothing_is_left() {
    // With one server there, with another one, and while a command is at work.
    for (signal, code, line) in [
        ("TERM", 143, "8. "),
        ("TERM", 143, "   ok The running server does not notice"),
        ("INT", 130, "10. "),
        ("HUP", 129, "   $ keyfold operator snapshot restore"),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let mut child = incidents(&temp).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut until = lines.by_ref().map(Result::unwrap);
        let reached = until.find(|said| said.starts_with(line) || left_out(said));
        if reached.is_some_and(|said| said.starts_with(line)) {
            let kill = format!("kill -{signal} {}", child.id());
            let killed = Command::new("sh").args(["-c", &kill]).status().unwrap();
            assert!(killed.success());
            lines.for_each(drop);
            assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        } else {
            assert_eq!(child.wait().unwrap().code(), Some(0), "left out");
        }
        nothing_is_left(&temp);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_reason_to_leave_something() {
    let temp = tempfile::tempdir().unwrap();
    let mut child = incidents(&temp).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until = lines.by_ref().map(Result::unwrap);
    let reached = until.find(|said| said.starts_with("8. ") || left_out(said));
    drop(lines);
    let code = match reached.is_some_and(|said| said.starts_with("8. ")) {
        true => 141,
        false => 0,
    };
    assert_eq!(child.wait().unwrap().code(), Some(code));
    nothing_is_left(&temp);
}

/// The script, with a folder for temporary files of its own, and with settings that are not meant for it.
fn incidents(temp: &TempDir) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/incidents.sh");
    // Whoever runs the tests in the background may have these ignored, and a shell can't undo that.
    let mut command = Command::new("env");
    command
        .arg("--default-signal=HUP,INT")
        .arg(script)
        .env("KEYFOLD_BIN", Binary::keyfold().unwrap().path())
        .env("TMPDIR", temp.path())
        .env("VAULT_TOKEN", "another server's")
        .env("BAO_ADDR", "http://127.0.0.1:1")
        .env("KEYFOLD_FORMAT", "json");
    command
}

fn left_out(said: &str) -> bool {
    let left_out = said.contains("is left out: SoftHSM2 is not here");
    if left_out {
        eprintln!("skipped: SoftHSM2 is not installed (apt-get install softhsm2)");
    }
    left_out
}

/// No file, and no process that works where the files were.
fn nothing_is_left(temp: &TempDir) {
    let left: Vec<_> = fs::read_dir(temp.path()).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    for process in fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(at) = fs::read_link(process.path().join("cwd")) {
            assert!(!at.starts_with(temp.path()), "{process:?} is in {at:?}");
        }
    }
}

/// What differs from run to run, as `#`.
fn without_figures(line: &str) -> String {
    let mut text = String::new();
    for c in line.trim_end().chars() {
        match c.is_ascii_digit() {
            true if text.ends_with('#') => {}
            true => text.push('#'),
            false => text.push(c),
        }
    }
    text
}
