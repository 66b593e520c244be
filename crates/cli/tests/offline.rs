//! Envelopes without the server: made while it runs, opened when it is gone.
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

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use support::{Ran, Server, bare, noise};
use tempfile::TempDir;

const PLAIN: &[u8] = b"what is to be read in thirty years";

/// A server with an exportable key, and a home with an offline key, a passphrase and a file.
fn server() -> Server {
    let server = Server::dev();
    server.ok(&["secrets", "enable", "transit"]);
    server.ok(&["write", "transit/keys/payments", "exportable=true"]);
    let recipient = server.ok(&["keygen", "-o", "id"]);
    assert!(recipient.starts_with("keyfold-recipient-"), "{recipient}");
    fs::write(server.path("id.pub"), recipient).unwrap();
    secret(server.home.path(), "pass", "correct horse \n");
    fs::write(server.path("f"), PLAIN).unwrap();
    server
}

fn secret(home: &Path, name: &str, text: &str) {
    fs::write(home.join(name), text).unwrap();
    fs::set_permissions(home.join(name), Permissions::from_mode(0o600)).unwrap();
}

/// A command in a home whose server is gone.
fn alone(home: &TempDir, arguments: &[&str]) -> Ran {
    let mut command = bare(home.path());
    command.env("VAULT_ADDR", "http://127.0.0.1:9");
    command.env("VAULT_MAX_RETRIES", "0");
    Ran::of(command.args(arguments).output().unwrap())
}

