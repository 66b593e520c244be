//! A key is destroyed by two people, as the runbook says; the receipt holds, and files say what became of their key.
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

use serde_json::{Value, json};
use support::Server;

const RUNBOOK: &str = include_str!("../../../docs/runbooks/shred.md");
const POLICIES: [(&str, &str); 2] = [
    (
        "shredder",
        include_str!("../../../docs/policies/shredder.hcl"),
    ),
    (
        "approver",
        include_str!("../../../docs/policies/shred-approver.hcl"),
    ),
];

/// A server with a key, an envelope under it, and two people.
struct Site {
    server: Server,
    shredder: String,
    approver: String,
}

impl Site {
    fn new() -> Self {
        let server = Server::dev();
        server.ok(&["secrets", "enable", "transit"]);
        server.ok(&["write", "-f", "transit/keys/payments"]);
        server.ok(&["write", "transit/config/shred", "minimum_delay=0"]);
        fs::create_dir(server.path("data")).unwrap();
        fs::write(server.path("data/a"), "plain").unwrap();
        server.ok(&["encrypt", "-key=transit/payments", "data/a"]);
        let create = [
            "keyring",
            "create",
            "-key=transit/payments",
            "-store=payments.keyring",
            "payments",
        ];
        server.ok(&create);
        let [shredder, approver] = POLICIES.map(|(name, text)| {
            let written = server.piped(&["policy", "write", name, "-"], text.as_bytes());
            assert_eq!(written.code, 0, "{}", written.stderr);
            let policy = format!("-policy={name}");
            server.ok(&["token", "create", &policy, "-field=token"])
        });
        Self {
            server,
            shredder: shredder.trim().to_owned(),
            approver: approver.trim().to_owned(),
        }
    }

    /// Whose line of the runbook it is.
    fn token(&self, remark: &str) -> &str {
        match remark.trim() {
            remark if remark.starts_with("the shredder") => &self.shredder,
            remark if remark.starts_with("the approver") => &self.approver,
            remark if remark.starts_with("anybody") => "nobody",
            _ => "root",
        }
    }

    /// Types a line: its output.
    fn type_in(&self, line: &str) -> String {
        let (command, remark) = line.split_once('#').unwrap_or((line, ""));
        let (command, to) = command.split_once('>').unwrap_or((command, ""));
        let words = words(command);
        let words: Vec<_> = words.iter().skip(1).map(String::as_str).collect();
        let ran = self.server.run_as(self.token(remark), &words);
        assert_eq!(ran.code, 0, "{line}: {}", ran.stderr);
        if !to.trim().is_empty() {
            fs::write(self.server.path(to.trim()), &ran.stdout).unwrap();
        }
        ran.text()
    }
}

/// A line as a shell takes it apart, as far as the runbook needs that.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The lines that are to be typed.
fn commands() -> Vec<String> {
    let blocks = RUNBOOK.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(str::lines);
    let lines = lines.filter(|line| line.starts_with("keyfold "));
    let there = |line: &str| {
        line.replace("/srv/payments", "data")
            .replace("-delay=7d", "-delay=0s")
    };
    lines.map(there).collect()
}

