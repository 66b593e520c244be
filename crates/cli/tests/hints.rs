//! What a command that failed says about the next step, and what it never does.
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
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use support::{Ran, Server, bare};

/// The command must fail with `code`, and its errors must hold each of `texts`.
#[track_caller]
fn fails(ran: &Ran, code: i32, texts: &[&str]) {
    assert_eq!(
        (ran.code, ran.text().as_str()),
        (code, ""),
        "{}",
        ran.stderr
    );
    for text in texts {
        assert!(ran.stderr.contains(text), "{text} is not in {}", ran.stderr);
    }
}

#[test]
fn a_token_that_is_missing_wrong_or_weak() {
    let server = Server::dev();
    fails(
        &server.run_as("", &["kv", "get", "secret/a"]),
        2,
        &["No token is given", "keyfold login", "VAULT_TOKEN"],
    );
    fails(
        &server.run_as("bad", &["secrets", "list"]),
        2,
        &["VAULT_TOKEN"],
    );
    fails(
        &server.run_as("", &["login", "bad"]),
        2,
        &["The token given is not valid", "Nothing was kept"],
    );
    let weak = server.ok(&["token", "create", "-field=token"]);
    let text = server.run_as("", &["login", &weak]);
    assert_eq!(text.code, 0, "{}", text.stderr);
    let kept = server.path(".vault-token").display().to_string();
    let narrow = server.ok(&["token", "create", "-policy=default", "-field=token"]);
    fs::write(server.path(".vault-token"), narrow).unwrap();
    fails(
        &server.run_as("", &["secrets", "list"]),
        2,
        &["keyfold token lookup", &kept],
    );
    fs::write(server.path("f"), "x").unwrap();
    fs::remove_file(server.path(".vault-token")).unwrap();
    let encrypt = ["encrypt", "-key=transit/k", "f"];
    fails(&server.run_as("", &encrypt), 24, &["No token is given"]);
}

#[test]
fn a_failed_login_keeps_nothing() {
    let server = Server::dev();
    let kept = server.path(".vault-token");
    let addressed = |address: &str, arguments: &[&str]| {
        let mut command = server.command("");
        command.env("VAULT_ADDR", address).args(arguments);
        Ran::of(command.output().unwrap())
    };
    for (address, arguments, code) in [
        (server.address.as_str(), &["login", "bad"][..], 2),
        (&server.address, &["login", "-field=none", "root"], 1),
        (&server.address, &["login", "-method=ldap", "root"], 1),
        (&server.address, &["login", ""], 1),
        ("http://127.0.0.1:1", &["login", "root"], 2),
        ("no address", &["login", "root"], 1),
        (&yes_sayer("{}"), &["login", "root"], 2),
        (&yes_sayer("<html>"), &["login", "root"], 2),
    ] {
        let ran = addressed(address, arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(!kept.exists(), "{arguments:?} at {address}");
    }
    // Nor does it lose the token of an earlier login.
    assert_eq!(server.run_as("", &["login", "root"]).code, 0);
    assert_eq!(server.run_as("", &["login", "bad"]).code, 2);
    assert_eq!(fs::read_to_string(&kept).unwrap(), "root");
}

/// The address of a server that gives one answer, 200 with this body.
fn yes_sayer(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend_from_slice(&byte);
        }
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).unwrap();
    });
    address
}

#[test]
fn a_request_that_the_server_refuses() {
    let server = Server::dev();
    server.ok(&["kv", "put", "secret/team/a", "x=1"]);
    fails(
        &server.run(&["kv", "put", "-cas=5", "secret/team/a", "x=2"]),
        2,
        &["keyfold kv get", "-cas=N"],
    );
    fails(
        &server.run(&["kv", "get", "secret/team/b"]),
        2,
        &["keyfold kv list secret/team/"],
    );
    fails(
        &server.run(&["kv", "list", "secret/other"]),
        2,
        &["keyfold kv list secret/"],
    );
    fails(
        &server.run(&["read", "secret/data/none"]),
        2,
        &["keyfold list secret/data"],
    );
    fails(
        &server.run(&["policy", "read", "none"]),
        2,
        &["keyfold policy list"],
    );
    fails(
        &server.run(&["secrets", "enable", "-path=secret", "kv"]),
        2,
        &["keyfold secrets list", "keyfold secrets disable"],
    );
    fails(
        &server.run(&["operator", "init"]),
        2,
        &["already initialized", "keyfold operator unseal"],
    );
}

