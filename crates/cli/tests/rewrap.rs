//! `keyfold rewrap` of many envelopes against a real server: killed and started again, beside other
//! writers, with damaged envelopes among them, watched by a program.
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
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::{Ran, Server, noise};

/// A server with a key, and a folder of envelopes: some distinct ones, each copied.
fn site(distinct: usize, copies: usize) -> Server {
    let server = Server::dev();
    server.ok(&["secrets", "enable", "transit"]);
    server.ok(&["write", "-f", "transit/keys/payments"]);
    fs::create_dir(server.path("data")).unwrap();
    for number in 0..distinct {
        let first = server.path("data").join(format!("{number}.kf"));
        let name = first.to_str().unwrap();
        let sealed = server.piped(
            &["encrypt", "-key=transit/payments", "-o", name, "-"],
            &noise(20_000),
        );
        assert_eq!(sealed.code, 0, "{}", sealed.stderr);
        for copy in 1..copies {
            fs::copy(
                &first,
                server.path("data").join(format!("{number}-{copy}.kf")),
            )
            .unwrap();
        }
    }
    server.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    server
}

/// The envelopes, by name.
fn envelopes(server: &Server) -> Vec<PathBuf> {
    let entries = fs::read_dir(server.path("data")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Everything but the slots of each envelope.
fn bodies(server: &Server) -> Vec<Vec<u8>> {
    let body = |path| {
        let bytes = fs::read(path).unwrap();
        [&bytes[..512], &bytes[3584..]].concat()
    };
    envelopes(server).into_iter().map(body).collect()
}

/// Envelopes by version of the wraps in use.
fn in_use(server: &Server) -> Vec<(Value, Value)> {
    let census = server.run(&["census", "-format=json", "data"]);
    let census: Value = serde_json::from_slice(&census.stdout).unwrap();
    let rows = census["versions"].as_array().unwrap().iter();
    rows.filter(|row| row["state"] == "active")
        .map(|row| (row["version"].clone(), row["files"].clone()))
        .collect()
}

#[test]
fn killed_at_any_moment_it_goes_on() {
    let server = site(3, 200);
    let before = bodies(&server);
    let (mut kills, mut halves) = (0, 0);
    for round in 1u64.. {
        let mut command = server.command("root");
        let slow = [
            "--durability=batch",
            "--store-rate=400",
            "--no-register",
            "--journal=j",
        ];
        command
            .arg("rewrap")
            .args(slow)
            .arg("data")
            .stderr(Stdio::null())
            .stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        // While it reads, and then later and later while it writes, which takes a second and a half.
        std::thread::sleep(Duration::from_millis(7 + 40 * (round - 1)));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        halves += usize::from(in_use(&server).len() > 1);
        for path in envelopes(&server).iter().step_by(150) {
            let opened = server.run(&["decrypt", "-o", "-", path.to_str().unwrap()]);
            assert_eq!(
                (opened.code, opened.stdout.len()),
                (0, 20_000),
                "{}",
                opened.stderr
            );
        }
        if ended.success() {
            break;
        }
        kills += 1;
        if (round >= 12 && halves > 0) || round == 30 {
            break;
        }
    }
    assert!(
        kills > 1 && halves > 0,
        "it was killed {kills} times, {halves} of them halfway"
    );
    let done = server.json(&["rewrap", "--durability=batch", "--journal=j", "data"]);
    assert_eq!(
        (&done["failed"], &done["stopped"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(in_use(&server), [(json!(2), json!(600))]);
    assert_eq!(
        done["in_use"],
        json!([{"key": "transit/payments", "version": 2, "files": 600,
            "opens_with": "transit/payments version 2"}])
    );
    assert!(bodies(&server) == before, "the payloads are untouched");
    let journal = fs::read_to_string(server.path("j")).unwrap();
    assert!(
        journal
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok())
    );
}

#[test]
fn damaged_envelopes_are_listed_and_the_rest_is_done() {
    let server = site(1, 60);
    let paths = envelopes(&server);
    // Their only slot rots.
    for path in &paths[..3] {
        let mut bytes = fs::read(path).unwrap();
        bytes[700] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let before = bodies(&server);
    let ran = server.run(&["rewrap", "data"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    for path in &paths[..3] {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(ran.stderr.contains(name), "{}", ran.stderr);
    }
    assert_eq!(in_use(&server), [(json!(2), json!(57))]);
    assert!(bodies(&server) == before);
    // Again: the same three, and nothing else to do.
    let again = server.run(&["rewrap", "-format=json", "data"]);
    let said: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again.code, 3);
    assert_eq!(
        (&said["already_newest"], &said["failed"]),
        (&json!(57), &json!(3))
    );
    assert_eq!(said["failures"].as_array().unwrap().len(), 3);
    // Alone, the cause has its own code.
    let one = paths[0].to_str().unwrap();
    assert_eq!(server.run(&["rewrap", one]).code, 22);
    assert_eq!(server.run(&["rewrap", one, "absent"]).code, 3);
}

#[test]
fn two_runs_at_once_and_a_writer_do_not_harm_each_other() {
    let server = site(2, 150);
    let spawn = |durability| {
        let mut command = server.command("root");
        command.args(["rewrap", "-format=json", durability, "data"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let runs = [spawn("--durability=batch"), spawn("--durability=file")];
    // Somebody replaces envelopes meanwhile, under the newest version.
    let paths = envelopes(&server);
    for path in &paths[..5] {
        let new = server.path("new.kf");
        let key = [
            "encrypt",
            "-key=transit/payments",
            "-force",
            "-o",
            new.to_str().unwrap(),
            "-",
        ];
        assert_eq!(server.piped(&key, b"newer").code, 0);
        fs::rename(&new, path).unwrap();
    }
    for run in runs {
        let ran = Ran::of(run.wait_with_output().unwrap());
        // An envelope that was replaced between reading and writing is told, not changed.
        assert!([0, 3].contains(&ran.code), "{} {}", ran.code, ran.stderr);
        let told = ran.stderr.lines();
        assert!(
            told.filter(|line| line.contains(".kf"))
                .all(|line| line.contains("another process")),
            "{}",
            ran.stderr
        );
    }
    server.ok(&["rewrap", "data"]);
    assert_eq!(in_use(&server), [(json!(2), json!(300))]);
    for path in &paths[..5] {
        let opened = server.run(&["decrypt", "-o", "-", path.to_str().unwrap()]);
        assert_eq!(opened.stdout, b"newer");
    }
}

#[test]
fn a_dry_run_says_what_it_would_cost() {
    let server = site(4, 25);
    let before = bodies(&server);
    // Each worker asks for itself: two may meet the same wrap at the same moment.
    let plan = server.json(&[
        "rewrap",
        "--dry-run",
        "--workers=1",
        "--store-rate=10",
        "data",
    ]);
    assert_eq!(
        (&plan["rewrapped"], &plan["wraps_sent"]),
        (&json!(100), &json!(4))
    );
    assert_eq!(plan["payload_bytes_untouched"], 100 * (20_000 + 2 * 16));
    assert!(plan["estimated_seconds"].as_f64().unwrap() >= 10.0);
    assert_eq!(
        (&plan["bytes_written"], &plan["in_use"]),
        (&json!(0), &Value::Null)
    );
    assert!(
        server
            .ok(&["rewrap", "--dry-run", "data"])
            .contains("Estimated Time")
    );
    assert_eq!(in_use(&server), [(json!(1), json!(100))]);
    assert!(bodies(&server) == before);
}

#[test]
fn a_program_is_told_in_lines() {
    let server = site(1, 10);
    let bad = &envelopes(&server)[4];
    fs::write(bad, &fs::read(bad).unwrap()[..2000]).unwrap();
    let ran = server.run(&["rewrap", "--json", "data"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (3, ""));
    let lines: Vec<Value> = ran
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["event"], &lines[0]["command"]),
        (&json!("started"), &json!("rewrap"))
    );
    let failure = lines
        .iter()
        .find(|line| line["event"] == "failure")
        .unwrap();
    assert!(
        failure["place"]
            .as_str()
            .unwrap()
            .ends_with(bad.file_name().unwrap().to_str().unwrap())
    );
    assert_eq!(failure["exit_code"], 15);
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["event"], &last["rewrapped"]),
        (&json!("finished"), &json!(9))
    );
}

#[test]
fn an_interrupt_finishes_what_is_being_written() {
    let server = site(1, 100);
    let mut command = server.command("root");
    command.args(["rewrap", "--json", "--store-rate=5", "--journal=j", "data"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let working = lines.any(|line| {
        let line: Value = serde_json::from_str(&line).unwrap();
        line["event"] == "progress" && line["items"].as_u64() > Some(0)
    });
    assert!(working);
    let kill = ["-INT".to_owned(), child.id().to_string()];
    assert!(Command::new("kill").args(kill).status().unwrap().success());
    let last: Value = serde_json::from_str(&lines.last().unwrap()).unwrap();
    assert_eq!(last["stopped"], "interrupted");
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 130);
    assert!(
        ran.stderr.contains("run the command again"),
        "{}",
        ran.stderr
    );
    // What it says it did is what is there, and what the journal tells.
    let done = last["rewrapped"].as_u64().unwrap();
    assert_eq!(
        in_use(&server),
        [(json!(1), json!(100 - done)), (json!(2), json!(done))]
    );
    let journal = fs::read_to_string(server.path("j")).unwrap();
    assert_eq!(journal.matches("\"rewrapped\"").count() as u64, done);
    let again = server.run(&["rewrap", "--journal=j", "data"]);
    assert_eq!(again.code, 0);
    assert!(
        again
            .stderr
            .contains(&format!("{done} items that earlier runs changed"))
    );
}

#[test]
fn a_journal_that_is_none_is_refused_and_nothing_is_done() {
    let server = site(1, 2);
    fs::write(server.path("notes"), "hello\n").unwrap();
    let ran = server.run(&["rewrap", "--journal=notes", "data"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("no journal"), "{}", ran.stderr);
    assert_eq!(fs::read(server.path("notes")).unwrap(), b"hello\n");
    assert_eq!(in_use(&server), [(json!(1), json!(2))]);
    for rate in ["--store-rate=0", "--server-rate=x", "--durability=disk"] {
        assert_eq!(server.run(&["rewrap", rate, "data"]).code, 1, "{rate}");
    }
}

#[test]
fn data_moves_to_another_key_and_both_open_it_meanwhile() {
    let server = site(2, 10);
    server.ok(&["write", "-f", "transit/keys/orders"]);
    let before = bodies(&server);
    // Who may rewrap and encrypt with the other key moves; it needs no right to decrypt.
    let policy = "path \"transit/rewrap/payments\" { capabilities = [\"update\"] }\n\
                  path \"transit/encrypt/orders\" { capabilities = [\"update\"] }\n";
    server.piped(&["policy", "write", "mover", "-"], policy.as_bytes());
    let token = server.ok(&["token", "create", "-policy=mover", "-field=token"]);
    let to = ["rewrap", "--to=transit/orders", "data"];
    let moved = server.run_as(&token, &[&to[..], &["-format=json"]].concat());
    assert_eq!(moved.code, 0, "{}", moved.stderr);
    let moved: Value = serde_json::from_slice(&moved.stdout).unwrap();
    assert_eq!(
        (&moved["rewrapped"], &moved["bytes_written"]),
        (&json!(20), &json!(20 * 512))
    );
    let again = server.json(&to);
    assert_eq!(
        (&again["already_newest"], &again["rewrapped"]),
        (&json!(20), &json!(0))
    );
    for key in ["payments", "orders"] {
        let policy = format!("path \"transit/decrypt/{key}\" {{ capabilities = [\"update\"] }}");
        server.piped(&["policy", "write", key, "-"], policy.as_bytes());
        let token = server.ok(&["token", "create", &format!("-policy={key}"), "-field=token"]);
        let opened = server.run_as(&token, &["decrypt", "-o", "-", "data/0.kf"]);
        assert_eq!(
            (opened.code, opened.stdout.len()),
            (0, 20_000),
            "{key}: {}",
            opened.stderr
        );
    }
    // Who may not try the new wrap retires nothing.
    let refused = server.run_as(
        &token,
        &["rewrap", "--to=transit/orders", "--retire-source", "data"],
    );
    assert_eq!(refused.code, 24, "{}", refused.stderr);
    let ended = server.json(&["rewrap", "--to=transit/orders", "--retire-source", "data"]);
    assert_eq!(
        (&ended["finished"], &ended["failed"]),
        (&json!(20), &json!(0))
    );
    assert_eq!(
        ended["in_use"],
        json!([{"key": "transit/orders", "version": 1, "files": 20,
            "opens_with": "transit/orders version 1"}])
    );
    assert!(bodies(&server) == before);
    server.ok(&[
        "write",
        "transit/keys/payments/config",
        "deletion_allowed=true",
    ]);
    server.ok(&["delete", "transit/keys/payments"]);
    assert_eq!(
        server
            .run(&["decrypt", "-o", "-", "data/1.kf"])
            .stdout
            .len(),
        20_000
    );
}

#[test]
fn a_move_that_was_not_made_is_not_ended() {
    let server = site(1, 3);
    server.ok(&["write", "-f", "transit/keys/orders"]);
    let early = server.run(&["rewrap", "--to=transit/orders", "--retire-source", "data"]);
    assert_eq!(early.code, 21, "{}", early.stderr);
    assert!(
        early.stderr.contains("move it there first"),
        "{}",
        early.stderr
    );
    assert_eq!(in_use(&server), [(json!(1), json!(3))]);
    assert_eq!(
        server
            .run(&["rewrap", "--to=transit/misspelt", "data"])
            .code,
        25
    );
    assert_eq!(
        server.json(&["list", "transit/keys"]),
        json!(["orders", "payments"])
    );
    assert_eq!(server.run(&["rewrap", "--retire-source", "data"]).code, 1);
    // Under another key than the one to move away from: nothing to do.
    let other = server.json(&[
        "rewrap",
        "--to=transit/orders",
        "--from=transit/other",
        "data",
    ]);
    assert_eq!(
        (&other["already_newest"], &other["rewrapped"]),
        (&json!(3), &json!(0))
    );
}

#[test]
fn data_moves_to_another_server() {
    let old = site(2, 10);
    let new = Server::dev();
    new.ok(&["secrets", "enable", "transit"]);
    new.ok(&["write", "-f", "transit/keys/payments"]);
    let to = ["--to=transit/payments", "--to-address", &new.address];
    let moved = |more: &[&str]| {
        let mut command = old.command("root");
        command
            .env("KEYFOLD_TO_TOKEN", "root")
            .arg("rewrap")
            .args(to)
            .args(more);
        Ran::of(command.args(["-format=json", "data"]).output().unwrap())
    };
    // Without a token for the other server nothing is written.
    let mut bare = old.command("root");
    let bare = Ran::of(bare.arg("rewrap").args(to).arg("data").output().unwrap());
    assert_eq!(bare.code, 24, "{}", bare.stderr);
    let first = moved(&["--verify=commit"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let opens = |server: &Server| {
        let mut command = server.command("root");
        let path = old.path("data/0-1.kf");
        let ran = command
            .args(["decrypt", "-o", "-"])
            .arg(path)
            .output()
            .unwrap();
        Ran::of(ran).stdout.len() == 20_000
    };
    assert!(opens(&old) && opens(&new), "both open it");
    let ended = moved(&["--retire-source"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let ended: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(
        (&ended["finished"], &ended["failed"]),
        (&json!(20), &json!(0))
    );
    assert!(opens(&new));
    // From here on the new server rotates it like any other.
    new.ok(&["write", "-f", "transit/keys/payments/rotate"]);
    let data = old.path("data");
    let rotated = new.json(&["rewrap", data.to_str().unwrap()]);
    assert_eq!(
        (&rotated["rewrapped"], &rotated["failed"]),
        (&json!(20), &json!(0))
    );
}
