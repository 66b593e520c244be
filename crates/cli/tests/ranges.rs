//! Parts of an envelope and its length, and pipes that get all of it or nothing, against a real server.
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
use std::process::Stdio;

use serde_json::json;
use support::{Ran, Server, noise};

const CHUNK: usize = 16_384;
const LENGTH: usize = 3 * CHUNK + 100;

/// A server, and `f.kf` made of noise.
fn envelope(length: usize) -> (Server, Vec<u8>) {
    let server = Server::dev();
    server.ok(&["secrets", "enable", "transit"]);
    server.ok(&["write", "-f", "transit/keys/payments"]);
    let plain = noise(length);
    fs::write(server.path("f"), &plain).unwrap();
    server.ok(&["encrypt", "-key=transit/payments", "f"]);
    (server, plain)
}

#[test]
fn a_range_is_that_slice_of_the_plaintext() {
    let (server, plain) = envelope(LENGTH);
    for (range, slice) in [
        ("0-0", 0..1),
        ("0-99", 0..100),
        ("16383-16384", CHUNK - 1..CHUNK + 1),
        ("100-40000", 100..40_001),
        ("49251-49251", LENGTH - 1..LENGTH),
        ("49000-", 49_000..LENGTH),
        ("0-", 0..LENGTH),
        ("-1", LENGTH - 1..LENGTH),
        ("-20000", LENGTH - 20_000..LENGTH),
        ("-49252", 0..LENGTH),
    ] {
        let ran = server.run(&["decrypt", "--range", range, "f.kf"]);
        assert_eq!(ran.code, 0, "{range}: {}", ran.stderr);
        assert!(ran.stdout == plain[slice], "{range}");
    }
    let written = server.json(&["decrypt", "-range=5-8", "-o", "part", "f.kf"]);
    assert_eq!(written["plaintext_bytes"], 4);
    assert_eq!(fs::read(server.path("part")).unwrap(), plain[5..9]);
    assert_eq!(
        server
            .run(&["decrypt", "-range=5-8", "-o", "part", "f.kf"])
            .code,
        1
    );

    // Redirected, standard input is a file; a pipe is none.
    let mut command = server.command("root");
    command
        .args(["decrypt", "-range=7-9", "-"])
        .stdin(File::open(server.path("f.kf")).unwrap());
    assert_eq!(command.output().unwrap().stdout, plain[7..10]);
    let sealed = fs::read(server.path("f.kf")).unwrap();
    let piped = server.piped(&["decrypt", "-range=7-9", "-"], &sealed);
    assert_eq!((piped.code, piped.stdout.len()), (1, 0), "{}", piped.stderr);
    assert!(piped.stderr.contains("regular file"), "{}", piped.stderr);
}

#[test]
fn what_is_not_there_has_its_exit_code() {
    let (server, plain) = envelope(LENGTH);
    fs::write(server.path("e"), "").unwrap();
    server.ok(&["encrypt", "-key=transit/payments", "e"]);
    for (range, file) in [
        ("49252-49252", "f.kf"),
        ("49252-", "f.kf"),
        ("0-49252", "f.kf"),
        ("-49253", "f.kf"),
        ("18446744073709551615-18446744073709551615", "f.kf"),
        ("0-0", "e.kf"),
        ("0-", "e.kf"),
        ("-1", "e.kf"),
    ] {
        let ran = server.run(&["decrypt", "-range", range, file]);
        assert_eq!(
            (ran.code, ran.stdout.len()),
            (33, 0),
            "{range}: {}",
            ran.stderr
        );
        let ran = server.run(&["decrypt", "-range", range, "-o", "none", file]);
        assert_eq!(ran.code, 33);
        assert!(!server.path("none").exists());
    }
    for range in ["9-8", "-0", "x", "1", "", "1-2-3"] {
        let ran = server.run(&["decrypt", "-range", range, "f.kf"]);
        assert_eq!(
            (ran.code, ran.stdout.len()),
            (1, 0),
            "{range}: {}",
            ran.stderr
        );
    }

    // A cut file still gives what is left of it, and nothing that depends on its end.
    let sealed = fs::read(server.path("f.kf")).unwrap();
    fs::write(server.path("cut.kf"), &sealed[..4096 + 2 * 16_400]).unwrap();
    let left = server.run(&["decrypt", "-range=16384-32767", "cut.kf"]);
    assert_eq!(left.code, 0, "{}", left.stderr);
    assert!(left.stdout == plain[CHUNK..2 * CHUNK]);
    for range in ["-5", "9-", "32768-32768"] {
        let ran = server.run(&["decrypt", "-range", range, "cut.kf"]);
        assert_eq!((ran.code, ran.stdout.len()), (15, 0), "{range}");
    }
}

