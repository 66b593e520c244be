//! The commands of `docs/runbooks/compromised-key.md` do what the page says: each is run as it stands there.
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
use std::process::Command;
use std::thread;
use std::time::Duration;

use support::{KEYFOLD, Ran, Server, noise};

const PAGE: &str = include_str!("../../../docs/runbooks/compromised-key.md");

/// The blocks of commands, in their order.
fn blocks() -> Vec<&'static str> {
    let parts = PAGE.split("```sh\n").skip(1);
    parts
        .map(|part| part.split_once("```").unwrap().0)
        .collect()
}

/// Runs a block as a shell does, with the program under its name.
fn run(server: &Server, block: &str) {
    let programs = Path::new(KEYFOLD).parent().unwrap().to_str().unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-eu", "-c", block])
        .env_clear()
        .env("PATH", format!("{programs}:/usr/bin:/bin"))
        .env("HOME", server.home.path())
        .env("VAULT_ADDR", &server.address)
        .env("VAULT_TOKEN", "root")
        .current_dir(server.home.path());
    let ran = Ran::of(shell.output().unwrap());
    assert_eq!(ran.code, 0, "{block}{}{}", ran.text(), ran.stderr);
}

#[test]
fn a_compromised_key_is_answered_as_the_page_says() {
    let blocks = blocks();
    assert_eq!(blocks.len(), 7, "each block is looked at below");
    let server = Server::dev();
    server.ok(&["secrets", "enable", "transit"]);
    server.ok(&["write", "-f", "transit/keys/payments"]);
    fs::create_dir(server.path("data")).unwrap();
    let plain = noise(50_000);
    for name in ["data/a.kf", "data/b.kf", "data/c.kf"] {
        let sealed = server.piped(
            &["encrypt", "-key=transit/payments", "-o", name, "-"],
            &plain,
        );
        assert_eq!(sealed.code, 0, "{}", sealed.stderr);
    }
    fs::copy(server.path("data/a.kf"), server.path("stolen.kf")).unwrap();
    let create = [
        "keyring",
        "create",
        "-key=transit/payments",
        "-store=payments.keyring",
        "payments",
    ];
    server.ok(&create);
    let sealed = server.piped(
        &["encrypt", "-keyring=payments.keyring", "-o", "many.kf", "-"],
        &plain,
    );
    assert_eq!(sealed.code, 0, "{}", sealed.stderr);
    let keyring_opens = || {
        let opened = server.run(&["decrypt", "-keyring=payments.keyring", "-o", "-", "many.kf"]);
        opened.stdout == plain
    };
    let opens = |name: &str| server.run(&["decrypt", "-o", "-", name]).stdout == plain;
    let object = |name: &str| server.ok(&["inspect", "-field=object_id", name]);
    assert!(opens("data/a.kf"));

    run(&server, blocks[0]);
    assert!(
        !opens("data/a.kf") && !keyring_opens(),
        "the version is forbidden"
    );
    let before = object("data/a.kf");
    run(&server, blocks[1]);
    assert!(opens("data/a.kf") && !opens("stolen.kf"));
    assert_eq!(
        object("data/a.kf"),
        before,
        "a rewrap leaves the DEK as it is"
    );
    // The rewrap was a use of version 1, and the page says how old a use has to be.
    thread::sleep(Duration::from_secs(3));
    run(&server, blocks[2]);
    let versions = server.json(&["read", "transit/keys/payments"]);
    let versions = versions["data"]["keys"].as_object().unwrap();
    assert_eq!(
        versions.keys().collect::<Vec<_>>(),
        ["2"],
        "version 1 is destroyed"
    );
    assert!(keyring_opens(), "the keyring needs version 1 no more");
    run(&server, blocks[3]);
    assert_ne!(object("data/a.kf"), before, "a new envelope");
    assert!(
        ["data/a.kf", "data/b.kf", "data/c.kf"]
            .into_iter()
            .all(opens)
    );
    fs::copy(server.path("many.kf"), server.path("copy.kf")).unwrap();
    let before = object("many.kf");
    run(&server, blocks[4]);
    assert_ne!(object("many.kf"), before, "a new envelope");
    run(&server, blocks[5]);
    assert!(keyring_opens(), "it is under DEK 2");
    let old = ["decrypt", "-keyring=payments.keyring", "-o", "-", "copy.kf"];
    assert_eq!(server.run(&old).code, 35, "DEK 1 is destroyed");
    run(&server, blocks[6]);
}

#[test]
fn the_commands_say_which_incident_they_answer() {
    let home = tempfile::tempdir().unwrap();
    let help = |command: &str| {
        let ran = support::bare(home.path())
            .args([command, "--help"])
            .output()
            .unwrap();
        Ran::of(ran)
            .text()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(help("rewrap").contains("`keyfold reencrypt`"));
    assert!(help("reencrypt").contains("`keyfold rewrap`"));
}
