//! The data plane against a real server: files, pipes, rotation, and an exit code for each fault.
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

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use support::{Ran, Server, bare, noise};

/// Several batches of the parallel engine, and no whole number of chunks.
const LENGTH: usize = 9_000_001;

fn server() -> Server {
    let server = Server::dev();
    server.ok(&["secrets", "enable", "transit"]);
    server.ok(&["write", "-f", "transit/keys/payments"]);
    server
}

#[test]
fn a_file_there_and_back() {
    let server = server();
    let plain = noise(LENGTH);
    fs::write(server.path("report"), &plain).unwrap();
    let encrypt = [
        "encrypt",
        "--key",
        "transit/payments",
        "--context",
        "tenant=a",
        "report",
    ];
    let made = server.json(&encrypt);
    assert_eq!(
        (&made["path"], &made["version"]),
        (&json!("report.kf"), &json!(1))
    );
    let sealed = fs::read(server.path("report.kf")).unwrap();
    assert_eq!(made["envelope_bytes"], sealed.len());

    // Neither command replaces what is there.
    assert_eq!(server.run(&encrypt).code, 1);
    assert_eq!(
        server
            .run(&["decrypt", "-context=tenant=a", "report.kf"])
            .code,
        1
    );
    assert_eq!(fs::read(server.path("report.kf")).unwrap(), sealed);
    let forced = [&encrypt[..], &["-force"]].concat();
    server.ok(&forced);
    assert_ne!(
        fs::read(server.path("report.kf")).unwrap(),
        sealed,
        "a fresh DEK each time"
    );

    server.ok(&["decrypt", "-context", "tenant=a", "-o", "back", "report.kf"]);
    assert!(fs::read(server.path("back")).unwrap() == plain);
    fs::remove_file(server.path("report")).unwrap();
    server.ok(&["decrypt", "-context", "tenant=a", "report.kf"]);
    assert!(fs::read(server.path("report")).unwrap() == plain);
}

#[test]
fn pipes_there_and_back() {
    let server = server();
    for length in [0, 1, 16_384, LENGTH] {
        let plain = noise(length);
        let sealed = server.piped(&["encrypt", "-key=transit/payments", "-"], &plain);
        assert_eq!(sealed.code, 0, "{}", sealed.stderr);
        let opened = server.piped(&["decrypt", "-"], &sealed.stdout);
        assert_eq!(opened.code, 0, "{}", opened.stderr);
        assert!(opened.stdout == plain, "{length}");
        fs::write(server.path("s.kf"), &sealed.stdout).unwrap();
        server.ok(&["decrypt", "-force", "s.kf"]);
        assert!(fs::read(server.path("s")).unwrap() == plain, "{length}");
        let to_file = [
            "encrypt",
            "-key=transit/payments",
            "-force",
            "-o",
            "t.kf",
            "-",
        ];
        assert_eq!(server.piped(&to_file, &plain).code, 0);
        assert!(
            server.run(&["decrypt", "t.kf", "-o", "-"]).stdout == plain,
            "{length}"
        );
    }
}

#[test]
fn rotation_moves_the_header_and_not_the_payload() {
    let server = server();
    fs::create_dir(server.path("data")).unwrap();
    let plain = noise(100_000);
    for name in ["a", "b", "c"] {
        let path = server.path("data").join(name);
        fs::write(&path, &plain).unwrap();
        server.ok(&["encrypt", "-key=transit/payments", path.to_str().unwrap()]);
    }
    let copy = fs::read(server.path("data/a.kf")).unwrap();
    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);

    let tried = server.json(&["rewrap", "-dry-run", "data"]);
    assert_eq!(
        (&tried["rewrapped"], &tried["bytes_written"]),
        (&json!(3), &json!(0))
    );
    assert!(fs::read(server.path("data/a.kf")).unwrap() == copy);
    let done = server.json(&["rewrap", "-verify=commit", "data"]);
    assert_eq!(done["rewrapped"], 3);
    assert_eq!(done["bytes_written"], 3 * 1024);
    assert_eq!(done["other_files"], 3);
    assert_eq!(done["newest"], json!({"transit/payments": 2}));
    let again = server.json(&["rewrap", "data"]);
    assert_eq!(
        (&again["already_newest"], &again["bytes_written"]),
        (&json!(3), &json!(0))
    );

    let now = fs::read(server.path("data/a.kf")).unwrap();
    assert!(now[4040..] == copy[4040..], "the payload is untouched");
    let census = server.json(&["census", "data"]);
    let active: Vec<_> = census["versions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["state"] == "active")
        .map(|row| (row["version"].clone(), row["files"].clone()))
        .collect();
    assert_eq!(active, [(json!(2), json!(3))]);

    // The old version retired: a copy from before does not open, the rewrapped file does.
    server.ok(&[
        "write",
        "transit/keys/payments/config",
        "min_decryption_version=2",
    ]);
    fs::write(server.path("stale.kf"), &copy).unwrap();
    let stale = server.run(&["decrypt", "stale.kf"]);
    assert_eq!(stale.code, 23, "{}", stale.stderr);
    assert!(!server.path("stale").exists());
    server.ok(&["decrypt", "-o", "back", "data/a.kf"]);
    assert!(fs::read(server.path("back")).unwrap() == plain);
}