#[test]
fn the_length_follows_from_the_file_alone() {
    for length in [0, 1, CHUNK - 1, CHUNK, LENGTH] {
        let (server, _) = envelope(length);
        let offline = |arguments: &[&str]| {
            let mut command = support::bare(server.home.path());
            Ran::of(command.args(arguments).output().unwrap())
        };
        let ran = offline(&["inspect", "--plaintext-size", "f.kf"]);
        assert_eq!((ran.code, ran.text()), (0, format!("{length}\n")));
        let ran = offline(&["inspect", "-plaintext-size", "-format=json", "f.kf"]);
        let found: serde_json::Value = serde_json::from_str(&ran.text()).unwrap();
        assert_eq!(found, json!({ "plaintext_bytes": length }));
        let ran = offline(&["inspect", "-format=json", "f.kf"]);
        let found: serde_json::Value = serde_json::from_str(&ran.text()).unwrap();
        assert_eq!(found["plaintext_bytes"], length);
        if length == LENGTH {
            let sealed = fs::read(server.path("f.kf")).unwrap();
            fs::write(server.path("cut.kf"), &sealed[..4096 + 16_400]).unwrap();
            assert_eq!(offline(&["inspect", "-plaintext-size", "cut.kf"]).code, 15);
            let piped = server.piped(&["inspect", "-plaintext-size", "-"], &sealed);
            assert_eq!(piped.code, 1, "{}", piped.stderr);
        }
    }
}

#[test]
fn verified_first_a_pipe_gets_all_or_nothing() {
    let (server, plain) = envelope(LENGTH);
    let good = fs::read(server.path("f.kf")).unwrap();
    let whole = server.run(&["decrypt", "--verify-first", "-o", "-", "f.kf"]);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    assert!(whole.stdout == plain);

    let mut flipped = good.clone();
    flipped[4096 + 2 * 16_400 + 9] ^= 1;
    let mut end = good.clone();
    *end.last_mut().unwrap() ^= 1;
    let trailing = [&good[..], b"x"].concat();
    for (bytes, code, released) in [
        (&flipped[..], 17, 2 * CHUNK),
        (&end, 16, 3 * CHUNK),
        (&good[..4096 + 16_400], 15, CHUNK),
        (&trailing, 19, 3 * CHUNK),
    ] {
        fs::write(server.path("bad.kf"), bytes).unwrap();
        let plainly = server.run(&["decrypt", "-o", "-", "bad.kf"]);
        assert_eq!((plainly.code, plainly.stdout.len()), (code, released));
        assert!(plain.starts_with(&plainly.stdout));
        let verified = server.run(&["decrypt", "-verify-first", "-o", "-", "bad.kf"]);
        assert_eq!((verified.code, verified.stdout.len()), (code, 0));
    }
    let piped = server.piped(&["decrypt", "-verify-first", "-"], &good);
    assert_eq!((piped.code, piped.stdout.len()), (1, 0));
    assert!(piped.stderr.contains("read twice"), "{}", piped.stderr);
    let both = server.run(&["decrypt", "-verify-first", "-range=0-1", "f.kf"]);
    assert_eq!(both.code, 1);
}

/// Whatever the kind of the input is called, exit 0 means that none of it is there to be read.
#[test]
fn nothing_is_left_in_the_clear() {
    let (server, _) = envelope(1);
    for (name, content) in [
        ("empty.json", &b""[..]),
        ("ignored.json", br#"{"unencrypted_x":"CANARY-7"}"#),
        ("bin.dat", b"\x00\xff\x89KFLDCANARY-7\r\n\x1a"),
        ("x.unknown", b"CANARY-7"),
        ("y.kf", b"CANARY-7 under the name of an envelope"),
    ] {
        fs::write(server.path(name), content).unwrap();
        server.ok(&[
            "encrypt",
            "-key=transit/payments",
            "-force",
            "-o",
            "out",
            name,
        ]);
        let made = fs::read(server.path("out")).unwrap();
        assert!(!made.windows(8).any(|bytes| bytes == b"CANARY-7"), "{name}");
        server.ok(&["inspect", "out"]);
        assert_eq!(server.run(&["decrypt", "-o", "-", "out"]).stdout, content);
    }
    // A pipe that nobody reads the end of is no success either.
    let mut command = server.command("root");
    command
        .args(["encrypt", "-key=transit/payments", "-"])
        .stdin(Stdio::null())
        .stdout(File::options().write(true).open("/dev/full").unwrap());
    assert_eq!(command.output().unwrap().status.code(), Some(1));
}
