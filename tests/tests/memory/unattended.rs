//! A server with a seal that gives the root key has it in memory only while it uses it.

use std::fs;
use std::io::Write as _;

use keyfold_tests::server::Keys;
use keyfold_tests::{Binary, Launch, TestServer};
use serde_json::{Value, json};

use super::{eventually, keys, send, shares, what_stays};
use crate::scan::{Needle, Process};

#[test]
fn an_open_server_whose_seal_gives_the_root_key_holds_it_only_while_it_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("seal.key");
    fs::write(&key_file, [keys::random(), keys::random()].concat()).unwrap();
    let mut launch = Launch::new(Binary::keyfold().unwrap());
    launch.config = format!(
        "pid_file = \"${{dir}}/pid\"\n\
         seal \"static\" \"file\" {{\n  current_key_id = \"a\"\n  current_key = \"file://{}\"\n}}",
        key_file.display()
    );
    let mut server = launch.start().unwrap();
    let pid_file = server.dir().join("pid");
    eventually(|| pid_file.is_file());
    if Process::of(&pid_file).is_none() {
        let skipped = "skipped: only root may read the memory of a hardened process";
        writeln!(std::io::stderr(), "{skipped}").unwrap();
        return;
    }
    let keys = begin(&server);
    let token = keys.root_token.as_str();
    let mut secrets = shares(&keys);
    rests(&server, token);
    secrets.extend(keys::above_keyring(server.dir(), &keys.shares[..2]));

    // As it began, after each use, and after a start at which nobody was there.
    let mut leaks = Vec::new();
    look(&server, "init", &secrets, &mut leaks);
    for use_ in ["sys/rotate", "sys/seal-check", "sys/rotate"] {
        let answer = send(&server, "PUT", use_, token, b"{}".to_vec());
        assert!(matches!(answer.status, 200 | 204), "{}", answer.text());
        rests(&server, token);
        look(&server, use_, &secrets, &mut leaks);
    }
    let old = fs::read_to_string(&pid_file).unwrap();
    server.restart().unwrap();
    eventually(|| fs::read_to_string(&pid_file).is_ok_and(|new| new != old && !new.is_empty()));
    rests(&server, token);
    look(&server, "a start by the seal", &secrets, &mut leaks);
    let answer = send(&server, "PUT", "sys/rotate", token, b"{}".to_vec());
    assert_eq!(answer.status, 204, "{}", answer.text());
    look(&server, "a rotation after it", &secrets, &mut leaks);
    assert_eq!(leaks, [""; 0], "still in memory after it was used");
}

/// Begins the store, which its seal opens at once.
fn begin(server: &TestServer) -> Keys {
    let body = json!({"recovery_shares": 3, "recovery_threshold": 2}).to_string();
    let answer = send(server, "PUT", "sys/init", "", body.into_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    let texts = json["recovery_keys"].as_array().unwrap();
    Keys {
        shares: texts
            .iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect(),
        root_token: json["root_token"].as_str().unwrap().to_owned(),
    }
}

/// Waits until it is open and says that it has no root key.
fn rests(server: &TestServer, token: &str) {
    eventually(|| {
        let answer = send(server, "GET", "sys/keys/report", token, Vec::new());
        answer.status == 200 && answer.json()["data"]["root_key_in_memory"] == Value::Bool(false)
    });
}

fn look(server: &TestServer, after: &str, secrets: &[Needle], leaks: &mut Vec<String>) {
    let process = Process::of(&server.dir().join("pid")).unwrap();
    let found = what_stays(&process, secrets);
    if !found.is_empty() {
        leaks.push(format!("{found:?} after {after}"));
    }
}
