//! Lists of names, whole, by pages and with what is told of them; and how commands that find
//! nothing end.
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

use serde_json::json;
use support::{Server, bare};

/// Three secrets and a folder in `secret/`, and the same in `one/`, which keeps no versions.
fn stocked() -> Server {
    let server = Server::dev();
    server.ok(&["secrets", "enable", "-path=one", "-version=1", "kv"]);
    for mount in ["secret", "one"] {
        for name in ["a", "b", "c", "folder/d"] {
            server.ok(&["kv", "put", &format!("{mount}/{name}"), "x=1"]);
        }
    }
    server
}

#[test]
fn pages_of_a_folder() {
    let server = stocked();
    for (arguments, expected) in [
        (&["kv", "list", "-limit=2", "secret"][..], json!(["a", "b"])),
        (
            &["kv", "list", "-after=b", "secret"],
            json!(["c", "folder/"]),
        ),
        (
            &["kv", "list", "-after=a", "-limit=1", "-mount=secret"],
            json!(["b"]),
        ),
        (
            &["list", "-limit=-1", "-after=c", "secret/metadata/"],
            json!(["folder/"]),
        ),
    ] {
        assert_eq!(server.json(arguments), expected, "{arguments:?}");
    }
}

#[test]
fn all_below_a_folder() {
    let server = stocked();
    for arguments in [
        &["kv", "scan", "secret"][..],
        &["kv", "scan", "one"],
        &["scan", "secret/metadata"],
        &["scan", "one/"],
    ] {
        let all = json!(["a", "b", "c", "folder/d"]);
        assert_eq!(server.json(arguments), all, "{arguments:?}");
    }
    let some = server.ok(&["kv", "scan", "-limit=2", "secret"]);
    assert_eq!(some, "Keys\n----\na\nb\n");
    let policy = server.ok(&["scan", "-output-policy", "one"]);
    assert_eq!(policy, "path \"one/\" {\n  capabilities = [\"scan\"]\n}\n");
}

#[test]
fn what_is_told_of_each_name() {
    let server = stocked();
    server.ok(&["kv", "metadata", "put", "-max-versions=7", "secret/a"]);
    let table = server.ok(&["kv", "list", "-detailed", "secret"]);
    let mut lines = table.lines();
    assert!(lines.next().unwrap().contains("max_versions"), "{table}");
    assert_eq!(lines.count(), 5, "{table}");
    let told = server.json(&["list", "-detailed", "secret/detailed-metadata"]);
    assert_eq!(told["data"]["key_info"]["a"]["max_versions"], 7);
    assert_eq!(told["data"]["keys"], json!(["a", "b", "c", "folder/"]));
    // Nothing is told here.
    let plain = server.ok(&["list", "-detailed", "one"]);
    assert_eq!(plain, "Keys\n----\na\nb\nc\nfolder/\n");
}

#[test]
fn an_empty_list_is_an_empty_document() {
    let server = Server::dev();
    for arguments in [
        &["kv", "list", "secret"][..],
        &["kv", "scan", "secret/none"],
        &["list", "secret/metadata/none"],
        &["scan", "secret/metadata/none"],
        &["list", "none/at/all"],
    ] {
        let ran = server.run(&[arguments, &["-format=json"]].concat());
        assert_eq!(
            (ran.code, ran.text().as_str()),
            (2, "{}\n"),
            "{arguments:?}"
        );
        let ran = server.run(arguments);
        assert_eq!((ran.code, ran.text().as_str()), (2, ""), "{arguments:?}");
    }
}

#[test]
fn a_version_that_is_gone_is_what_the_server_has_not() {
    let server = stocked();
    server.ok(&["kv", "put", "secret/a", "x=2"]);
    server.ok(&["kv", "destroy", "-versions=1", "secret/a"]);
    let back = server.run(&["kv", "rollback", "-version=1", "secret/a"]);
    assert_eq!(back.code, 2, "{}", back.stderr);
    server.ok(&["kv", "delete", "secret/a"]);
    let field = server.run(&["kv", "get", "-field=x", "secret/a"]);
    assert_eq!((field.code, field.text().as_str()), (2, ""));
    assert!(field.stderr.contains("No value found at secret/data/a"));
    let missing = server.run(&["policy", "write", "p", "missing.hcl"]);
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("missing.hcl"), "{}", missing.stderr);
}

#[test]
fn a_command_that_there_is_not() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, code) in [
        (&["nonsense"][..], 127),
        (&["-format=json", "nonsense"], 127),
        (&[], 127),
        (&["kv", "nonsense"], 1),
        (&["kv"], 1),
        (&["kv", "get"], 1),
        (&["kv", "-help"], 0),
    ] {
        let status = bare(home.path()).args(arguments).output().unwrap().status;
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn an_answer_without_an_envelope_is_all_data() {
    let server = Server::dev();
    let health = server.json(&["read", "sys/health"]);
    assert_eq!(health["data"]["sealed"], false, "{health}");
    let version = server.ok(&["read", "-field=version", "sys/health"]);
    assert_eq!(version, health["data"]["version"].as_str().unwrap());
}

#[test]
fn a_secret_has_a_field_for_all_of_it() {
    let server = Server::dev();
    server.ok(&["kv", "put", "secret/a", "x=1"]);
    let all = server.json(&["kv", "get", "-field=data", "secret/a"]);
    assert_eq!(all, json!({"x": "1"}));
    server.ok(&["kv", "put", "secret/a", "data=mine"]);
    let own = server.ok(&["kv", "get", "-field=data", "secret/a"]);
    assert_eq!(own, "mine");
}

#[test]
fn wrapping_needs_no_time() {
    let server = Server::dev();
    let token = server.ok(&["write", "-field=wrapping_token", "sys/wrapping/wrap", "a=b"]);
    let unwrapped = server.json(&["unwrap", &token]);
    assert_eq!(unwrapped["data"], json!({"a": "b"}));
    let status = server.json(&["operator", "init", "-status"]);
    assert_eq!(status, json!({"Initialized": true}));
}
