//! Keyrings against a real server: kept in a file and in its KV, rotated, rewrapped, and shared by processes.
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

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::Child;
use std::thread;
use std::time::Duration;

use keyfold_envelope::value;
use serde_json::{Value, json};
use support::{Server, noise};

fn server() -> Server {
    let server = Server::dev();
    server.ok(&["secrets", "enable", "transit"]);
    server.ok(&["write", "-f", "transit/keys/payments"]);
    server
}

fn create(server: &Server, store: &str) {
    let store = format!("-store={store}");
    server.ok(&[
        "keyring",
        "create",
        "payments",
        "-key=transit/payments",
        &store,
    ]);
}

#[test]
fn a_keyring_is_made_shown_rotated_and_rewrapped_in_a_file_and_in_kv() {
    let server = server();
    for store in ["payments.keyring", "kv:secret/rings/payments"] {
        create(&server, store);
        let again = server.run(&[
            "keyring",
            "create",
            "payments",
            "-key=transit/payments",
            &format!("-store={store}"),
        ]);
        assert_eq!(again.code, 1, "{}", again.stderr);
        assert!(again.stderr.contains("already"), "{}", again.stderr);

        assert_eq!(server.json(&["keyring", "rotate", store])["dek_no"], 2);
        let shown = server.json(&["keyring", "show", store]);
        assert_eq!(
            (&shown["service"], &shown["active_dek_no"]),
            (&json!("payments"), &json!(2))
        );
        let states: Vec<_> = shown["deks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|dek| &dek["state"])
            .collect();
        assert_eq!(states, ["retired", "active"]);
        let table = server.ok(&["keyring", "show", store]);
        assert!(
            table.contains("transit/payments") && table.contains("retired"),
            "{table}"
        );

        server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
        let done = server.json(&["keyring", "rewrap", "-verify", store]);
        assert_eq!(
            (&done["rewrapped"], &done["server_calls"]),
            (&json!(2), &json!(1))
        );
        let again = server.json(&["keyring", "rewrap", store]);
        assert_eq!(
            (&again["rewrapped"], &again["already_newest"]),
            (&json!(0), &json!(2))
        );

        assert_eq!(
            server.run(&["keyring", "destroy", store, "1"]).code,
            1,
            "not without -force"
        );
        server.ok(&["keyring", "destroy", "-force", store, "1"]);
        let shown = server.json(&["keyring", "show", store]);
        assert_eq!(shown["deks"][0]["state"], "destroyed");
        assert_eq!(
            server
                .run(&["keyring", "destroy", "-force", store, "9"])
                .code,
            35
        );
    }
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(server.path("payments.keyring"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn rewrapping_a_keyring_needs_no_right_to_decrypt() {
    let server = server();
    create(&server, "k");
    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    let policy = "path \"transit/rewrap/payments\" { capabilities = [\"update\"] }\n";
    let written = server.piped(&["policy", "write", "rewrapper", "-"], policy.as_bytes());
    assert_eq!(written.code, 0);
    let token = server.ok(&["token", "create", "-policy=rewrapper", "-field=token"]);
    let done = server.run_as(&token, &["keyring", "rewrap", "-field=rewrapped", "k"]);
    assert_eq!(
        (done.code, done.text().as_str()),
        (0, "1"),
        "{}",
        done.stderr
    );
    // To see that it opens the right key takes that right.
    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    let denied = server.run_as(&token, &["keyring", "rewrap", "-verify", "k"]);
    assert_eq!(denied.code, 24, "{}", denied.stderr);
    assert_eq!(
        server.json(&["keyring", "show", "k"])["deks"][0]["version"],
        2
    );
}

#[test]
fn faults_have_their_codes_and_change_nothing() {
    let server = server();
    assert_eq!(server.run(&["keyring", "show", "none"]).code, 34);
    assert_eq!(server.run(&["keyring", "show", "kv:secret/none"]).code, 34);
    fs::write(server.path("other"), "{\"password\":\"hunter2\"}").unwrap();
    let refused = server.run(&["keyring", "show", "other"]);
    assert_eq!(refused.code, 34);
    assert!(!refused.stderr.contains("hunter2"));
    let missing = [
        "keyring",
        "create",
        "payments",
        "-key=transit/none",
        "-store=x",
    ];
    assert_eq!(server.run(&missing).code, 25);
    assert!(!server.path("x").exists());
    let unnamed = [
        "keyring",
        "create",
        "a\nb",
        "-key=transit/payments",
        "-store=x",
    ];
    assert_eq!(server.run(&unnamed).code, 1);
    assert!(!server.path("x").exists());

    create(&server, "k");
    let before = fs::read(server.path("k")).unwrap();
    let denied = server.run_as("", &["keyring", "rotate", "k"]);
    assert_eq!(denied.code, 24, "{}", denied.stderr);
    assert_eq!(
        server
            .run(&["keyring", "rotate", "k", "-address=http://127.0.0.1:1"])
            .code,
        27
    );
    assert!(fs::read(server.path("k")).unwrap() == before);
}

#[test]
fn an_envelope_under_a_keyring_there_and_back() {
    let server = server();
    create(&server, "k");
    let plain = noise(3_000_000);
    fs::write(server.path("f"), &plain).unwrap();
    let made = server.json(&["encrypt", "-keyring=k", "f"]);
    assert_eq!(made["slots"][0]["type"], 2, "{made}");
    let sealed = fs::read(server.path("f.kf")).unwrap();
    // Rotating the KEK touches the keyring, and not the envelope.
    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    server.ok(&["keyring", "rewrap", "k"]);
    server.ok(&[
        "write",
        "transit/keys/payments/config",
        "min_decryption_version=2",
    ]);
    assert!(fs::read(server.path("f.kf")).unwrap() == sealed);
    server.ok(&["decrypt", "-keyring=k", "-o", "back", "f.kf"]);
    assert!(fs::read(server.path("back")).unwrap() == plain);
    let shown = server.json(&["keyring", "show", "k"]);
    assert_eq!(
        (&shown["deks"][0]["uses"], &shown["deks"][0]["bytes"]),
        (&json!(1), &json!(3_000_000))
    );

    let piped = server.piped(&["encrypt", "-keyring=k", "-"], &plain);
    let opened = server.piped(&["decrypt", "-keyring=k", "-"], &piped.stdout);
    assert!(opened.stdout == plain, "{}", opened.stderr);
    // Without the keyring nobody opens it, and another keyring does not.
    let refused = server.run(&["decrypt", "-o", "none", "f.kf"]);
    assert_eq!(refused.code, 21, "{}", refused.stderr);
    server.ok(&[
        "keyring",
        "create",
        "other",
        "-key=transit/payments",
        "-store=other",
    ]);
    let refused = server.run(&["decrypt", "-keyring=other", "-o", "none", "f.kf"]);
    assert_eq!(refused.code, 35, "{}", refused.stderr);
    assert!(!server.path("none").exists());
}

/// A process that seals the lines of `asked` into a file of its own.
fn sealing(server: &Server, number: usize) -> Child {
    let mut command = server.command("root");
    command
        .args(["value", "-keyring=k"])
        .stdin(File::open(server.path("asked")).unwrap())
        .stdout(File::create(server.path(&format!("out.{number}"))).unwrap());
    command.spawn().unwrap()
}

/// The values that a process had told when it was killed: of the lines that are whole.
fn told(server: &Server, number: usize) -> Vec<String> {
    let text = fs::read_to_string(server.path(&format!("out.{number}"))).unwrap();
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let value = |line: &str| serde_json::from_str::<Value>(line).unwrap()["value"].clone();
    lines
        .map(|line| value(line).as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn processes_that_are_killed_leave_one_file_a_keyring_and_lose_no_use() {
    const CHILDREN: usize = 4;
    const KILLS: usize = 8;
    let line = |op: &str, key: usize, name: &str, content: &str| {
        let line =
            json!({"op": op, "table": "t", "column": "c", "key": key.to_string(), name: content});
        format!("{line}\n")
    };
    let server = server();
    create(&server, "k");
    let asked: String = (0..40_000)
        .map(|key| line("seal", key, "plaintext", "REU="))
        .collect();
    fs::write(server.path("asked"), asked).unwrap();

    let mut children: Vec<_> = (0..CHILDREN)
        .map(|number| sealing(&server, number))
        .collect();
    for kill in 0..KILLS {
        // Each time at another point of what they do.
        thread::sleep(Duration::from_millis(20 + 15 * kill as u64));
        server.ok(&["keyring", "rotate", "k"]);
        let child = &mut children[kill % CHILDREN];
        child.kill().unwrap();
        child.wait().unwrap();
        *child = sealing(&server, CHILDREN + kill);
    }
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    let mut used = BTreeMap::<u64, u64>::new();
    let mut last = String::new();
    for number in 0..CHILDREN + KILLS {
        let values = told(&server, number);
        for text in &values {
            let sealed = value::from_text(text).unwrap();
            let dek_no = u32::from_be_bytes(*sealed[1..].first_chunk().unwrap());
            *used.entry(dek_no.into()).or_default() += 1;
        }
        if let Some(text) = values.last() {
            last += &line("open", values.len() - 1, "value", text);
        }
    }
    assert!(used.len() > 1, "they sealed under several DEKs: {used:?}");
    let shown = server.json(&["keyring", "show", "k"]);
    let rows = shown["deks"].as_array().unwrap();
    let active = rows.iter().filter(|row| row["state"] == "active");
    assert_eq!(active.count(), 1, "{shown}");
    for row in rows {
        let used = used.remove(&row["dek_no"].as_u64().unwrap());
        assert!(used <= row["uses"].as_u64(), "{used:?} of {row}");
    }
    assert!(used.is_empty(), "uses of DEKs that are nowhere: {used:?}");
    let opened = server.piped(&["value", "-keyring=k"], last.as_bytes());
    for line in opened.text().lines() {
        assert_eq!(line, r#"{"plaintext":"REU="}"#);
    }
}
