//! Backups from end to end: saved, looked into, rehearsed, restored.
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

use support::{Ran, Server, noise};

/// A server with 1 of 1 shares, open, with something in it.
struct Begun {
    server: Server,
    share: String,
    root: String,
}

impl Begun {
    fn new(server: Server) -> Self {
        let made = server.json(&["operator", "init", "-key-shares=1", "-key-threshold=1"]);
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let share = text(&made["unseal_keys_b64"][0]);
        let root = text(&made["root_token"]);
        server.ok(&["operator", "unseal", &share]);
        Self {
            server,
            share,
            root,
        }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.server.run_as(&self.root, arguments)
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.text()
    }

    fn fill(&self) {
        self.ok(&["secrets", "enable", "-version=2", "-path=secret", "kv"]);
        self.ok(&["secrets", "enable", "transit"]);
        self.ok(&["kv", "put", "secret/app", "v=then"]);
        self.ok(&["write", "-f", "transit/keys/k"]);
        self.ok(&["write", "transit/keys/d", "derived=true"]);
        self.ok(&["write", "transit/keys/s", "type=ed25519"]);
        self.ok(&["write", "transit/keys/h", "type=hmac", "key_size=32"]);
        self.ok(&["write", "transit/keys/p", "type=ecdsa-p256"]);
        // The newest version of this is compromised, and no other can be made here.
        let material = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        self.ok(&["transit", "import", "transit/keys/c", material]);
        self.ok(&["transit", "compromised", "-version=1", "c"]);
        // Of this there is a public half only, and it works as it ever did.
        let made = self.ok(&["read", "-format=json", "transit/keys/p"]);
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        let public = made["data"]["keys"]["1"]["public_key"].as_str().unwrap();
        let public = format!("public_key={public}");
        self.ok(&[
            "write",
            "transit/keys/half/import",
            "type=ecdsa-p256",
            &public,
        ]);
        // More than what is read ahead, so that it comes in pieces.
        fs::write(self.server.path("big"), hex(&noise(400_000))).unwrap();
        for n in 0..4 {
            self.ok(&["kv", "put", &format!("secret/big{n}"), "v=@big"]);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn saved_rehearsed_and_restored() {
    let one = Begun::new(Server::stored());
    one.fill();
    let file = one.server.path("one.kfsnap");
    let path = file.to_str().unwrap();
    assert!(
        one.ok(&["operator", "snapshot", "save", path])
            .contains("Success!")
    );
    one.ok(&["operator", "raft", "snapshot", "save", "again.kfsnap"]);
    assert!(!one.server.path("one.kfsnap.part").exists());
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.len() > 3_000_000, "{}", bytes.len());

    let shown = one.run(&["operator", "snapshot", "inspect", "-format=json", path]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["seals"], serde_json::json!(["shamir"]));
    assert!(shown["folders"]["core/dek/"]["records"].as_u64().unwrap() >= 3);

    // The drill asks no server.
    let drill = [
        "operator",
        "drill",
        "-share",
        &one.share,
        "-format=json",
        path,
    ];
    let drilled = one.server.run_as("", &drill);
    assert_eq!(drilled.code, 0, "{}{}", drilled.text(), drilled.stderr);
    let report: serde_json::Value = serde_json::from_slice(&drilled.stdout).unwrap();
    assert_eq!(report["ok"], true);
    let tried = report["keys"].as_array().unwrap().iter();
    let tried = tried.map(|key| {
        (
            key["path"].as_str().unwrap(),
            key["tried"].as_bool().unwrap(),
        )
    });
    assert_eq!(
        tried.collect::<Vec<_>>(),
        [
            ("transit/keys/c", false),
            ("transit/keys/d", true),
            ("transit/keys/h", false),
            ("transit/keys/half", false),
            ("transit/keys/k", true),
            ("transit/keys/p", true),
            ("transit/keys/s", true),
        ],
        "{report}"
    );
    assert!(report["mounts"].as_array().unwrap().len() >= 3, "{report}");
    let wrong = hex(&[7; 32]);
    let failed = one
        .server
        .run_as("", &["operator", "drill", "-share", &wrong, path]);
    assert_eq!(failed.code, 2, "{}", failed.stderr);
    assert!(
        failed.text().contains("NOT OPENED with what was given"),
        "{}",
        failed.text()
    );

    // Back in time.
    one.ok(&["kv", "put", "secret/app", "v=now"]);
    let restored = one.run(&["operator", "snapshot", "restore", path]);
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    assert!(restored.stderr.contains("is gone"), "{}", restored.stderr);
    assert_eq!(one.run(&["status"]).code, 2);
    one.ok(&["operator", "unseal", &one.share]);
    assert_eq!(one.ok(&["kv", "get", "-field=v", "secret/app"]), "then");

    // Into a server that has nothing.
    let empty = Server::stored();
    let restored = empty.run_as("", &["operator", "raft", "snapshot", "restore", path]);
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    empty.ok(&["operator", "unseal", &one.share]);
    let read = empty.run_as(&one.root, &["kv", "get", "-field=v", "secret/app"]);
    assert_eq!(read.text(), "then", "{}", read.stderr);
}

#[test]
fn what_is_refused_leaves_no_file_and_changes_nothing() {
    let one = Begun::new(Server::stored());
    one.fill();
    one.ok(&["operator", "snapshot", "save", "one.kfsnap"]);
    let denied = one
        .server
        .run_as("nobody", &["operator", "snapshot", "save", "x.kfsnap"]);
    assert_eq!(denied.code, 2, "{}", denied.stderr);
    assert!(!one.server.path("x.kfsnap").exists());
    assert!(!one.server.path("x.kfsnap.part").exists());

    let bytes = fs::read(one.server.path("one.kfsnap")).unwrap();
    fs::write(one.server.path("cut"), &bytes[..bytes.len() / 2]).unwrap();
    for (verb, code) in [("inspect", 1), ("restore", 2)] {
        let cut = one.run(&["operator", "snapshot", verb, "cut"]);
        assert_eq!(cut.code, code);
        assert!(cut.stderr.contains("cut off"), "{}", cut.stderr);
    }
    let drill = one.run(&["operator", "drill", "-share", &one.share, "cut"]);
    assert_eq!(drill.code, 1, "{}", drill.stderr);

    let other = Begun::new(Server::stored());
    let path = one.server.path("one.kfsnap");
    let path = path.to_str().unwrap();
    let strange = other.run(&["operator", "snapshot", "restore", path]);
    assert_eq!(strange.code, 2);
    assert!(
        strange.stderr.contains("another store"),
        "{}",
        strange.stderr
    );
    assert_eq!(other.run(&["status"]).code, 0);
    // Refused before it is read: the answer gets through all the same.
    let denied = other
        .server
        .run_as("nobody", &["operator", "snapshot", "restore", path]);
    assert!(
        denied.stderr.contains("permission denied"),
        "{}",
        denied.stderr
    );

    let forced = other.run(&["operator", "snapshot", "restore", "-force", path]);
    assert_eq!(forced.code, 0, "{}", forced.stderr);
    let theirs = other.server.run(&["operator", "unseal", &other.share]);
    assert_eq!(theirs.code, 2, "{}", theirs.text());
    other.ok(&["operator", "unseal", &one.share]);
    let read = other
        .server
        .run_as(&one.root, &["kv", "get", "-field=v", "secret/app"]);
    assert_eq!(read.text(), "then", "{}", read.stderr);
}
