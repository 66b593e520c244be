//! The commands against a real server: what they print, and how they exit.
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
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use support::{KEYFOLD, Ran, Server, bare};

#[test]
fn the_version_is_the_second_word_under_any_name() {
    let home = tempfile::tempdir().unwrap();
    for name in ["keyfold", "vault", "bao"] {
        let path = home.path().join(name);
        symlink(KEYFOLD, &path).unwrap();
        for argument in ["-version", "--version", "version"] {
            let ran = Ran::of(
                Command::new(&path)
                    .env_clear()
                    .env("HOME", home.path())
                    .arg(argument)
                    .output()
                    .unwrap(),
            );
            let text = ran.text();
            assert_eq!(text.lines().count(), 1);
            let version = text.split_whitespace().nth(1).unwrap();
            assert_eq!(version, concat!("v", env!("CARGO_PKG_VERSION")));
        }
    }
}

#[test]
fn a_server_from_init_to_seal() {
    let server = Server::stored();
    let status = server.run(&["status"]);
    assert_eq!(status.code, 2, "{}", status.stderr);
    // The API's, which tools compare with the releases of servers they know.
    assert!(status.text().contains("2.6.2"), "{}", status.text());
    assert_eq!(server.run(&["operator", "init", "-status"]).code, 2);

    let made = server.json(&["operator", "init", "-key-shares=3", "-key-threshold=2"]);
    assert_eq!(made["unseal_keys_b64"].as_array().unwrap().len(), 3);
    assert_eq!(made["unseal_keys_hex"].as_array().unwrap().len(), 3);
    assert_eq!(made["unseal_threshold"], 2);
    assert_eq!(server.run(&["operator", "init", "-status"]).code, 0);
    let sealed = server.run(&["secrets", "list"]);
    assert_eq!(sealed.code, 2);
    assert!(
        sealed.stderr.contains("keyfold operator unseal"),
        "{}",
        sealed.stderr
    );

    let first = made["unseal_keys_b64"][0].as_str().unwrap();
    let second = made["unseal_keys_hex"][2].as_str().unwrap();
    assert!(
        server
            .ok(&["operator", "unseal", first])
            .contains("Unseal Progress    1/2")
    );
    assert!(
        server
            .ok(&["operator", "unseal", "-reset"])
            .contains("Unseal Progress    0/2")
    );
    server.ok(&["operator", "unseal", first]);
    let piped = server.piped(
        &["operator", "unseal", "-format=json", "-"],
        second.as_bytes(),
    );
    assert!(
        piped.text().contains("\"sealed\": false"),
        "{}{}",
        piped.text(),
        piped.stderr
    );
    assert_eq!(server.run(&["status"]).code, 0);

    let root = made["root_token"].as_str().unwrap();
    let rotated = server.run_as(root, &["operator", "rotate", "-format=json"]);
    let status: serde_json::Value = serde_json::from_slice(&rotated.stdout).unwrap();
    assert_eq!(status["term"], 2, "{}", rotated.stderr);
    assert_eq!(server.run_as(root, &["operator", "seal"]).code, 0);
    assert_eq!(server.run(&["status"]).code, 2);
}