#[test]
fn rewrap_needs_no_right_to_decrypt() {
    let server = server();
    fs::write(server.path("f"), "x").unwrap();
    server.ok(&["encrypt", "-key=transit/payments", "f"]);
    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    let policy = "path \"transit/rewrap/payments\" { capabilities = [\"update\"] }\n\
                  path \"transit/keys/payments\" { capabilities = [\"read\"] }\n";
    assert_eq!(
        server
            .piped(&["policy", "write", "rewrapper", "-"], policy.as_bytes())
            .code,
        0
    );
    let token = server.ok(&["token", "create", "-policy=rewrapper", "-field=token"]);
    let denied = server.run_as(&token, &["decrypt", "-o", "-", "f.kf"]);
    assert_eq!(
        (denied.code, denied.stdout.len()),
        (24, 0),
        "{}",
        denied.stderr
    );
    let done = server.run_as(&token, &["rewrap", "-field=rewrapped", "f.kf"]);
    assert_eq!(
        (done.code, done.text().as_str()),
        (0, "1"),
        "{}",
        done.stderr
    );
    assert_eq!(server.run(&["decrypt", "-o", "-", "f.kf"]).stdout, b"x");
}

#[test]
fn each_fault_has_its_exit_code_and_leaves_no_output() {
    let server = server();
    let plain = noise(100_000);
    fs::write(server.path("f"), &plain).unwrap();
    server.ok(&["encrypt", "-key=transit/payments", "-context=a=b", "f"]);
    let good = fs::read(server.path("f.kf")).unwrap();
    let chunk = |number: usize| 4096 + number * 16_400;

    let mut flipped = good.clone();
    flipped[chunk(2) + 7] ^= 1;
    let mut swapped = good.clone();
    swapped[chunk(1)..chunk(2)].copy_from_slice(&good[chunk(2)..chunk(3)]);
    let mut end = good.clone();
    *end.last_mut().unwrap() ^= 1;
    let mut prelude = good.clone();
    prelude[300] = 1;
    let mut newer = good.clone();
    newer[8] = 2;
    let mut torn = good.clone();
    torn[512 + 200] ^= 1;
    let mut empty = good.clone();
    empty[512..1024].fill(0);
    let mut commitment = good.clone();
    commitment[4064] ^= 1;
    let trailing = [&good[..], b"x"].concat();

    for (what, bytes, codes) in [
        ("not an envelope", plain.clone(), &[10][..]),
        ("a newer format", newer, &[11]),
        ("a damaged header", prelude, &[12]),
        ("another key", commitment, &[14]),
        ("cut between chunks", good[..chunk(3)].to_vec(), &[15]),
        ("cut inside a chunk", good[..chunk(3) + 100].to_vec(), &[16]),
        ("a damaged end", end, &[16]),
        ("a corrupt chunk", flipped, &[17]),
        ("a swapped chunk", swapped, &[18]),
        ("trailing bytes", trailing, &[19]),
        ("no slot", empty, &[21]),
        ("a torn slot", torn, &[22]),
    ] {
        fs::write(server.path("bad.kf"), &bytes).unwrap();
        let ran = server.run(&["decrypt", "-context=a=b", "bad.kf"]);
        assert!(
            codes.contains(&ran.code),
            "{what}: {} {}",
            ran.code,
            ran.stderr
        );
        assert!(!server.path("bad").exists(), "{what}");
        let piped = server.piped(&["decrypt", "-context=a=b", "-"], &bytes);
        assert!(
            codes.contains(&piped.code),
            "{what} on a pipe: {} {}",
            piped.code,
            piped.stderr
        );
        assert!(
            plain.starts_with(&piped.stdout),
            "{what}: unauthentic bytes came out"
        );
    }
    for context in ["a=c", "b=b"] {
        let ran = server.run(&[
            "decrypt",
            &format!("-context={context}"),
            "-o",
            "out",
            "f.kf",
        ]);
        assert_eq!(ran.code, 13);
        assert!(!ran.stderr.contains(context));
    }
    let missing = server.run(&["encrypt", "-key=transit/misspelt", "-o", "out", "f"]);
    assert_eq!(missing.code, 25, "{}", missing.stderr);
    assert_eq!(
        server.json(&["list", "transit/keys"]),
        json!(["payments"]),
        "no key was made"
    );
    server.ok(&["operator", "seal"]);
    assert_eq!(
        server
            .run(&["decrypt", "-context=a=b", "-o", "out", "f.kf"])
            .code,
        28
    );
    let away = [
        "decrypt",
        "-address=http://127.0.0.1:1",
        "-context=a=b",
        "-o",
        "out",
        "f.kf",
    ];
    assert_eq!(server.run(&away).code, 27);
    assert_eq!(server.run(&["decrypt", "f.pdf"]).code, 1);
    assert!(!server.path("out").exists());
    assert!(parts(&server).is_empty());
}

