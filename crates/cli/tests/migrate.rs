//! `operator migrate-store` and `operator migrate`: a store in another storage.
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
use std::path::Path;

use serde_json::Value;
use support::{Ran, Server, bare};
use tempfile::TempDir;

const LISTENER: &str = "listener \"tcp\" { address = \"127.0.0.1:0\" tls_disable = true }";

fn run(home: &Path, arguments: &[&str]) -> Ran {
    let mut command = bare(home);
    Ran::of(command.arg("operator").args(arguments).output().unwrap())
}

fn refused(home: &Path, arguments: &[&str], why: &str) {
    let ran = run(home, arguments);
    assert_eq!(ran.code, 1, "{arguments:?}: {}", ran.text());
    assert!(ran.stderr.contains(why), "{arguments:?}: {}", ran.stderr);
}

/// The folder of a server that was begun, filled and stopped; its share, its root token and a
/// ciphertext.
fn begun() -> (TempDir, String, String, String) {
    let server = Server::stored();
    let made = server.json(&["operator", "init", "-key-shares=1", "-key-threshold=1"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (share, root) = (text(&made["unseal_keys_b64"][0]), text(&made["root_token"]));
    server.ok(&["operator", "unseal", &share]);
    let ok = |arguments: &[&str]| {
        let ran = server.run_as(&root, arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.text()
    };
    ok(&["secrets", "enable", "-version=2", "-path=secret", "kv"]);
    ok(&["secrets", "enable", "transit"]);
    ok(&["kv", "put", "secret/app", "v=then"]);
    ok(&["write", "-f", "transit/keys/k"]);
    let field = "-field=ciphertext";
    let sealed = ok(&["write", field, "transit/encrypt/k", "plaintext=aGVsbG8="]);
    // What a running server has is not to be moved.
    fs::write(server.path("new.hcl"), redb("new")).unwrap();
    let arguments = ["migrate-store", "-from=config.hcl", "-to=new.hcl"];
    refused(server.home.path(), &arguments, "in use by another process");
    assert!(!server.path("new").exists());
    (server.stop(), share, root, sealed)
}

fn redb(path: &str) -> String {
    format!("storage \"redb\" {{ path = \"{path}\" }}\n")
}

#[test]
fn what_was_moved_opens_and_is_as_it_was() {
    let (home, share, root, sealed) = begun();
    let path = home.path();
    let arguments = ["migrate-store", "-from=config.hcl", "-to=new.hcl"];
    let moved = run(path, &[&arguments[..], &["-format=json"]].concat());
    assert_eq!(moved.code, 0, "{}", moved.stderr);
    let moved: Value = serde_json::from_slice(&moved.stdout).unwrap();
    assert_eq!(
        (&moved["from"], &moved["to"]),
        (&"redb".into(), &"redb".into())
    );
    assert!(moved["records"].as_u64().unwrap() > 20, "{moved}");
    assert!(moved["bytes"].as_u64().unwrap() > 2000, "{moved}");

    // Nothing is put over what is there.
    refused(
        path,
        &arguments,
        "the destination is not empty: nothing was moved",
    );

    // From there again, in the other form, to where the server looks.
    fs::rename(path.join("store"), path.join("old")).unwrap();
    let blocks = "storage_source \"redb\" { path = \"new\" }\n\
                  storage_destination \"redb\" { path = \"store\" }\n";
    fs::write(path.join("migrate.hcl"), blocks).unwrap();
    let again = run(path, &["migrate", "-config=migrate.hcl", "-reset"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(
        again.stderr.contains("-reset has no effect"),
        "{}",
        again.stderr
    );
    assert!(again.text().contains("Success!"), "{}", again.text());

    let server = Server::listening(home, LISTENER);
    server.ok(&["operator", "unseal", &share]);
    let read = server.run_as(&root, &["kv", "get", "-field=v", "secret/app"]);
    assert_eq!(read.text(), "then", "{}", read.stderr);
    let sealed = format!("ciphertext={sealed}");
    let opened = ["write", "-field=plaintext", "transit/decrypt/k", &sealed];
    let opened = server.run_as(&root, &opened);
    assert_eq!(opened.text(), "aGVsbG8=", "{}", opened.stderr);
}

#[test]
fn what_can_not_be_moved_is_told() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path();
    let file = |name: &str, text: &str| fs::write(path.join(name), text).unwrap();
    file("none.hcl", LISTENER);
    file("memory.hcl", "storage \"inmem\" {}");
    file("raft.hcl", "storage \"raft\" {}");
    file("typo.hcl", "storage \"redb\" { paht = \"a\" }");
    file("missing.hcl", &redb("missing"));
    file("other.hcl", &redb("other"));
    file("damaged.hcl", &redb("damaged"));
    file("damaged", "no store");
    file("empty.hcl", &redb("empty"));
    // A server that was never initialised leaves a store without records.
    let server = Server::listening(tempfile::tempdir().unwrap(), LISTENER);
    let begun = server.stop();
    fs::copy(begun.path().join("store"), path.join("empty")).unwrap();
    for (from, to, why) in [
        ("absent", "other", "absent.hcl: No such file"),
        ("none", "other", "no storage: add a block"),
        (
            "memory",
            "other",
            "memory.hcl:1: storage \"inmem\" goes with",
        ),
        (
            "missing",
            "memory",
            "memory.hcl:1: storage \"inmem\" goes with",
        ),
        (
            "raft",
            "other",
            "raft.hcl:1: storage \"raft\" is not offered",
        ),
        (
            "missing",
            "raft",
            "raft.hcl:1: storage \"raft\" is not offered",
        ),
        ("typo", "other", "typo.hcl:1: unknown setting \"paht\""),
        (
            "missing",
            "missing",
            "missing.hcl:1: the destination is the source",
        ),
        (
            "missing",
            "other",
            "missing.hcl:1: there is no store at missing",
        ),
        ("damaged", "other", "is no intact Keyfold store"),
        ("empty", "other", "the source is empty"),
    ] {
        let (from, to) = (format!("-from={from}.hcl"), format!("-to={to}.hcl"));
        refused(path, &["migrate-store", &from, &to], why);
    }
    for name in ["missing", "other"] {
        assert!(!path.join(name).exists(), "{name}");
    }
    file("half.hcl", "storage_source \"redb\" { path = \"a\" }");
    for (arguments, why) in [
        (&["migrate-store", "-from=other.hcl"][..], "--to <PATH>"),
        (&["migrate"], "--config <FILE>"),
        (&["migrate", "-config=half.hcl"], "no storage_destination"),
        (
            &["migrate", "-config=half.hcl", "-start=core/"],
            "-start is not offered",
        ),
    ] {
        refused(path, arguments, why);
    }
}
