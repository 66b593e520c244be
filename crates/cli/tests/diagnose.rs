//! `operator validate-config` and `operator diagnose`.
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
use tempfile::TempDir;

const LISTENER: &str = "listener \"tcp\" { address = \"127.0.0.1:0\" tls_disable = true }\n";

struct Place(TempDir);

impl Place {
    /// A folder with a configuration.
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("k.hcl"), text).unwrap();
        Self(folder)
    }

    fn run(&self, command: &str, more: &[&str]) -> Ran {
        let arguments = ["operator", command, "-config=k.hcl"];
        let arguments = [&arguments[..], more].concat();
        Ran::of(bare(self.0.path()).args(arguments).output().unwrap())
    }

    fn json(&self, command: &str, code: i32) -> Value {
        let ran = self.run(command, &["-format=json"]);
        assert_eq!(ran.code, code, "{}{}", ran.text(), ran.stderr);
        serde_json::from_slice(&ran.stdout).unwrap()
    }
}

/// The status of a part.
fn part<'a>(finding: &'a Value, name: &str) -> &'a Value {
    let children = finding["children"].as_array().unwrap();
    let found = children.iter().find(|child| child["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {finding:#}"))
}

#[test]
fn a_configuration_is_checked_without_a_start() {
    let sound = Place::with(&format!(
        "storage \"redb\" {{ path = \"/nowhere/store\" }}\n{LISTENER}"
    ));
    assert_eq!(sound.json("validate-config", 0)["status"], "ok");

    let remarked = Place::with(&format!("ui = true\nstorage \"inmem\" {{}}\n{LISTENER}"));
    let finding = remarked.json("validate-config", 2);
    assert_eq!(finding["status"], "warn");
    assert!(finding["warnings"][0].as_str().unwrap().contains("k.hcl:1"));

    let wrong = Place::with(&format!(
        "storage \"raft\" {{}}\nseal \"static\" {{}}\naudit \"pigeon\" \"a\" {{}}\n{LISTENER}"
    ));
    let finding = wrong.json("validate-config", 1);
    let names: Vec<_> = finding["children"].as_array().unwrap().iter().collect();
    let places = ["k.hcl:1", "k.hcl:3", "k.hcl:2"];
    assert_eq!(names.len(), places.len(), "{finding:#}");
    for (fault, place) in names.iter().zip(places) {
        assert_eq!(fault["name"], place, "{finding:#}");
    }
    let table = wrong.run("validate-config", &[]);
    let line = "  [ failure ] k.hcl:1: storage \"raft\" is not offered";
    assert!(table.text().contains(line), "{}", table.text());

    let nothing = bare(sound.0.path())
        .args(["operator", "validate-config"])
        .output()
        .unwrap();
    assert_eq!(nothing.status.code(), Some(3));
    let missing = sound.run("validate-config", &["-config=missing.hcl"]);
    assert_eq!(missing.code, 1);
    assert!(missing.text().contains("missing.hcl"), "{}", missing.text());
}

#[test]
fn what_a_start_needs_is_tried() {
    let key = "00".repeat(32);
    let seal = format!("seal \"static\" {{ current_key_id = \"1\" current_key = \"{key}\" }}\n");
    let place = Place::with(&format!(
        "storage \"redb\" {{ path = \"store.redb\" }}\n{seal}{LISTENER}"
    ));
    let finding = place.json("diagnose", 0);
    assert!(
        part(&finding, "Check Storage")["message"]
            .as_str()
            .unwrap()
            .contains("no store yet"),
        "{finding:#}"
    );
    let seals = part(&finding, "Check Seals");
    assert_eq!(part(seals, "Seal static (static)")["message"], "it works");
    assert!(!place.0.path().join("store.redb").exists());

    let bad = Place::with(
        "storage \"redb\" { path = \"store.redb\" }\nlistener \"tcp\" {\n address = \
         \"127.0.0.1:0\"\n tls_cert_file = \"missing.pem\"\n tls_key_file = \"missing.key\"\n}\n",
    );
    let finding = bad.json("diagnose", 1);
    let listeners = part(&finding, "Start Listeners");
    assert_eq!(listeners["status"], "fail");
    let finding = bad.run("diagnose", &["-skip=listener"]);
    assert_eq!(finding.code, 0, "{}", finding.text());

    let unreadable = Place::with("a = = 1");
    assert_eq!(unreadable.json("diagnose", 4)["status"], "fail");
}

#[test]
fn a_store_that_a_server_has_open_is_told() {
    let server = Server::stored();
    let arguments = ["operator", "diagnose", "-config=config.hcl"];
    let taken = server.run(&arguments);
    assert_eq!(taken.code, 4, "{}", taken.text());
    assert!(
        taken.text().contains("in use by another"),
        "{}",
        taken.text()
    );
    let left_out = server.run(&[&arguments[..], &["-skip=storage"]].concat());
    assert_eq!(left_out.code, 0, "{}", left_out.text());
}

#[test]
fn a_seal_shows_that_it_opens_the_store() {
    let home = tempfile::tempdir().unwrap();
    let key = "00".repeat(32);
    let more = |key: &str| {
        format!("seal \"static\" {{ current_key_id = \"1\" current_key = \"{key}\" }}\n{LISTENER}")
    };
    let server = Server::listening(home, &more(&key));
    server.ok(&[
        "operator",
        "init",
        "-recovery-shares=1",
        "-recovery-threshold=1",
    ]);
    let home = server.stop();
    let diagnose = || {
        let arguments = ["operator", "diagnose", "-config=config.hcl", "-format=json"];
        Ran::of(bare(home.path()).args(arguments).output().unwrap())
    };
    let ran = diagnose();
    assert_eq!(ran.code, 0, "{}", ran.text());
    assert!(ran.text().contains("it opens the store"), "{}", ran.text());

    let config = home.path().join("config.hcl");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(&key, &"11".repeat(32))).unwrap();
    let ran = diagnose();
    assert_eq!(ran.code, 1, "{}", ran.text());
}