#[test]
fn no_terminal_to_type_a_share_at() {
    let server = Server::stored();
    let ran = server.run(&["operator", "unseal"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("terminal"), "{}", ran.stderr);
}

#[test]
fn login_keeps_the_token_for_its_owner_alone() {
    let server = Server::dev();
    let denied = server.run_as("", &["token", "lookup"]);
    assert_eq!(denied.code, 2);
    let wrong = server.run_as("", &["login", "hvs.wrong"]);
    assert_eq!(wrong.code, 2);
    assert!(!server.path(".vault-token").exists());
    assert!(!wrong.stderr.contains("hvs.wrong"), "{}", wrong.stderr);

    let login = server.run_as("", &["login", "token=root"]);
    assert_eq!(login.code, 0, "{}", login.stderr);
    let mode = fs::metadata(server.path(".vault-token"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let own = server.run_as("", &["token", "lookup", "-field=id"]);
    assert_eq!(own.text(), "root");

    fs::remove_file(server.path(".vault-token")).unwrap();
    let only = server.piped(&["login", "-token-only", "-"], b"root\n");
    assert_eq!(only.text(), "root");
    assert!(!server.path(".vault-token").exists());
}

#[test]
fn secrets_round_trip_whatever_they_hold() {
    let server = Server::dev();
    fs::write(server.path("file"), "from a file\n").unwrap();
    let put = server.piped(
        &[
            "kv",
            "put",
            "secret/a/b",
            r"back=\",
            "quote=\"",
            "eq=x=y",
            "f=@file",
            r"at=\@x",
            "in=-",
        ],
        b"line\nbreak",
    );
    assert_eq!(put.code, 0, "{}", put.stderr);
    let text = put.text();
    assert!(
        text.contains("secret/data/a/b") && text.contains("version            1"),
        "{text}"
    );
    for (field, value) in [
        ("back", "\\"),
        ("quote", "\""),
        ("eq", "x=y"),
        ("f", "from a file\n"),
        ("at", "@x"),
        ("in", "line\nbreak"),
    ] {
        let read = server.ok(&["kv", "get", &format!("-field={field}"), "secret/a/b"]);
        assert_eq!(read, value, "{field}");
    }
    let document = server.json(&["kv", "get", "-mount=secret", "a/b"]);
    assert_eq!(document["data"]["data"]["eq"], "x=y");
    assert_eq!(document["data"]["metadata"]["version"], 1);
}

#[test]
fn kv_versions_lists_and_absences() {
    let server = Server::dev();
    server.ok(&["kv", "put", "secret/a", "x=1"]);
    assert_eq!(
        server.run(&["kv", "put", "-cas=5", "secret/a", "x=2"]).code,
        2
    );
    server.ok(&["kv", "put", "-cas=1", "secret/a", "x=2"]);
    assert_eq!(
        server.ok(&["kv", "get", "-field=x", "-version=1", "secret/a"]),
        "1"
    );
    assert_eq!(server.ok(&["kv", "list", "secret"]), "Keys\n----\na\n");
    assert_eq!(
        server.json(&["kv", "list", "secret/"]),
        serde_json::json!(["a"])
    );
    for arguments in [
        &["kv", "list", "-mount=secret"][..],
        &["kv", "list", "-mount=secret/", "/"],
    ] {
        assert_eq!(server.ok(arguments), "Keys\n----\na\n", "{arguments:?}");
    }

    let absent = server.run(&["kv", "get", "secret/none"]);
    assert_eq!(absent.code, 2);
    assert_eq!(absent.text(), "");
    assert!(absent.stderr.contains("No value found at secret/data/none"));
    let field = server.run(&["kv", "get", "-field=nope", "secret/a"]);
    assert_eq!((field.code, field.text().as_str()), (1, ""));

    server.ok(&["kv", "delete", "secret/a"]);
    let deleted = server.ok(&["kv", "get", "secret/a"]);
    assert!(
        deleted.contains("Metadata") && !deleted.contains("= Data ="),
        "{deleted}"
    );
    server.ok(&["kv", "delete", "-versions=1", "secret/a"]);
}

#[test]
fn policies_and_tokens() {
    let server = Server::dev();
    let text = "path \"secret/data/team/*\" { capabilities = [\"create\", \"read\"] }\n";
    let written = server.piped(&["policy", "write", "team", "-"], text.as_bytes());
    assert_eq!(written.code, 0, "{}", written.stderr);
    assert_eq!(server.ok(&["policy", "read", "team"]), text);
    let names = server.json(&["policy", "list"]);
    assert!(
        names.as_array().unwrap().contains(&"team".into()),
        "{names}"
    );
    assert_eq!(server.ok(&["policy", "list"]), "default\nteam\nroot\n");
    let bad = server.piped(&["policy", "write", "bad", "-"], b"path {");
    assert_eq!(bad.code, 2);

    let token = server.ok(&["token", "create", "-policy=team", "-ttl=1h", "-field=token"]);
    server.ok(&["kv", "put", "secret/team/x", "a=1"]);
    let allowed = server.run_as(&token, &["read", "-field=data", "secret/data/team/x"]);
    assert_eq!(allowed.text(), r#"{"a":"1"}"#);
    let denied = server.run_as(&token, &["read", "secret/data/other"]);
    assert_eq!(denied.code, 2);
    assert!(
        denied.stderr.contains("permission denied"),
        "{}",
        denied.stderr
    );
    assert!(
        denied.stderr.contains("keyfold token lookup"),
        "{}",
        denied.stderr
    );

    assert_eq!(
        server.json(&["token", "renew", &token])["auth"]["renewable"],
        true
    );
    server.ok(&["token", "revoke", &token]);
    assert_eq!(server.run_as(&token, &["token", "lookup"]).code, 2);
    server.ok(&["policy", "delete", "team"]);
    assert_eq!(server.run(&["policy", "read", "team"]).code, 2);
}

#[test]
fn mounts_and_any_path() {
    let server = Server::dev();
    server.ok(&[
        "secrets",
        "enable",
        "-path=a/b",
        "-description=ours",
        "transit",
    ]);
    server.ok(&["secrets", "enable", "kv-v2"]);
    let mounts = server.json(&["secrets", "list"]);
    assert_eq!(mounts["a/b/"]["description"], "ours");
    assert_eq!(mounts["kv-v2/"]["options"]["version"], "2");
    server.ok(&["write", "-f", "a/b/keys/k"]);
    let sealed = server.ok(&[
        "write",
        "-field=ciphertext",
        "a/b/encrypt/k",
        "plaintext=aGk=",
    ]);
    let opened = server.json(&["write", "a/b/decrypt/k", &format!("ciphertext={sealed}")]);
    assert_eq!(opened["data"]["plaintext"], "aGk=");
    assert_eq!(server.json(&["list", "a/b/keys"]), serde_json::json!(["k"]));
    let none = server.run(&["write", "a/b/keys/other"]);
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("-force"), "{}", none.stderr);

    server.ok(&["secrets", "disable", "a/b"]);
    let gone = server.run(&["read", "a/b/keys/k"]);
    assert_eq!(gone.code, 2);
    assert!(
        gone.stderr.contains("keyfold secrets list"),
        "{}",
        gone.stderr
    );
}

#[test]
fn mistakes_and_absent_servers() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let variables = variables.iter().copied();
        Ran::of(
            bare(home.path())
                .args(arguments)
                .envs(variables)
                .output()
                .unwrap(),
        )
    };
    for (arguments, code) in [
        (&["nonsense"][..], 127),
        (&["read"], 1),
        (&["status", "-format=xml"], 1),
        (&[], 127),
    ] {
        let ran = run(arguments, &[]);
        assert_eq!((ran.code, ran.text().as_str()), (code, ""), "{arguments:?}");
        assert!(!ran.stderr.is_empty());
    }
    assert_eq!(run(&["-help"], &[]).code, 0);
    // Another name of the table.
    assert_eq!(run(&["version", "-format=pretty"], &[]).code, 0);
    let page = run(&["help", "exit-codes"], &[]);
    assert!(
        page.text().contains("the encryption context"),
        "{}",
        page.text()
    );

    assert_eq!(run(&["status"], &[("VAULT_ADDR", "not a url")]).code, 1);
    assert_eq!(
        run(&["status"], &[("VAULT_CACERT", "/no/such/file")]).code,
        1
    );
}

#[test]
fn the_environment_chooses_a_format_and_the_flag_overrules_it() {
    let server = Server::dev();
    let first = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = server.command("root");
        command.envs(variables.iter().copied()).args(arguments);
        let ran = Ran::of(command.output().unwrap());
        (ran.code, ran.text().lines().next().unwrap_or("").to_owned())
    };
    let list = ["list", "sys/policies/acl"];
    for name in ["VAULT_FORMAT", "BAO_FORMAT", "KEYFOLD_FORMAT"] {
        assert_eq!(first(&[(name, "json")], &list), (0, "[".to_owned()));
        let yaml = first(&[(name, "json")], &["list", "-format=yaml", list[1]]);
        assert_eq!(yaml, (0, "- default".to_owned()));
        assert_eq!(first(&[(name, "xml")], &list).0, 1);
    }
    let both = [("VAULT_FORMAT", "json"), ("KEYFOLD_FORMAT", "table")];
    assert_eq!(first(&both, &list), (0, "Keys".to_owned()));
}

