//! Flags and variables that existing clients have, and commands of servers that are otherwise.
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

use serde_json::Value;
use support::{Ran, Server, bare};

/// A command with one more variable.
fn with(server: &Server, arguments: &[&str], name: &str, value: &str) -> Ran {
    let mut command = server.command("root");
    Ran::of(command.args(arguments).env(name, value).output().unwrap())
}

#[test]
fn a_policy_names_sudo_where_the_path_demands_it() {
    let server = Server::dev();
    for (arguments, capabilities) in [
        (&["audit", "list"][..], r#"["read", "sudo"]"#),
        (
            &["auth", "enable", "userpass"],
            r#"["create", "update", "sudo"]"#,
        ),
        (&["secrets", "enable", "kv"], r#"["create", "update"]"#),
        (&["list", "auth/token/accessors"], r#"["list", "sudo"]"#),
    ] {
        let arguments = [arguments, &["-output-policy"]].concat();
        let text = server.run(&arguments).text();
        let wanted = format!("capabilities = {capabilities}");
        assert!(text.contains(&wanted), "{arguments:?}: {text}");
    }
}

#[test]
fn what_programs_read() {
    let server = Server::dev();
    let json = |arguments: &[&str]| -> Value {
        let text = server.run(&[arguments, &["-format=json"]].concat()).text();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{arguments:?}: {text}"))
    };
    let members = |value: &Value| value.as_object().unwrap().len();
    for command in ["rekey", "rotate-keys"] {
        let status = json(&["operator", command, "-status"]);
        assert_eq!((members(&status), &status["started"]), (10, &false.into()));
        assert_eq!(status["verification_nonce"], "");
    }
    let help = json(&["path-help", "cubbyhole/a"]);
    assert_eq!(help["openapi"], "3.0.2");
    assert!(
        help["paths"]["/cubbyhole/{path}"]["get"].is_object(),
        "{help}"
    );
    let text = server.run(&["path-help", "cubbyhole/a"]).text();
    assert!(text.contains("READ"), "{text}");
    let said = with(
        &server,
        &["secrets", "enable", "-path=a", "kv"],
        "VAULT_FORMAT",
        "json",
    );
    assert_eq!(
        said.text(),
        "Success! Enabled the kv secrets engine at: a/\n"
    );
    let curl = server
        .run(&["operator", "init", "-output-curl-string"])
        .text();
    assert!(
        curl.contains("/v1/sys/init'") && curl.contains("secret_shares"),
        "{curl}"
    );
}

#[test]
fn an_answer_as_it_came() {
    let server = Server::dev();
    server.ok(&["write", "cubbyhole/a", "k=v"]);
    let raw = server.run(&["read", "-format=raw", "cubbyhole/a"]).text();
    assert!(raw.starts_with("{\"request_id\":"), "{raw}");
    for arguments in [
        &["list", "cubbyhole/"][..],
        &["status"],
        &["kv", "get", "secret/a"],
    ] {
        let ran = server.run(&[arguments, &["-format=raw"]].concat());
        assert_eq!(ran.code, 1, "{arguments:?}");
        assert!(ran.stderr.contains("raw is for `read`"), "{}", ran.stderr);
    }
    let absent = server.run(&["read", "-format=raw", "cubbyhole/b"]);
    assert_eq!((absent.code, absent.stdout.len()), (2, 0));
}

#[test]
fn flags_that_lead_elsewhere_or_ask_for_less() {
    let server = Server::dev();
    server.ok(&["write", "cubbyhole/a", "k=v"]);
    for flag in [
        "-disable-redirects",
        "-non-interactive",
        "-policy-override",
        "-mfa=m:1",
    ] {
        let ran = server.run(&["read", "-field=k", flag, "cubbyhole/a"]);
        assert_eq!(ran.text(), "v", "{flag}");
    }
    let agent = format!("-agent-address={}", server.address);
    let ran = server.run(&[
        "read",
        "-address=http://127.0.0.1:1",
        &agent,
        "-field=k",
        "cubbyhole/a",
    ]);
    assert_eq!(ran.text(), "v");
    let curl = server.run(&[
        "read",
        "-mfa=m:1",
        "-policy-override",
        "-output-curl-string",
        "a",
    ]);
    let curl = curl.text();
    assert!(
        curl.contains("X-Vault-MFA: m:1") && curl.contains("X-Vault-Policy-Override: true"),
        "{curl}"
    );
    let ran = server.run(&["login", "-non-interactive"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("-non-interactive"), "{}", ran.stderr);
    let ran = with(&server, &["status"], "VAULT_SRV_LOOKUP", "true");
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("VAULT_SRV_LOOKUP must be false"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_token_is_kept_where_a_variable_says() {
    let server = Server::dev();
    let kept = server.path("kept");
    let login = bare(server.home.path())
        .args(["login", "root"])
        .env("VAULT_ADDR", &server.address)
        .env("VAULT_TOKEN_PATH", &kept)
        .output()
        .unwrap();
    assert!(
        login.status.success(),
        "{}",
        String::from_utf8_lossy(&login.stderr)
    );
    assert_eq!(fs::read_to_string(&kept).unwrap().trim(), "root");
    assert!(!server.path(".vault-token").exists());
}

#[test]
fn mounts_of_plugins() {
    let server = Server::dev();
    let enable = |flags: &[&str]| server.run(&[&["secrets", "enable"][..], flags].concat());
    let ran = enable(&["-path=p", "-plugin-name=kv", "-force-no-cache", "plugin"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let list = server.run(&["secrets", "list", "-format=json"]).text();
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["p/"]["type"], "kv");
    assert_eq!(list["p/"]["config"]["force_no_cache"], true);
    let ran = enable(&["plugin"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("-plugin-name"), "{}", ran.stderr);
}

#[test]
fn there_are_no_namespaces() {
    let server = Server::dev();
    let ran = server.run(&["namespace", "list"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let ran = server.run(&["namespace", "lookup", "team"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    for arguments in [
        &["create", "team"][..],
        &["patch", "-custom-metadata=a=b", "team"],
        &["lock", "team"],
    ] {
        let ran = server.run(&[&["namespace"], arguments].concat());
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("400"), "{}", ran.stderr);
    }
}

#[test]
fn what_a_server_does_otherwise_is_said() {
    let home = tempfile::tempdir().unwrap();
    for (flag, instead) in [
        ("-log-file=/nowhere/log", "standard error"),
        ("-recovery", "generate-root"),
    ] {
        let ran = bare(home.path())
            .args(["server", "-dev", flag])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{flag}");
        assert!(
            text.contains("is not offered") && text.contains(instead),
            "{text}"
        );
    }
}
