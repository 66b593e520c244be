//! Ways to reach a server: TLS with an authority of one's own, client certificates, a unix socket.
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

use support::{Ran, Server};
use tempfile::TempDir;

/// A self-signed certificate and its key, as `NAME.pem` and `NAME.key`.
fn certificate(folder: &Path, name: &str) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
    fs::write(
        folder.join(format!("{name}.key")),
        made.signing_key.serialize_pem(),
    )
    .unwrap();
}

/// A self-signed certificate that says whether it is an authority's.
fn certificate_of(folder: &Path, name: &str, authority: rcgen::IsCa) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut wanted = rcgen::CertificateParams::new(names).unwrap();
    wanted.is_ca = authority;
    let key = rcgen::KeyPair::generate().unwrap();
    let made = wanted.self_signed(&key).unwrap();
    fs::write(folder.join(format!("{name}.pem")), made.pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

fn tls_server(home: TempDir, more: &str) -> Server {
    certificate(home.path(), "server");
    listening(home, more)
}

/// A server with the `server` certificate of its home folder.
fn listening(home: TempDir, more: &str) -> Server {
    let folder = home.path().display();
    let listener = format!(
        "listener \"tcp\" {{\n address = \"127.0.0.1:0\"\n tls_cert_file = \"{folder}/server.pem\"\n \
         tls_key_file = \"{folder}/server.key\"\n {more}\n}}"
    );
    Server::listening(home, &listener)
}

#[test]
fn a_server_s_certificate_is_checked() {
    let server = tls_server(tempfile::tempdir().unwrap(), "");
    let trusted = server.run(&["operator", "init", "-status", "-ca-cert=server.pem"]);
    assert_eq!(trusted.code, 2, "not initialised: {}", trusted.stderr);
    assert!(
        trusted.text().contains("not initialized"),
        "{}",
        trusted.stderr
    );

    fs::create_dir(server.path("authorities")).unwrap();
    fs::copy(server.path("server.pem"), server.path("authorities/a.pem")).unwrap();
    let folder = server.run(&["operator", "init", "-status", "-ca-path=authorities"]);
    assert!(
        folder.text().contains("not initialized"),
        "{}",
        folder.stderr
    );

    let text = fs::read_to_string(server.path("server.pem")).unwrap();
    let mut command = server.command("root");
    command
        .args(["operator", "init", "-status"])
        .env("VAULT_CACERT_BYTES", text);
    let text = Ran::of(command.output().unwrap());
    assert!(text.text().contains("not initialized"), "{}", text.stderr);

    certificate(server.home.path(), "other");
    let unknown = server.run(&["status", "-ca-cert=other.pem"]);
    assert_eq!((unknown.code, unknown.text().as_str()), (1, ""));
    assert!(
        unknown.stderr.contains("certificate") && unknown.stderr.contains("-ca-cert"),
        "{}",
        unknown.stderr
    );

    let unchecked = server.run(&["operator", "init", "-status", "-tls-skip-verify"]);
    assert!(
        unchecked.text().contains("not initialized"),
        "{}",
        unchecked.stderr
    );
}

#[test]
fn a_certificate_may_bear_another_name_than_the_address() {
    let home = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["keys.example".to_owned()]).unwrap();
    fs::write(home.path().join("server.pem"), made.cert.pem()).unwrap();
    fs::write(
        home.path().join("server.key"),
        made.signing_key.serialize_pem(),
    )
    .unwrap();
    let server = listening(home, "");
    let status = ["operator", "init", "-status", "-ca-cert=server.pem"];
    assert_eq!(
        server.run(&status).text(),
        "",
        "the name is not the address"
    );
    let named = [&status[..], &["-tls-server-name=keys.example"]].concat();
    let named = server.run(&named);
    assert!(named.text().contains("not initialized"), "{}", named.stderr);
    for name in ["VAULT_TLS_SERVER_NAME", "KEYFOLD_TLS_SERVER_NAME"] {
        let mut command = server.command("");
        let ran = command.env(name, "keys.example").args(status).output();
        let ran = Ran::of(ran.unwrap());
        assert!(ran.text().contains("not initialized"), "{}", ran.stderr);
    }
    let other = [&status[..], &["-tls-server-name=other.example"]].concat();
    assert_eq!(server.run(&other).text(), "");
}