#[test]
fn what_named_the_address_of_a_server_that_is_away() {
    let home = tempfile::tempdir().unwrap();
    let at = "http://127.0.0.1:1";
    let run = |arguments: &[&str], names: &[&str]| {
        let variables = names.iter().map(|name| (*name, at));
        let mut command = bare(home.path());
        Ran::of(command.args(arguments).envs(variables).output().unwrap())
    };
    for (names, named) in [
        (&["VAULT_ADDR"][..], "VAULT_ADDR says"),
        (&["VAULT_ADDR", "BAO_ADDR"], "BAO_ADDR says"),
        (&["BAO_ADDR", "KEYFOLD_ADDR"], "KEYFOLD_ADDR says"),
    ] {
        fails(&run(&["secrets", "list"], names), 2, &[at, named]);
        fails(&run(&["status"], names), 1, &[at, named]);
    }
    let flag = format!("-address={at}");
    let flagged = run(&["status", &flag], &["VAULT_ADDR"]);
    fails(&flagged, 1, &[at, "-address says"]);
    assert!(!flagged.stderr.contains("VAULT_ADDR"), "{}", flagged.stderr);
    fs::write(home.path().join("f"), "x").unwrap();
    let encrypt = run(&["encrypt", "-key=transit/k", "f"], &["BAO_ADDR"]);
    fails(&encrypt, 27, &["BAO_ADDR says"]);
}

#[test]
fn a_wrong_flag_is_named_as_typed_and_help_names_the_variables() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Ran::of(bare(home.path()).args(arguments).output().unwrap());
    let wrong = run(&["kv", "get", "-bogus", "secret/a"]);
    fails(&wrong, 1, &["'-bogus'"]);
    assert!(!wrong.stderr.contains("'-b'"), "{}", wrong.stderr);
    fails(
        &run(&["status", "-adress=http://h"]),
        1,
        &["'-adress'", "--address"],
    );
    for arguments in [&["-h"][..], &["kv", "get", "-h"]] {
        let help = run(arguments);
        assert_eq!(help.code, 0);
        for form in ["KEYFOLD_", "BAO_", "VAULT_"] {
            assert!(help.text().contains(form), "{arguments:?}: {}", help.text());
        }
    }
}

#[test]
fn usage_lines_show_what_may_be_left_out() {
    let home = tempfile::tempdir().unwrap();
    for (command, usage) in [
        ("list", "[OPTIONS] [PATH]"),
        ("get", "[OPTIONS] <PATH>"),
        ("delete", "[OPTIONS] <PATH>"),
        ("put", "[OPTIONS] <PATH> <DATA>..."),
    ] {
        let help = Ran::of(
            bare(home.path())
                .args(["kv", command, "-h"])
                .output()
                .unwrap(),
        );
        let line = format!("Usage: keyfold kv {command} {usage}\n");
        assert!(help.text().contains(&line), "{}", help.text());
    }
    // What is missing is told with the same line, not with a pair of PATHs.
    let missing = Ran::of(
        bare(home.path())
            .args(["kv", "get", "-mount=a"])
            .output()
            .unwrap(),
    );
    fails(&missing, 1, &["<PATH>"]);
    assert!(
        !missing.stderr.contains("<PATH> <PATH>"),
        "{}",
        missing.stderr
    );
    let neither = Ran::of(bare(home.path()).args(["kv", "list"]).output().unwrap());
    fails(&neither, 1, &["-mount"]);
}
