//! `keyfold demo`, as a process: what it says, what it leaves behind, how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The program, with a folder for temporary files of its own.
fn demo(temp: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyfold"));
    command
        .arg("demo")
        .env("TMPDIR", temp.path())
        .env("HOME", temp.path());
    command
}

fn nothing_is_left(temp: &TempDir) {
    let left: Vec<_> = fs::read_dir(temp.path()).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// Tells the story and checks what every telling has.
fn told(file: Option<&Path>) -> String {
    let temp = tempfile::tempdir().unwrap();
    let output = demo(&temp).args(file).output().unwrap();
    let (said, complained) = text(&output);
    assert_eq!(
        (output.status.code(), complained.as_str()),
        (Some(0), ""),
        "{said}"
    );
    for line in [
        "Initialised: 5 shares, any 3 open it. It is sealed.",
        "Share 2 of 3: still sealed.",
        "Share 3 of 3: unsealed",
        "Service B is refused: 403",
        "can't decrypt: 403. It may only rewrap.",
        ": 1,024 bytes of ",
        "the stale copy no longer opens.",
        "Term 1 to 2 in ",
        ": 3 of 3 DEKs re-wrapped, 0 of ",
        "Sealed: service A can't open the file.",
        "Service A decrypts the file: the same bytes as the original.",
        "|- DEK of service-a/",
        "KEK service-a/files  version 2; what is below 2 opens nothing",
        "Everything held.",
    ] {
        assert!(said.contains(line), "{line:?} is not in\n{said}");
    }
    let hash = |when: &str| {
        let line = said.lines().find(|line| line.contains(when)).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(hash("payload before:"), hash("payload after:"));
    assert!(
        said.is_ascii() && !said.contains('\x1b'),
        "piped, it is plain"
    );
    nothing_is_left(&temp);
    said
}

#[test]
fn on_a_file_of_ones_own_which_is_only_read() {
    let home = tempfile::tempdir().unwrap();
    for len in [0, 1, 16_384, 300_000] {
        let file = home.path().join(format!("résumé-{len}.pdf"));
        let bytes: Vec<u8> = (0..len).map(|n: u32| (n % 251) as u8).collect();
        fs::write(&file, &bytes).unwrap();
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        let said = told(Some(&file));
        assert!(said.contains(&format!("DEK of r?sum?-{len}.pdf.kf  wrapped by version 2")));
        assert_eq!(fs::read(&file).unwrap(), bytes);
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), modified);
    }
    assert_eq!(
        fs::read_dir(home.path()).unwrap().count(),
        4,
        "nothing beside the files"
    );
}

#[test]
fn on_a_sample_where_no_file_is_given() {
    assert!(told(None).contains("sample.bin (8,388,608 bytes, a sample made for this run)"));
}

#[test]
fn a_file_that_is_none_is_said_so() {
    for file in ["/nonexistent/file", "/"] {
        let temp = tempfile::tempdir().unwrap();
        let output = demo(&temp).arg(file).output().unwrap();
        let (_, complained) = text(&output);
        assert_eq!(output.status.code(), Some(1));
        assert!(complained.contains(file), "{complained}");
        nothing_is_left(&temp);
    }
}

#[test]
fn a_signal_ends_it_and_nothing_is_left() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let (home, temp) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = home.path().join("big");
        // Big enough to be still at work when the signal comes.
        File::create(&file).unwrap().set_len(256 << 20).unwrap();
        let mut child = demo(&temp)
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("3. ") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended early");
        }
        let kill = format!("kill -{signal} {}", child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        nothing_is_left(&temp);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_reason_to_leave_something() {
    let temp = tempfile::tempdir().unwrap();
    let mut child = demo(&temp).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(141));
    nothing_is_left(&temp);
}