#[test]
fn a_certificate_that_says_it_is_an_authority_is_no_server_s() {
    let status = ["operator", "init", "-status", "-ca-cert=server.pem"];
    let home = tempfile::tempdir().unwrap();
    let any = rcgen::BasicConstraints::Unconstrained;
    certificate_of(home.path(), "server", rcgen::IsCa::Ca(any));
    let refused = listening(home, "").run(&status);
    assert_eq!((refused.code, refused.text().as_str()), (2, ""));
    assert!(
        refused.stderr.contains("CA:TRUE") && refused.stderr.contains("CA:FALSE"),
        "{}",
        refused.stderr
    );

    // What the hint says to make instead is taken.
    let home = tempfile::tempdir().unwrap();
    certificate_of(home.path(), "server", rcgen::IsCa::ExplicitNoCa);
    let taken = listening(home, "").run(&status);
    assert!(taken.text().contains("not initialized"), "{}", taken.stderr);
}

#[test]
fn a_client_shows_its_certificate_where_one_is_wanted() {
    let home = tempfile::tempdir().unwrap();
    certificate(home.path(), "client");
    let more = format!(
        "tls_client_ca_file = \"{}/client.pem\"\n tls_require_and_verify_client_cert = true",
        home.path().display()
    );
    let server = tls_server(home, &more);
    let bare = server.run(&["operator", "init", "-status", "-ca-cert=server.pem"]);
    assert_eq!(
        (bare.code, bare.text().as_str()),
        (2, ""),
        "{}",
        bare.stderr
    );
    assert!(
        bare.stderr.contains("no answer") && bare.stderr.contains("VAULT_CLIENT_CERT"),
        "{}",
        bare.stderr
    );
    assert!(!bare.stderr.contains("Is the server up"), "{}", bare.stderr);
    let shown = [
        "operator",
        "init",
        "-status",
        "-ca-cert=server.pem",
        "-client-cert=client.pem",
        "-client-key=client.key",
    ];
    let shown = server.run(&shown);
    assert!(shown.text().contains("not initialized"), "{}", shown.stderr);
    a_secret_comes_back(&server);
    // Another certificate than the listener's authority made.
    certificate(server.home.path(), "other");
    let other = server.run(&[
        "status",
        "-ca-cert=server.pem",
        "-client-cert=other.pem",
        "-client-key=other.key",
    ]);
    assert_eq!(other.code, 1);
    assert!(
        other.stderr.contains("tls_client_ca_file"),
        "{}",
        other.stderr
    );
    let half = server.run(&["status", "-ca-cert=server.pem", "-client-cert=client.pem"]);
    assert_eq!(half.code, 1);
}

/// From init to reading a secret, with the certificates that the variables name.
fn a_secret_comes_back(server: &Server) {
    let run = |token: &str, arguments: &[&str]| {
        let mut command = server.command(token);
        command
            .env("VAULT_CACERT", "server.pem")
            .env("VAULT_CLIENT_CERT", "client.pem")
            .env("VAULT_CLIENT_KEY", "client.key")
            .args(arguments);
        let ran = Ran::of(command.output().unwrap());
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.text()
    };
    let init = ["operator", "init", "-key-shares=1", "-key-threshold=1"];
    let made = run("", &[&init[..], &["-format=json"]].concat());
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let share = made["unseal_keys_b64"][0].as_str().unwrap();
    run("", &["operator", "unseal", share]);
    let root = made["root_token"].as_str().unwrap();
    run(root, &["secrets", "enable", "-path=kv", "kv-v2"]);
    run(root, &["kv", "put", "-mount=kv", "a", "x=1"]);
    assert_eq!(run(root, &["kv", "get", "-mount=kv", "-field=x", "a"]), "1");
}

#[test]
fn plain_http_is_guessed_from_a_failed_handshake() {
    let server = Server::dev();
    let https = server.address.replace("http://", "https://");
    let ran = server.run(&["status", "-tls-skip-verify", &format!("-address={https}")]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains(&format!("-address={}", server.address)),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_unix_socket_is_an_address() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("s").display().to_string();
    let server = Server::listening(
        home,
        &format!("listener \"unix\" {{ address = \"{socket}\" }}"),
    );
    let made = server.json(&["operator", "init", "-key-shares=1", "-key-threshold=1"]);
    let share = made["unseal_keys_b64"][0].as_str().unwrap();
    server.ok(&[
        "operator",
        "unseal",
        share,
        &format!("-address=unix://{socket}"),
    ]);
    assert_eq!(server.run(&["status"]).code, 0);
}
