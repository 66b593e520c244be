//! The key service is away, answers nonsense, or refuses, in the middle of work: an error and never plaintext, and work
//! goes on by itself when it is back (bug case DP-10).
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
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::faulty::{Fault, Proxy};
use support::{Ran, Server};

/// Each fault, and the exit code that tells whether it is worth another try.
const FAULTS: [(Fault, i32); 5] = [
    (Fault::Unavailable, 27),
    (Fault::Silence, 27),
    (Fault::Reset, 27),
    (Fault::Forbidden, 24),
    (Fault::Page, 29),
];

const PLAIN: &[u8] = b"CANARY CANARY CANARY";

struct Site {
    server: Server,
    proxy: Proxy,
}

impl Site {
    fn new() -> Self {
        let server = Server::dev();
        server.ok(&["secrets", "enable", "transit"]);
        server.ok(&["write", "-f", "transit/keys/payments"]);
        server.ok(&[
            "keyring",
            "create",
            "payments",
            "-key=transit/payments",
            "-store=k",
        ]);
        fs::write(server.path("plain"), PLAIN).unwrap();
        let proxy = Proxy::before(&server.address);
        Self { server, proxy }
    }

    /// A command that goes by the proxy, and asks once.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.server.command("root");
        command
            .args(arguments)
            .env("VAULT_ADDR", &self.proxy.address)
            .env("VAULT_MAX_RETRIES", "0")
            .env("VAULT_CLIENT_TIMEOUT", "1s");
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.server.home.path()).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn holds_plaintext(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|window| window == b"CANARY")
}

#[test]
fn files_are_whole_or_not_there_whatever_the_server_answers() {
    let site = Site::new();
    let made = site.run(&["encrypt", "-key=transit/payments", "plain"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let before = site.files();
    // All that is asked fails, or the one question that the DEK depends on.
    let (all, one) = ("/v1/", "crypt/payments");
    let ways = [(one, "-"), (one, "new"), (all, "-"), (all, "new")];
    for (fault, code) in FAULTS {
        // Each of these takes as long as the client waits.
        let silent = fault == Fault::Silence;
        for (part, output) in ways.into_iter().take(if silent { 1 } else { 4 }) {
            site.proxy.fail(fault, part);
            let encrypt = ["encrypt", "-key=transit/payments", "-o", output, "plain"];
            let decrypt = ["decrypt", "-o", output, "plain.kf"];
            for command in [&encrypt[..], &decrypt] {
                let ran = site.run(command);
                let what = format!("{command:?}, {fault:?} of {part}: {}", ran.stderr);
                assert_eq!((ran.code, &*ran.stdout), (code, &b""[..]), "{what}");
                assert!(!holds_plaintext(ran.stderr.as_bytes()), "{what}");
            }
        }
        assert_eq!(site.files(), before, "{fault:?}");

        site.proxy.fail(Fault::None, "");
        let back = site.run(&["decrypt", "-o", "-", "plain.kf"]);
        assert_eq!((back.code, &*back.stdout), (0, PLAIN), "{}", back.stderr);
    }
}

#[test]
fn a_process_that_seals_values_recovers_from_each_fault() {
    let site = Site::new();
    let mut child = site
        .command(&["value", "-keyring=k", "-max-age=0s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut ask = |op: &str, member: &str, content: &str| -> Value {
        let line =
            json!({"op": op, "table": "t", "column": "c", "key": "1", member: content}).to_string();
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    };
    let plain = keyfold_api::base64::encode(PLAIN);
    let value = ask("seal", "plaintext", &plain)["value"]
        .as_str()
        .unwrap()
        .to_owned();
    for (fault, code) in FAULTS {
        site.proxy.fail(fault, "/v1/transit/decrypt");
        let sealed = ask("seal", "plaintext", &plain);
        assert_eq!(sealed["exit_code"], code, "{fault:?}: {sealed}");
        let opened = ask("open", "value", &value);
        assert_eq!(opened["exit_code"], code, "{fault:?}: {opened}");
        for answer in [&sealed, &opened] {
            assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
            assert!(!answer.to_string().contains(&plain), "{answer}");
        }
        // The first question after it is answered.
        site.proxy.fail(Fault::None, "");
        assert_eq!(ask("open", "value", &value)["plaintext"], plain.as_str());
        let sealed = ask("seal", "plaintext", &plain);
        assert!(
            sealed["value"].as_str().unwrap().starts_with("kf1:"),
            "{sealed}"
        );
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