#[test]
fn a_failed_decrypt_leaves_the_old_output() {
    let server = server();
    fs::write(server.path("bad.kf"), noise(9000)).unwrap();
    fs::write(server.path("bad"), "old").unwrap();
    assert_eq!(server.run(&["decrypt", "-force", "bad.kf"]).code, 10);
    assert_eq!(fs::read(server.path("bad")).unwrap(), b"old");
}

#[test]
fn inspect_and_census_need_no_server() {
    let server = server();
    let labels = ["-label-service=pay", "-label-purpose=test"];
    let arguments = [
        &["encrypt", "-key=transit/payments", "-o", "f.kf", "-"],
        &labels[..],
    ]
    .concat();
    assert_eq!(server.piped(&arguments, b"hello").code, 0);
    let offline = |arguments: &[&str]| {
        let mut command = bare(server.home.path());
        let ran = Ran::of(
            command
                .env("VAULT_ADDR", "http://127.0.0.1:1")
                .args(arguments)
                .output()
                .unwrap(),
        );
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.text()
    };
    let seen: serde_json::Value =
        serde_json::from_str(&offline(&["inspect", "-format=json", "f.kf"])).unwrap();
    assert_eq!(seen["plaintext_bytes"], 5);
    assert_eq!(seen["labels"]["service"], "pay");
    assert_eq!(seen["slots"][0]["key"], "transit/payments");
    assert_eq!(
        seen["slots"][0]["aad_bound"], true,
        "Keyfold takes associated data on rewrap"
    );
    assert!(offline(&["census", "f.kf"]).contains("transit/payments version 1    active"));
    // The folder has other files; one that claims to be an envelope is listed, and told by the code.
    fs::write(
        server.path("cut.kf"),
        &fs::read(server.path("f.kf")).unwrap()[..100],
    )
    .unwrap();
    let ran = server.run(&["census", "."]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("cut.kf"), "{}", ran.stderr);
}

#[test]
fn an_interrupt_removes_what_is_half_written() {
    let server = server();
    let mut command = server.command("root");
    command
        .args(["encrypt", "-key=transit/payments", "-o", "out.kf", "-"])
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&noise(100_000)).unwrap();
    while parts(&server).is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(parts(&server).is_empty());
    assert!(!server.path("out.kf").exists());
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let server = server();
    fs::write(server.path("f"), noise(LENGTH)).unwrap();
    server.ok(&["encrypt", "-key=transit/payments", "f"]);
    let mut command = server.command("root");
    command
        .args(["decrypt", "-o", "-", "f.kf"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut start = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut start).unwrap();
    drop(stdout);
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (141, ""));
}

/// Files under a temporary name.
fn parts(server: &Server) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(server.home.path()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "part"))
        .collect()
}
