//! `server -dev` and the flags that go with it.
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

use support::Server;

#[test]
fn the_root_token_is_kept_for_the_next_commands() {
    let server = Server::dev_with(&["-dev"]);
    assert_eq!(fs::read(server.path(".vault-token")).unwrap(), b"root");
    let lookup = server.run_as("", &["token", "lookup", "-field=id"]);
    assert_eq!(lookup.text(), "root", "{}", lookup.stderr);

    let silent = Server::dev_with(&["-dev", "-dev-no-store-token"]);
    assert!(!silent.path(".vault-token").exists());
}

#[test]
fn secrets_without_versions() {
    let server = Server::dev_with(&["-dev", "-dev-kv-v1", "-exit-on-core-shutdown"]);
    server.ok(&["kv", "put", "secret/a", "x=1"]);
    assert_eq!(server.ok(&["read", "-field=x", "secret/a"]), "1");
}

#[test]
fn tls_with_an_authority_of_its_own() {
    let server = Server::dev_with(&["-dev-tls", "-dev-tls-cert-dir=tls"]);
    assert!(server.address.starts_with("https://"), "{}", server.address);
    let authority = server.path("tls/keyfold-ca.pem").display().to_string();
    let trusting = format!("-ca-cert={authority}");
    let status = server.run(&["status", &trusting]);
    assert_eq!(status.code, 0, "{}", status.stderr);
    assert_eq!(server.run(&["status"]).code, 1, "nobody knows it");
    let port = server.address.rsplit_once(':').unwrap().1.to_owned();
    let by_name = format!("-address=https://localhost:{port}");
    let status = server.run(&["status", &trusting, &by_name]);
    assert_eq!(status.code, 0, "{}", status.stderr);
}
