//! From a rotation to the end of the old version: scans that register, a refusal, a retirement, a compromise.
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

use serde_json::json;
use support::Server;

/// A server with a key, and a folder with three envelopes under its first version.
fn server() -> Server {
    let server = Server::dev();
    server.ok(&["secrets", "enable", "transit"]);
    server.ok(&["write", "-f", "transit/keys/payments"]);
    fs::create_dir(server.path("data")).unwrap();
    for name in ["a", "b", "c"] {
        let path = server.path("data").join(name);
        fs::write(&path, "plain").unwrap();
        server.ok(&["encrypt", "-key=transit/payments", path.to_str().unwrap()]);
    }
    server
}

#[test]
fn a_version_goes_when_its_files_were_rewrapped() {
    let server = server();
    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    assert_eq!(
        server
            .ok(&["transit", "catalogs", "-format=json", "payments"])
            .trim(),
        "[]"
    );
    server.ok(&["census", "data"]);
    assert_eq!(
        server
            .ok(&["transit", "catalogs", "-format=json", "payments"])
            .trim(),
        "[]"
    );
    server.ok(&["census", "-register", "data"]);
    let catalogs = server.json(&["transit", "catalogs", "payments"]);
    assert_eq!(catalogs[0]["items"], json!({"1": 3}));
    assert!(catalogs[0]["root"].as_str().unwrap().ends_with("/data"));

    let refused = server.run(&["transit", "retire", "-below=2", "payments"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("3 items in "), "{}", refused.stderr);
    server.ok(&["rewrap", "data"]);
    let catalogs = server.json(&["transit", "catalogs", "payments"]);
    let catalogs = catalogs.as_array().unwrap();
    assert_eq!(catalogs.len(), 1, "a root has one catalog");
    assert_eq!(catalogs[0]["items"], json!({"1": 0, "2": 3}));
    let retire = [
        "transit",
        "retire",
        "-below=2",
        "-recent=0s",
        "-destroy",
        "transit/payments",
    ];
    let retired = server.json(&retire);
    assert_eq!(retired["data"]["destroyed"], json!([1]));
    server.ok(&["decrypt", "-o", "back", "data/a.kf"]);
    assert_eq!(fs::read(server.path("back")).unwrap(), b"plain");
}

/// The next scan finds no more of the key, so nothing tells it whom to tell.
#[test]
fn a_key_is_told_that_all_its_files_are_gone() {
    let server = server();
    server.ok(&["census", "-register", "data"]);
    for name in ["a.kf", "b.kf", "c.kf"] {
        fs::remove_file(server.path("data").join(name)).unwrap();
    }
    let key = "-key=transit/payments";
    assert_eq!(server.run(&["census", key, "data"]).code, 1);
    server.ok(&["census", "-register", key, "data"]);
    let catalogs = server.json(&["transit", "catalogs", "payments"]);
    assert_eq!(catalogs.as_array().unwrap().len(), 1);
    assert_eq!(catalogs[0]["items"], json!({}));
}

#[test]
fn a_keyring_that_was_not_rewrapped_keeps_its_version() {
    let server = server();
    let create = [
        "keyring",
        "create",
        "-key=transit/payments",
        "-store=payments.keyring",
        "payments",
    ];
    server.ok(&create);
    fs::write(server.path("data/many"), "under the keyring").unwrap();
    server.ok(&["encrypt", "-keyring=payments.keyring", "data/many"]);
    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    server.ok(&["rewrap", "data"]);
    let counted = server.run(&["census", "-register", "data"]);
    assert_eq!(counted.code, 0, "{}", counted.stderr);
    assert!(
        counted.stderr.contains("keyfold keyring census -register"),
        "{}",
        counted.stderr
    );
    let retire = [
        "transit",
        "retire",
        "-below=2",
        "-recent=0s",
        "-destroy",
        "payments",
    ];
    let refused = server.run(&retire);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let named = "1 items in keyring ";
    assert!(refused.stderr.contains(named), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("/payments.keyring (catalog "),
        "{}",
        refused.stderr
    );

    let opens = || {
        let opened = server.run(&[
            "decrypt",
            "-keyring=payments.keyring",
            "-o",
            "-",
            "data/many.kf",
        ]);
        assert_eq!(opened.stdout, b"under the keyring", "{}", opened.stderr);
    };
    opens();
    server.ok(&["keyring", "rewrap", "payments.keyring"]);
    assert_eq!(server.json(&retire)["data"]["destroyed"], json!([1]));
    opens();
}

#[test]
fn a_keyring_is_counted_and_registered_under_one_name() {
    let server = server();
    let versions = || server.json(&["keyring", "census", "kv:secret/ring"])["versions"].clone();
    let catalogs = || server.json(&["transit", "catalogs", "payments"]);
    let create = [
        "keyring",
        "create",
        "-key=transit/payments",
        "-store=kv:secret/ring",
        "payments",
    ];
    server.ok(&create);
    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    server.ok(&["keyring", "rotate", "kv:secret/ring"]);
    assert_eq!(
        versions(),
        json!([
            {"key": "transit/payments", "version": 1, "deks": 1},
            {"key": "transit/payments", "version": 2, "deks": 1},
        ])
    );
    assert_eq!(catalogs()[0]["root"], "keyring kv:secret/ring");
    assert_eq!(catalogs()[0]["items"], json!({"1": 1, "2": 1}));
    server.ok(&["keyring", "destroy", "-force", "kv:secret/ring", "1"]);
    assert_eq!(catalogs()[0]["items"], json!({"2": 1}));

    // It is told again where that was lost, and in the same place.
    let id = catalogs()[0]["id"].as_str().unwrap().to_owned();
    server.ok(&["delete", &format!("transit/keys/payments/catalogs/{id}")]);
    server.ok(&["keyring", "census", "kv:secret/ring"]);
    assert_eq!(catalogs(), json!([]));
    server.ok(&["keyring", "census", "-register", "kv:secret/ring"]);
    let told = catalogs();
    assert_eq!(told.as_array().unwrap().len(), 1);
    assert_eq!(told[0]["id"], id.as_str());
    assert_eq!(
        server.run(&["keyring", "census", "none"]).code,
        34,
        "there is none"
    );
}

#[test]
fn the_census_is_a_table_with_bars() {
    let server = server();
    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    let census = server.ok(&["transit", "census", "-callers", "payments"]);
    assert!(census.contains("█"), "{census}");
    assert!(census.contains("retiring"), "{census}");
    let census = server.json(&["transit", "census", "payments"]);
    assert_eq!(census["versions"][0]["operations"]["encrypt"], 3);
    assert_eq!(census["versions"][1]["total"], 0);
    assert_eq!(server.run(&["transit", "census", "none"]).code, 2);
}

#[test]
fn a_compromised_version_is_told_of_and_rewrapped() {
    let server = server();
    server.ok(&["census", "-register", "data"]);
    let told = server.ok(&[
        "transit",
        "compromised",
        "-version=1",
        "-reason=lost",
        "payments",
    ]);
    assert!(told.contains("lost"), "{told}");
    assert!(told.contains("/data"), "{told}");
    let refused = server.run(&["decrypt", "-o", "-", "data/a.kf"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stdout.is_empty());
    server.ok(&["rewrap", "data"]);
    assert_eq!(
        server.run(&["decrypt", "-o", "-", "data/a.kf"]).stdout,
        b"plain"
    );
}

#[test]
fn a_rewrapper_that_may_not_register_rewraps_and_says_nothing() {
    let server = server();
    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    let policy = "path \"transit/rewrap/payments\" { capabilities = [\"update\"] }\n\
                  path \"transit/keys/payments\" { capabilities = [\"read\"] }\n";
    server.piped(&["policy", "write", "rewrapper", "-"], policy.as_bytes());
    let token = server.ok(&["token", "create", "-policy=rewrapper", "-field=token"]);
    let done = server.run_as(&token, &["rewrap", "-field=rewrapped", "data"]);
    assert_eq!(
        (done.code, done.text().as_str()),
        (0, "3"),
        "{}",
        done.stderr
    );
    assert_eq!(done.stderr, "");
    let refused = server.run_as(&token, &["census", "-register", "data"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert_eq!(
        server
            .ok(&["transit", "catalogs", "-format=json", "payments"])
            .trim(),
        "[]"
    );
}
