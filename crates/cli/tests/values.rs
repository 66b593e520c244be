//! Envelopes and values under a keyring, against a real server that rotates, refuses, is sealed and is killed.
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
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::Server;

fn prepare(server: &Server) {
    server.ok(&["secrets", "enable", "transit"]);
    server.ok(&["write", "-f", "transit/keys/payments"]);
    server.ok(&[
        "keyring",
        "create",
        "payments",
        "-key=transit/payments",
        "-store=k",
    ]);
}

fn server() -> Server {
    let server = Server::dev();
    prepare(&server);
    server
}

/// A `keyfold value` process.
struct Lines {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Lines {
    fn start(server: &Server, token: &str, flags: &[&str]) -> Self {
        let mut command = server.command(token);
        command
            .args(["value", "-keyring=k"])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // One try a question: the tests take servers away.
        command.env("VAULT_MAX_RETRIES", "0");
        let mut child = command.spawn().unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn ask(&mut self, line: &Value) -> Value {
        self.write(&line.to_string());
        self.read()
    }

    fn write(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn read(&mut self) -> Value {
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn seal(&mut self) -> Value {
        self.ask(&line("seal", "plaintext", "aGVsbG8="))
    }

    fn open(&mut self, value: &str) -> Value {
        self.ask(&line("open", "value", value))
    }

    fn end(mut self) -> i32 {
        drop(self.stdin.take());
        self.child.wait().unwrap().code().unwrap()
    }
}

fn line(op: &str, member: &str, content: &str) -> Value {
    json!({"op": op, "table": "t", "column": "c", "key": "1", member: content})
}

/// How often the server decrypted with the key, by its census.
fn unwraps(server: &Server) -> u64 {
    let census = server.json(&["transit", "census", "payments"]);
    let versions = census["versions"].as_array().unwrap().iter();
    versions
        .filter_map(|version| version["operations"]["decrypt"].as_u64())
        .sum()
}

#[test]
fn lines_are_answered_in_order_and_faults_are_answers() {
    let server = server();
    let mut lines = Lines::start(&server, "root", &[]);
    // All at once: the answers come in the order of the lines.
    for n in 0..500 {
        let plaintext = keyfold_base64(format!("{n}").as_bytes());
        lines.write(&line("seal", "plaintext", &plaintext).to_string());
    }
    let sealed: Vec<_> = (0..500)
        .map(|_| lines.read()["value"].as_str().unwrap().to_owned())
        .collect();
    for value in &sealed {
        lines.write(&line("open", "value", value).to_string());
    }
    for n in 0..500 {
        assert_eq!(
            lines.read()["plaintext"],
            keyfold_base64(format!("{n}").as_bytes())
        );
    }
    for (bad, code) in [
        ("", 1),
        ("{", 1),
        ("[]", 1),
        ("\u{fffd}", 1),
        (r#"{"op":"x","key":"1"}"#, 1),
        (r#"{"op":"seal","key":"1"}"#, 1),
        (r#"{"op":"seal","key":"1","plaintext":"!"}"#, 1),
        (r#"{"op":"seal","plaintext":""}"#, 1),
        (
            r#"{"op":"seal","key":"1","key_base64":"MQ==","plaintext":""}"#,
            1,
        ),
        (r#"{"op":"open","key":"1","value":"hello"}"#, 36),
        (r#"{"op":"open","key":"1","value":"kf1:AQ"}"#, 36),
    ] {
        lines.write(bad);
        let answer = lines.read();
        assert_eq!(answer["exit_code"], code, "{bad}: {answer}");
    }
    // Another place, and a number that no DEK has.
    let elsewhere =
        json!({"op": "open", "table": "t", "column": "c", "key": "2", "value": sealed[0]});
    assert_eq!(lines.ask(&elsewhere)["exit_code"], 37);
    let binary = json!({"op": "open", "table": "t", "column": "c", "key_base64": "MQ==", "value": sealed[0]});
    assert_eq!(lines.ask(&binary)["plaintext"], keyfold_base64(b"0"));
    let counters = lines.ask(&json!({"op": "counters"}));
    assert_eq!(
        counters["misses"], 2,
        "one to seal, one to open: {counters}"
    );
    assert_eq!(lines.end(), 0);
    // What it counted ahead it gave back.
    assert_eq!(
        server.json(&["keyring", "show", "k"])["deks"][0]["uses"],
        500
    );
}

fn keyfold_base64(bytes: &[u8]) -> String {
    keyfold_api::base64::encode(bytes)
}

#[test]
fn one_value_by_the_command_line() {
    let server = server();
    let place = ["-keyring=k", "-table=t", "-column=c", "-key=1"];
    let sealed = server.piped(&[&["value", "seal"][..], &place].concat(), b"line\n\0");
    assert_eq!(sealed.code, 0, "{}", sealed.stderr);
    let text = sealed.text();
    assert!(text.starts_with("kf1:"), "{text}");
    let open = [&["value", "open"][..], &place, &[text.trim()]].concat();
    assert_eq!(server.run(&open).stdout, b"line\n\0");
    assert_eq!(server.json(&open)["plaintext"], keyfold_base64(b"line\n\0"));
    let wrong = [
        &["value", "open"][..],
        &place[..3],
        &["-key=2", text.trim()],
    ]
    .concat();
    let refused = server.run(&wrong);
    assert_eq!(
        (refused.code, refused.stdout.len()),
        (37, 0),
        "{}",
        refused.stderr
    );
    assert_eq!(
        server
            .run(&["value", "seal", "-table=t", "-column=c", "-key=1"])
            .code,
        1
    );
    let pinned = [
        &["value", "open", "-pin=transit/other"][..],
        &place,
        &[text.trim()],
    ]
    .concat();
    assert_eq!(server.run(&pinned).code, 1);
}

/// The check of bug case DP-09, with a shorter age.
#[test]
fn a_dek_in_constant_use_is_asked_for_once_an_age_and_not_after_a_revocation() {
    let server = server();
    let policy = "path \"transit/+/payments\" { capabilities = [\"read\", \"update\"] }\n";
    assert_eq!(
        server
            .piped(&["policy", "write", "user", "-"], policy.as_bytes())
            .code,
        0
    );
    let token = server.ok(&["token", "create", "-policy=user", "-field=token"]);
    let mut lines = Lines::start(&server, &token, &["-max-age=1s"]);
    let value = lines.seal()["value"].as_str().unwrap().to_owned();
    let before = unwraps(&server);
    let (start, mut opened) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_millis(2500) {
        assert_eq!(lines.open(&value)["plaintext"], "aGVsbG8=");
        opened += 1;
    }
    let lasted = start.elapsed().as_secs_f64();
    let asked = unwraps(&server) - before;
    assert!(opened > 100, "{opened}");
    // One at the start, and one in each 90 to 100 % of the age, as long as it lasted.
    let most = 2.0 + lasted / 0.9;
    assert!(
        asked >= 3 && (asked as f64) <= most,
        "{asked} in {lasted} s"
    );

    server.ok(&["token", "revoke", &token]);
    std::thread::sleep(Duration::from_millis(1100));
    for _ in 0..2 {
        assert_eq!(lines.open(&value)["exit_code"], 24);
        assert_eq!(lines.seal()["exit_code"], 24);
    }
    assert_eq!(lines.end(), 0);
}

/// The check of bug case DP-10: sealed, opened again, killed; never plaintext where a value belongs.
#[test]
fn a_server_that_is_away_is_an_error_until_it_is_back() {
    let server = Server::stored();
    let init = server.json(&["operator", "init", "-key-shares=1", "-key-threshold=1"]);
    let share = init["unseal_keys_b64"][0].as_str().unwrap().to_owned();
    let root = init["root_token"].as_str().unwrap().to_owned();
    server.ok(&["operator", "unseal", &share]);
    let ok = |arguments: &[&str]| {
        let ran = server.run_as(&root, arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
    };
    ok(&["secrets", "enable", "transit"]);
    ok(&["write", "-f", "transit/keys/payments"]);
    ok(&[
        "keyring",
        "create",
        "payments",
        "-key=transit/payments",
        "-store=k",
    ]);
    fs::write(server.path("f"), "CANARY").unwrap();
    ok(&["encrypt", "-keyring=k", "f"]);

    let mut strict = Lines::start(&server, &root, &["-max-age=1s"]);
    let mut lenient = Lines::start(&server, &root, &["-max-age=1s", "-offline-ttl=1h"]);
    let value = strict.seal()["value"].as_str().unwrap().to_owned();
    assert_eq!(lenient.open(&value)["plaintext"], "aGVsbG8=");
    assert!(lenient.seal()["value"].is_string());

    ok(&["operator", "seal"]);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(strict.seal()["exit_code"], 28);
    assert_eq!(strict.open(&value)["exit_code"], 28);
    // The allowance is for opening alone.
    assert_eq!(lenient.seal()["exit_code"], 28);
    assert_eq!(lenient.open(&value)["plaintext"], "aGVsbG8=");
    assert!(lenient.ask(&json!({"op": "counters"}))["offline_uses"].as_u64() > Some(0));

    server.ok(&["operator", "unseal", &share]);
    assert!(strict.seal()["value"].is_string(), "it recovers by itself");
    assert_eq!(strict.open(&value)["plaintext"], "aGVsbG8=");
    assert!(lenient.seal()["value"].is_string());

    let command = |arguments: &[&str]| {
        let mut command = server.command(&root);
        command.args(arguments);
        command
    };
    let (mut encrypt, mut decrypt) = (
        command(&["encrypt", "-keyring=k", "-o", "g.kf", "f"]),
        command(&["decrypt", "-keyring=k", "-o", "g", "f.kf"]),
    );
    let home = server.stop();
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(strict.seal()["exit_code"], 27);
    assert_eq!(strict.open(&value)["exit_code"], 27);
    assert_eq!(lenient.open(&value)["plaintext"], "aGVsbG8=");
    // A new process has nothing (DP-16): the key is with the server alone.
    for command in [&mut encrypt, &mut decrypt] {
        let ran = command.env("VAULT_MAX_RETRIES", "0").output().unwrap();
        assert_eq!(ran.status.code(), Some(27));
    }
    assert!(!home.path().join("g.kf").exists() && !home.path().join("g").exists());
    assert_eq!((strict.end(), lenient.end()), (0, 0));
    for name in ["k", "f.kf"] {
        let bytes = fs::read(home.path().join(name)).unwrap();
        assert!(
            !bytes.windows(6).any(|window| window == b"CANARY"),
            "{name}"
        );
    }
}