#[test]
fn policies_are_formatted() {
    let server = Server::dev();
    let rough = "path \"a\" {capabilities=[\"read\"] # why\n}";
    let usual = "path \"a\" {\n  capabilities = [\"read\"] # why\n}\n";
    let done = server.piped(&["policy", "fmt", "-"], rough.as_bytes());
    assert_eq!((done.code, done.text().as_str()), (0, usual));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("team.hcl");
    let path = file.to_str().unwrap();
    fs::write(&file, rough).unwrap();
    assert_eq!(
        server.ok(&["policy", "fmt", path]),
        format!("Success! Formatted policy: {path}\n")
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), usual);
    // What no server would take is left alone.
    for wrong in ["path \"a\" { capabilities = [\"fly\"] }", "{}", "path {"] {
        fs::write(&file, wrong).unwrap();
        assert_eq!(server.run(&["policy", "fmt", path]).code, 1, "{wrong}");
        assert_eq!(fs::read_to_string(&file).unwrap(), wrong);
    }
}

#[test]
fn a_custodian_proves_a_share_and_the_server_never_sees_it() {
    let server = Server::stored();
    let made = server.json(&["operator", "init", "-key-shares=3", "-key-threshold=2"]);
    for (at, spelling) in [(0, "unseal_keys_b64"), (2, "unseal_keys_hex")] {
        let share = made[spelling][at].as_str().unwrap();
        let ran = server.piped(&["operator", "share", "check", "-"], share.as_bytes());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let text = ran.text();
        assert!(
            text.contains(&format!("share {} of 3, any 2", at + 1)),
            "{text}"
        );
    }
    let other = "00".repeat(33);
    let ran = server.piped(&["operator", "share", "check", "-"], other.as_bytes());
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("none of the shares of today"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_dek_is_rotated_and_all_keys_are_accounted_for() {
    let server = Server::dev();
    server.ok(&["kv", "put", "-mount=secret", "a", "v=1"]);
    let begun = server.json(&["operator", "rotate-dek", "secret/", "-rate=1000"]);
    assert_eq!(begun["data"]["version"], 2);
    // Where nobody draws a bar it waits all the same.
    let done = server.ok(&["operator", "rotate-dek", "-watch", "secret"]);
    assert!(done.contains("done"), "{done}");
    let status = server.json(&["operator", "rotate-dek", "-status", "secret"]);
    assert_eq!(status["data"]["state"], "done");
    assert_eq!(
        server.ok(&["kv", "get", "-mount=secret", "-field=v", "a"]),
        "1"
    );
    let missing = server.run_as("root", &["operator", "rotate-dek", "nothing"]);
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("no mount at"), "{}", missing.stderr);

    let report = server.json(&["operator", "keys", "report"]);
    assert_eq!(report["custodians"]["threshold"], 1);
    let table = server.ok(&["operator", "keys", "report"]);
    for text in [
        "Custodians: any 1 of 1 shares open the store",
        "Root key: in memory",
        "Wrapped By",
        "root-key",
        "kek",
        "secret/",
    ] {
        assert!(table.contains(text), "{text} in {table}");
    }
}