#[test]
fn the_runbook_does_what_it_says() {
    let site = Site::new();
    let said: Vec<_> = commands().iter().map(|line| site.type_in(line)).collect();
    let [_, _, _, asked, status, approved, gone, verified] = &said[..] else {
        panic!("{said:?}");
    };
    assert!(
        asked.contains("tombstoned") && asked.contains("1 items in "),
        "{asked}"
    );
    assert!(asked.contains("/payments.keyring"), "{asked}");
    assert!(asked.contains("does not reach:\n  - Snapshots"), "{asked}");
    assert!(status.contains("the tenant left"), "{status}");
    assert!(approved.contains("approved"), "{approved}");
    assert!(gone.contains("The key payments is gone"), "{gone}");
    assert!(
        verified.contains("The signature holds") && verified.contains("/data"),
        "{verified}"
    );

    let refused = site.server.run(&["decrypt", "-o", "-", "data/a.kf"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stdout.is_empty());
    let text = &refused.stderr;
    assert!(text.contains("key \"payments\" was destroyed on"), "{text}");
    let status = site
        .server
        .json(&["transit", "shred", "status", "payments"]);
    assert_eq!(status["state"], "destroyed");
    let receipt = status["destroyed"][0]["receipt"].as_str().unwrap();
    assert!(text.contains(receipt), "{text}");

    // The name goes on; the file is told the same, and nothing garbled.
    site.server.ok(&["write", "-f", "transit/keys/payments"]);
    let refused = site.server.run(&["decrypt", "-o", "-", "data/a.kf"]);
    assert_ne!(refused.code, 0);
    assert!(
        refused.stderr.contains("was destroyed on"),
        "{}",
        refused.stderr
    );
    fs::write(site.server.path("data/b"), "new").unwrap();
    site.server
        .ok(&["encrypt", "-key=transit/payments", "data/b"]);
    assert_eq!(
        site.server.run(&["decrypt", "-o", "-", "data/b.kf"]).stdout,
        b"new"
    );
}

#[test]
fn a_receipt_that_was_changed_or_is_anothers_is_none() {
    let site = Site::new();
    for line in commands() {
        site.type_in(&line);
    }
    let server = site.server;
    let verify = |key: &str, file: &str| {
        let key = format!("-public-key={key}");
        server.run_as(
            "",
            &["transit", "shred", "verify", "-format=json", &key, file],
        )
    };
    let good = verify("receipts.pem", "payments.receipt");
    let good: Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!(
        (&good["verified"], &good["receipt"]["key"]["name"]),
        (&json!(true), &json!("payments"))
    );

    // As the server tells it again, in its answer.
    let path = format!(
        "transit/shred/receipts/{}",
        good["receipt"]["id"].as_str().unwrap()
    );
    let again = server.ok(&["read", "-format=json", &path]);
    fs::write(server.path("again.json"), again).unwrap();
    assert_eq!(verify("receipts.pem", "again.json").code, 0);

    let kept = fs::read_to_string(server.path("payments.receipt")).unwrap();
    let mut changed: Value = serde_json::from_str(&kept).unwrap();
    let payload = changed["payload"].as_str().unwrap().to_owned();
    let (first, rest) = payload.split_at(20);
    changed["payload"] = format!("{}{rest}", first.chars().rev().collect::<String>()).into();
    fs::write(server.path("changed"), changed.to_string()).unwrap();
    let mut turned: Value = serde_json::from_str(&kept).unwrap();
    turned["payloadType"] = "text/plain".into();
    fs::write(server.path("turned"), turned.to_string()).unwrap();
    fs::write(server.path("none"), "{}").unwrap();
    server.ok(&["secrets", "enable", "-path=other", "transit"]);
    let other = server.ok(&["read", "-field=public_key", "other/shred/receipts/key"]);
    fs::write(server.path("other.pem"), other).unwrap();
    for (key, file, part) in [
        ("receipts.pem", "changed", "the signature does not hold"),
        ("receipts.pem", "turned", "no receipt of a destroyed key"),
        ("receipts.pem", "none", "is no signed receipt"),
        ("receipts.pem", "data/a.kf", "is no signed receipt"),
        ("other.pem", "payments.receipt", "another key signed it"),
        ("payments.receipt", "payments.receipt", "no public key"),
    ] {
        let bad = verify(key, file);
        assert_eq!(bad.code, 2, "{key} {file}: {}", bad.stderr);
        assert!(bad.stderr.contains(part), "{key} {file}: {}", bad.stderr);
        assert!(bad.stdout.is_empty());
    }
    assert_eq!(verify("receipts.pem", "missing").code, 1);
}

#[test]
fn mistakes_are_told_and_leave_no_file() {
    let site = Site::new();
    let server = &site.server;
    for arguments in [
        &["transit", "shred", "payments"][..],
        &["transit", "shred", "-reason=r"],
        &["transit", "shred", "-reason=r", "-delay=soon", "payments"],
        &["transit", "shred", "-reason=r", "status", "payments"],
    ] {
        assert_eq!(server.run(arguments).code, 1, "{arguments:?}");
    }
    let early = ["transit", "shred", "destroy", "-receipt=r", "payments"];
    let refused = server.run(&early);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("nobody has asked"),
        "{}",
        refused.stderr
    );
    assert!(!server.path("r").exists());
    fs::write(server.path("r"), "mine").unwrap();
    assert_eq!(server.run(&early).code, 1);
    assert_eq!(fs::read(server.path("r")).unwrap(), b"mine");
    // A way back, as long as it is there.
    server.ok(&["transit", "shred", "-reason=r", "payments"]);
    let alone = server.run(&["transit", "shred", "approve", "payments"]);
    assert!(
        alone.stderr.contains("who asked for it"),
        "{}",
        alone.stderr
    );
    let kept = server.json(&["transit", "shred", "cancel", "transit/payments"]);
    assert_eq!(kept["state"], "active");
    server.ok(&[
        "encrypt",
        "-key=transit/payments",
        "-o",
        "again.kf",
        "data/a",
    ]);
}