fn opened(home: &TempDir, arguments: &[&str]) -> Value {
    let arguments = [&["decrypt", "-f", "-format=json"], arguments].concat();
    let ran = alone(home, &arguments);
    assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
    assert_eq!(fs::read(home.path().join("f")).unwrap(), PLAIN);
    fs::remove_file(home.path().join("f")).unwrap();
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn slot_kinds(server: &Server, file: &str) -> Vec<u64> {
    let listed = server.json(&["slots", "list", file]);
    let slots = listed["slots"].as_array().unwrap();
    slots.iter().map(|s| s["type"].as_u64().unwrap()).collect()
}

#[test]
fn each_way_opens_when_the_server_is_gone() {
    let server = server();
    let made = server.json(&[
        "encrypt",
        "-key=transit/payments",
        "-recipient=id.pub",
        "-passphrase-file=pass",
        "f",
    ]);
    assert_eq!(
        (&made["key"], &made["version"]),
        (&json!("transit/payments"), &json!(1))
    );
    assert_eq!(made["slots"].as_array().unwrap().len(), 3);
    server.ok(&["transit", "export-kek", "-o", "kek", "payments"]);
    let again = server.run(&["transit", "export-kek", "-o", "kek", "payments"]);
    assert_eq!(again.code, 1, "{}", again.stderr);
    for name in ["id", "kek"] {
        let mode = fs::metadata(server.path(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    fs::remove_file(server.path("f")).unwrap();
    let home = server.stop();

    assert_eq!(opened(&home, &["--identity", "id", "f.kf"])["type"], 4);
    assert_eq!(
        opened(&home, &["--passphrase-file", "pass", "f.kf"])["type"],
        5
    );
    let by_kek = opened(&home, &["--kek-file", "kek", "f.kf"]);
    assert_eq!(
        (&by_kek["type"], &by_kek["version"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(alone(&home, &["decrypt", "f.kf"]).code, 27);

    secret(home.path(), "wrong", "Correct horse");
    let wrong = alone(&home, &["decrypt", "--passphrase-file=wrong", "f.kf"]);
    assert_eq!(wrong.code, 32, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("passphrase"), "{}", wrong.stderr);
    let made = alone(&home, &["keygen", "-o", "other"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let other = alone(&home, &["decrypt", "--identity=other", "f.kf"]);
    assert_eq!(other.code, 21, "{}", other.stderr);
    fs::set_permissions(home.path().join("id"), Permissions::from_mode(0o644)).unwrap();
    let open = alone(&home, &["decrypt", "--identity=id", "f.kf"]);
    assert_eq!(open.code, 1);
    assert!(open.stderr.contains("chmod 600"), "{}", open.stderr);
    let public = alone(&home, &["decrypt", "--identity=id.pub", "f.kf"]);
    assert_eq!(public.code, 1);
    assert!(!home.path().join("f").exists());
}

#[test]
fn an_envelope_may_be_for_offline_keys_alone() {
    let home = tempfile::tempdir().unwrap();
    let plain = noise(300_000);
    fs::write(home.path().join("f"), &plain).unwrap();
    let made = alone(&home, &["keygen", "-o", "id", "-format=json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let recipient = made["recipient"].as_str().unwrap();
    let ran = alone(&home, &["encrypt", "--recipient", recipient, "f"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("offline only"), "{}", ran.stderr);
    let ran = alone(&home, &["decrypt", "--identity=id", "-o=g", "f.kf"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(fs::read(home.path().join("g")).unwrap() == plain);

    let none = alone(&home, &["encrypt", "-o=x", "f"]);
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("--recipient"), "{}", none.stderr);
    let secret = fs::read_to_string(home.path().join("id")).unwrap();
    let line = secret.lines().last().unwrap();
    assert!(line.starts_with("KEYFOLD-IDENTITY-"));
    for wrong in ["id", &recipient[..recipient.len() - 1]] {
        let ran = alone(&home, &["encrypt", "-o=x", "--recipient", wrong, "f"]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(!ran.stderr.contains(line), "no secret in an error");
    }
    assert!(!home.path().join("x").exists());
}

#[test]
fn slots_come_and_go() {
    let server = server();
    server.ok(&["encrypt", "-key=transit/payments", "f"]);
    fs::remove_file(server.path("f")).unwrap();
    server.ok(&["slots", "add", "-recipient=id.pub", "f.kf"]);
    // This one is opened by the offline key, and the server only told that it allows that.
    server.ok(&[
        "slots",
        "add",
        "-passphrase-file=pass",
        "-identity=id",
        "f.kf",
    ]);
    assert_eq!(slot_kinds(&server, "f.kf"), [1, 4, 5]);
    let twice = server.run(&["slots", "add", "-recipient=id.pub", "f.kf"]);
    assert_eq!(twice.code, 1, "{}", twice.stderr);
    let table = server.ok(&["inspect", "f.kf"]);
    for part in ["transit/payments version 1", "offline key ", "a passphrase"] {
        assert!(table.contains(part), "{table}");
    }

    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    let done = server.json(&["rewrap", "f.kf"]);
    assert_eq!(
        (&done["rewrapped"], &done["bytes_written"]),
        (&json!(1), &json!(1024))
    );
    server.ok(&["slots", "remove", "-slot=1", "f.kf"]);
    let gone = server.run(&["decrypt", "-identity=id", "f.kf"]);
    assert_eq!(gone.code, 21, "{}", gone.stderr);
    let removed = server.json(&["slots", "remove", "-key=transit/payments", "f.kf"]);
    assert_eq!(removed["slots"].as_array().unwrap().len(), 2);
    let last = server.run(&["slots", "remove", "-slot=4", "f.kf"]);
    assert_eq!(last.code, 1);
    assert!(last.stderr.contains("last slot"), "{}", last.stderr);
    let none = server.run(&["slots", "remove", "-slot=5", "f.kf"]);
    assert_eq!(none.code, 1, "{}", none.stderr);
    server.ok(&[
        "slots",
        "add",
        "-key=transit/payments",
        "-unlock-passphrase-file=pass",
        "f.kf",
    ]);
    server.ok(&["decrypt", "f.kf"]);
    assert_eq!(fs::read(server.path("f")).unwrap(), PLAIN);
}

#[test]
fn a_key_may_forbid_offline_slots() {
    let server = server();
    server.ok(&[
        "encrypt",
        "-key=transit/payments",
        "-o=before.kf",
        "-recipient=id.pub",
        "f",
    ]);
    server.ok(&["encrypt", "-key=transit/payments", "f"]);
    server.ok(&[
        "write",
        "transit/keys/payments/config",
        "offline_slots_allowed=false",
    ]);
    let read = server.json(&["read", "transit/keys/payments"]);
    assert_eq!(read["data"]["offline_slots_allowed"], false);
    let before = fs::read(server.path("f.kf")).unwrap();
    for refused in [
        &[
            "encrypt",
            "-key=transit/payments",
            "-recipient=id.pub",
            "-o=x",
            "f",
        ][..],
        &[
            "encrypt",
            "-key=transit/payments",
            "-passphrase-file=pass",
            "-o=x",
            "f",
        ],
        &["slots", "add", "-recipient=id.pub", "f.kf"],
        &["transit", "export-kek", "-o=x", "payments"],
    ] {
        let ran = server.run(refused);
        assert_eq!(ran.code, 2, "{refused:?}: {}", ran.stderr);
        let names =
            ran.stderr.contains("transit/payments") && ran.stderr.contains("offline_slots_allowed");
        assert!(names, "{}", ran.stderr);
    }
    assert!(!server.path("x").exists());
    assert!(fs::read(server.path("f.kf")).unwrap() == before);
    server.ok(&["encrypt", "-key=transit/payments", "-o=y", "f"]);

    // What was made before is found.
    let census = server.json(&["census", "before.kf", "f.kf"]);
    assert_eq!(census["with_offline_slot"], 1);
    assert_eq!(census["offline_by_key"], json!({"transit/payments": 1}));
    let registered = server.run(&["census", "-register", "before.kf", "f.kf"]);
    assert_eq!(registered.code, 0, "{}", registered.stderr);
    assert!(
        registered.stderr.contains("offline_slots_allowed"),
        "{}",
        registered.stderr
    );

    // Who may encrypt and not read the key is not told, and so refused.
    let policy = "path \"transit/encrypt/payments\" { capabilities = [\"update\"] }";
    server.piped(&["policy", "write", "p", "-"], policy.as_bytes());
    let made = server.json(&["token", "create", "-policy=p"]);
    let token = made["auth"]["client_token"].as_str().unwrap();
    let blind = server.run_as(
        token,
        &[
            "encrypt",
            "-key=transit/payments",
            "-recipient=id.pub",
            "-o=x",
            "f",
        ],
    );
    assert_eq!(blind.code, 2, "{}", blind.stderr);
    assert!(blind.stderr.contains("`read`"), "{}", blind.stderr);
}

#[test]
fn a_drill_tells_what_would_be_lost() {
    let server = server();
    fs::create_dir(server.path("data")).unwrap();
    for name in ["a", "b"] {
        let output = format!("-o=data/{name}.kf");
        server.ok(&[
            "encrypt",
            "-key=transit/payments",
            "-recipient=id.pub",
            &output,
            "f",
        ]);
    }
    let home = server.stop();
    let drill = |arguments: &[&str]| {
        let ran = alone(&home, &[&["drill", "-format=json"], arguments].concat());
        let report = serde_json::from_slice::<Value>(&ran.stdout).unwrap_or_default();
        (ran.code, report, ran.stderr)
    };
    let (code, report, stderr) = drill(&["data", "--identity=id"]);
    assert_eq!(code, 0, "{stderr}");
    let counts = ["envelopes", "with_offline_slot", "tried", "opened"];
    assert!(counts.iter().all(|count| report[count] == 2), "{report}");
    assert_eq!(report["plaintext_bytes"], 2 * PLAIN.len());
    let (_, report, _) = drill(&["data", "--identity=id", "--sample=1", "--verify=commit"]);
    assert_eq!(
        (&report["tried"], &report["opened"]),
        (&json!(1), &json!(1))
    );

    // One without a slot for this key, and one that is cut.
    let made = alone(&home, &["keygen", "-o", "other", "-field=recipient"]);
    let other = String::from_utf8(made.stdout).unwrap();
    let sealed = alone(
        &home,
        &["encrypt", "-recipient", other.trim(), "-o=data/c.kf", "f"],
    );
    assert_eq!(sealed.code, 0, "{}", sealed.stderr);
    let (code, report, stderr) = drill(&["data", "--identity=id"]);
    assert_eq!((code, &report["opened"]), (3, &json!(2)), "{stderr}");
    assert!(stderr.contains("data/c.kf"), "{stderr}");
    let bytes = fs::read(home.path().join("data/a.kf")).unwrap();
    fs::write(home.path().join("data/a.kf"), &bytes[..bytes.len() - 1]).unwrap();
    let (code, report, _) = drill(&["data", "--identity=id"]);
    assert_eq!((code, &report["opened"]), (3, &json!(1)));
    assert_eq!(report["failures"][0]["exit_code"], 16);

    assert_eq!(drill(&["data"]).0, 1);
    fs::create_dir(home.path().join("empty")).unwrap();
    assert_eq!(drill(&["empty", "--identity=id"]).0, 1);
}
