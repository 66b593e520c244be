//! `keyfold reencrypt` of many envelopes against a real server: killed at any moment and started again.
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

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Server, noise};

const ENVELOPES: usize = 12;

fn server() -> Server {
    let server = Server::dev();
    server.ok(&["secrets", "enable", "transit"]);
    server.ok(&["write", "-f", "transit/keys/payments"]);
    fs::create_dir(server.path("data")).unwrap();
    server
}

fn name(number: usize) -> String {
    format!("data/{number:02}.kf")
}

/// Makes an envelope of each plaintext.
fn seal(server: &Server, key: &str, plains: &[Vec<u8>]) {
    for (number, plain) in plains.iter().enumerate() {
        let sealed = server.piped(&["encrypt", key, "-o", &name(number), "-"], plain);
        assert_eq!(sealed.code, 0, "{}", sealed.stderr);
    }
}

/// The random names of the envelopes, which are new with each DEK.
fn ids(server: &Server) -> Vec<Vec<u8>> {
    let id = |number| fs::read(server.path(&name(number))).unwrap()[16..32].to_vec();
    (0..ENVELOPES).map(id).collect()
}

fn is_in_use(old: &[Vec<u8>], now: &[Vec<u8>]) -> Vec<bool> {
    old.iter().zip(now).map(|(old, now)| old == now).collect()
}

fn files(server: &Server) -> Vec<String> {
    let entries = fs::read_dir(server.path("data")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn check(server: &Server, open: &[&str], plains: &[Vec<u8>]) {
    for (number, plain) in plains.iter().enumerate() {
        let opened = server.run(&[&["decrypt", "-o", "-", &name(number)], open].concat());
        assert_eq!(opened.code, 0, "{}: {}", name(number), opened.stderr);
        assert!(opened.stdout == *plain, "{}", name(number));
    }
}

fn start(server: &Server, arguments: &[&str]) -> Child {
    let mut command = server.command("root");
    command.arg("reencrypt").args(arguments).arg("data");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Kills the run when its journal tells of so many more envelopes, some microseconds later. True where
/// it had not ended by itself.
fn killed(server: &Server, child: &mut Child, journal: &str, after: usize, later: u64) -> bool {
    let told = || {
        let text = fs::read_to_string(server.path(journal)).unwrap_or_default();
        text.matches("\"replacing\"").count()
    };
    while told() < after && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_micros(200));
    }
    thread::sleep(Duration::from_micros(later));
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

#[test]
fn killed_at_any_moment_it_goes_on() {
    let server = server();
    let plains: Vec<_> = (0..ENVELOPES)
        .map(|at| noise(100_000 + 9_000 * at))
        .collect();
    seal(&server, "-key=transit/payments", &plains);
    let (mut kills, mut halves) = (0, 0);
    // A whole run, in as many steps as it is killed; another one where it ended too soon.
    for round in 0..10 {
        let old = ids(&server);
        let journal = format!("j{round}");
        let flag = format!("--journal={journal}");
        for step in 0..5u64 {
            let mut child = start(&server, &["--workers=2", &flag]);
            let after = 1 + 2 * usize::try_from(step).unwrap();
            let killed = killed(&server, &mut child, &journal, after, 700 * step);
            let left = is_in_use(&old, &ids(&server));
            kills += usize::from(killed);
            halves += usize::from(left.contains(&true) && left.contains(&false));
            check(&server, &[], &plains);
            if !killed {
                break;
            }
        }
        let done = server.json(&["reencrypt", &flag, "data"]);
        assert_eq!(
            (&done["failed"], &done["stopped"]),
            (&json!(0), &Value::Null)
        );
        let count = |member: &str| done[member].as_u64().unwrap();
        assert_eq!(
            count("reencrypted") + count("already_made"),
            ENVELOPES as u64,
            "{done}"
        );
        let new = ids(&server);
        assert!(!is_in_use(&old, &new).contains(&true), "all have a new DEK");
        assert_eq!(new.iter().collect::<BTreeSet<_>>().len(), ENVELOPES);
        let names: Vec<_> = (0..ENVELOPES).map(|at| format!("{at:02}.kf")).collect();
        assert_eq!(files(&server), names, "nothing is left over");
        check(&server, &[], &plains);
        if kills > 2 && halves > 1 {
            return;
        }
    }
    panic!("it was killed {kills} times, {halves} of them halfway");
}

#[test]
fn what_a_killed_run_left_is_no_envelope() {
    let server = server();
    let plains = [noise(20_000)];
    seal(&server, "-key=transit/payments", &plains);
    // Whole, and not yet under its name; of the envelope, and of one that is gone.
    for left in [
        "data/.00.kf.0123456789abcdef.part",
        "data/.99.kf.0123456789abcdef.part",
    ] {
        fs::copy(server.path(&name(0)), server.path(left)).unwrap();
    }
    let counted = server.json(&["census", "data"]);
    assert_eq!(counted["versions"][0]["files"], 1, "{counted}");
    let done = server.json(&["reencrypt", "data"]);
    assert_eq!(
        (&done["reencrypted"], &done["failed"]),
        (&json!(1), &json!(0)),
        "{done}"
    );
    assert_eq!(
        files(&server),
        [".99.kf.0123456789abcdef.part", "00.kf"],
        "what may be another program's stays"
    );
    check(&server, &[], &plains);
}

#[test]
fn what_is_under_a_keyring_comes_under_its_next_dek() {
    let server = server();
    server.ok(&[
        "keyring",
        "create",
        "-key=transit/payments",
        "-store=ring",
        "payments",
    ]);
    let plains: Vec<_> = (0..6).map(|_| noise(150_000)).collect();
    let ring = "--keyring=ring";
    seal(&server, ring, &plains);
    let read = || -> Vec<_> {
        let numbers = 0..plains.len();
        numbers
            .map(|at| fs::read(server.path(&name(at))).unwrap())
            .collect()
    };
    let before = read();
    for (arguments, says) in [
        (&["reencrypt", "data"][..], "--keyring STORE"),
        (&["reencrypt", ring, "data"], "keyfold keyring rotate STORE"),
        (
            &["reencrypt", "--dry-run", ring, "data"],
            "keyfold keyring rotate STORE",
        ),
    ] {
        let refused = server.run(arguments);
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(refused.stderr.contains(says), "{}", refused.stderr);
    }
    assert!(read() == before);

    server.ok(&["keyring", "rotate", "ring"]);
    let mut child = start(&server, &["--workers=1", "--journal=j", ring]);
    killed(&server, &mut child, "j", 2, 0);
    check(&server, &[ring], &plains);
    let done = server.json(&["reencrypt", "--journal=j", ring, "data"]);
    let count = |member: &str| done[member].as_u64().unwrap();
    assert_eq!(count("failed"), 0, "{done}");
    assert_eq!(count("reencrypted") + count("already_made"), 6, "{done}");
    assert!(
        read()
            .iter()
            .zip(&before)
            .all(|(new, old)| new[16..32] != old[16..32])
    );
    assert_eq!(files(&server).len(), plains.len());
    server.ok(&["keyring", "destroy", "-force", "ring", "1"]);
    check(&server, &[ring], &plains);
    // What a run without the journal meets is not passed over as if it were known to be new.
    assert_eq!(server.run(&["reencrypt", ring, "data"]).code, 1);
}
