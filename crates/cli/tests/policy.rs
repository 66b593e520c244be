//! `policy explain`, `policy who-can`, and what shells complete.
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
use std::process::Command;

use serde_json::json;
use support::{Ran, Server, bare};

/// A server with a policy that reads below `secret/`, but for one path.
fn server() -> Server {
    let server = Server::dev();
    let text = r#"path "secret/*" { capabilities = ["read"] }
path "secret/data/no" { capabilities = ["deny"] }"#;
    fs::write(server.path("reader.hcl"), text).unwrap();
    server.ok(&["policy", "write", "reader", "reader.hcl"]);
    server
}

#[test]
fn explain_says_which_rule_decides() {
    let server = server();
    let about = |more: &[&str], path: &str| {
        let line = [&["policy", "explain"], more, &[path]].concat();
        server.json(&line)["data"].clone()
    };
    let denied = about(&["-policy=reader"], "secret/data/no");
    assert_eq!(denied["allowed"], false);
    assert_eq!(denied["rule"]["path"], "secret/data/no");
    assert_eq!(denied["rule"]["sources"][0]["line"], 2);
    let lists = ["-policy=reader", "-policy=default", "-operation=list"];
    let lists = about(&lists, "secret/data/a");
    assert_eq!(lists["operation"], "list");
    assert_eq!(lists["policies"], json!(["default", "reader"]));
    assert_eq!(lists["allowed"], false);

    let token = server.json(&["token", "create", "-policy=reader"]);
    let text = token["auth"]["client_token"].as_str().unwrap();
    let accessor = token["auth"]["accessor"].as_str().unwrap();
    for who in [format!("-token={text}"), format!("-accessor={accessor}")] {
        assert_eq!(about(&[&who], "secret/data/a")["allowed"], true, "{who}");
    }
    assert_eq!(about(&[], "secret/data/a")["policies"], json!(["root"]));

    let shown = server.ok(&["policy", "explain", "-policy=reader", "secret/data/a"]);
    assert!(shown.contains("the rule grants it"), "{shown}");
    let two = server.run(&[
        "policy",
        "explain",
        "-policy=reader",
        "-accessor=x",
        "secret/a",
    ]);
    assert_eq!(two.code, 1, "{}", two.stderr);
    let wrong = server.run(&["policy", "explain", "-operation=look", "secret/a"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("operation"), "{}", wrong.stderr);
}

#[test]
fn who_can_names_policies_roles_and_tokens() {
    let server = server();
    server.ok(&["write", "auth/token/roles/r", "allowed_policies=reader"]);
    server.ok(&["token", "create", "-policy=reader", "-display-name=ann"]);
    let who = |more: &[&str]| {
        let line = [&["policy", "who-can"], more].concat();
        server.json(&line)["data"].clone()
    };
    let reads = who(&["secret/data/a"]);
    assert_eq!(reads["policies"], json!(["root", "reader"]));
    assert_eq!(reads["token_roles"], json!(["r"]));
    let tokens = reads["tokens"].as_array().unwrap().iter();
    assert!(
        tokens
            .map(|token| &token["display_name"])
            .any(|n| n == "token-ann")
    );
    let writes = who(&["-operation=update", "secret/data/a"]);
    assert_eq!(writes["policies"], json!(["root"]));
    assert_eq!(who(&["secret/data/no"])["token_roles"], json!([]));
    let shown = server.ok(&["policy", "who-can", "secret/data/a"]);
    assert!(shown.contains("token_roles"), "{shown}");
}

/// What bash offers for the last of these words.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let line = format!(
        "source {script}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n\
         $(complete -p keyfold | sed 's/.*-F \\([^ ]*\\) .*/\\1/') keyfold '{}' ''\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        words.join(" "),
        words.len() - 1,
        words.last().unwrap(),
    );
    let ran = Ran::of(Command::new("bash").args(["-c", &line]).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.text().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_flags() {
    let home = tempfile::tempdir().unwrap();
    let script = home.path().join("keyfold.bash");
    let made = bare(home.path()).args(["completion", "bash"]).output();
    fs::write(&script, Ran::of(made.unwrap()).stdout).unwrap();
    let script = script.to_str().unwrap();
    assert_eq!(offered(script, &["keyfold", "pol"]), ["policy"]);
    assert_eq!(
        offered(script, &["keyfold", "policy", "w"]),
        ["write", "who-can"]
    );
    let flags = offered(script, &["keyfold", "policy", "explain", "--"]);
    for flag in ["--accessor", "--policy", "--operation"] {
        assert!(flags.iter().any(|offer| offer == flag), "{flag}: {flags:?}");
    }
}

#[test]
fn each_shell_has_a_script_under_the_name_that_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let line = ["completion", shell, "-name=vault"];
        let made = Ran::of(bare(home.path()).args(line).output().unwrap());
        assert_eq!(made.code, 0, "{shell}: {}", made.stderr);
        let text = made.text();
        assert!(
            text.contains("vault") && text.contains("who-can"),
            "{shell}"
        );
    }
    let other = bare(home.path()).args(["completion", "csh"]).output();
    assert_eq!(Ran::of(other.unwrap()).code, 1);
}
