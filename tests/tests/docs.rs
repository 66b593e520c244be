//! `docs/configuration.md` is true: its example starts a server, and it names every setting that the server knows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use keyfold_tests::Binary;

const PAGE: &str = include_str!("../../docs/configuration.md");

#[test]
fn the_example_starts_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["keys.example".to_owned()]).unwrap();
    fs::write(dir.path().join("cert.pem"), certified.cert.pem()).unwrap();
    fs::write(
        dir.path().join("key.pem"),
        certified.signing_key.serialize_pem(),
    )
    .unwrap();
    let file = dir.path().join("server.hcl");
    fs::write(&file, example(dir.path())).unwrap();

    let mut server = Server(start(&file));
    let mut banner = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let mut port = None;
    loop {
        let line = banner
            .next()
            .expect("the server ended before it had started")
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("Listener: listening on https://127.0.0.1:");
        port = port.or(address.and_then(|port| port.parse::<u16>().ok()));
        if line.starts_with("==> keyfold server started!") {
            break;
        }
    }
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port.unwrap())).is_ok());

    let socket = dir.path().join("keyfold.sock");
    assert_eq!(
        fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o660
    );
    let mut stream = UnixStream::connect(socket).unwrap();
    stream
        .write_all(b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 503"),
        "not initialised: {answer}"
    );
    let audit = fs::metadata(dir.path().join("audit.log")).unwrap();
    assert_eq!(audit.permissions().mode() & 0o777, 0o640);
    let pid = fs::read_to_string(dir.path().join("keyfold.pid")).unwrap();
    assert_eq!(pid.trim(), server.0.id().to_string());
}

#[test]
fn every_setting_that_the_server_knows_is_named() {
    let sources = [
        include_str!("../../crates/server/src/config/known.rs"),
        include_str!("../../crates/server/src/config/raw.rs"),
    ];
    let mut settings = 0;
    for source in sources {
        let (code, _) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
        let code: Vec<&str> = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        for word in code
            .join("\n")
            .split('"')
            .skip(1)
            .step_by(2)
            .filter(|word| is_setting(word))
        {
            settings += 1;
            let named = [
                format!("`{word}`"),
                format!("`{word} "),
                format!("{{ {word} }}"),
                format!("{word} {{"),
            ];
            assert!(
                named.iter().any(|name| PAGE.contains(name)),
                "{word} is not on the page"
            );
        }
    }
    assert!(settings > 90, "only {settings} settings found");
}

#[test]
fn what_is_taken_with_a_warning_is_taken_with_a_warning() {
    let (_, list) = PAGE.split_once("## What is taken with a warning").unwrap();
    let (list, _) = list.split_once("## What is refused").unwrap();
    let (top, rest) = list.split_once("In a listener:").unwrap();
    let (listener, _) = rest.split_once("In an audit block:").unwrap();
    let assign = |text: &str| {
        let names = text.split('`').skip(1).step_by(2);
        names
            .map(|name| format!("{name} = \"1\"\n"))
            .collect::<String>()
    };
    let (top, listener) = (assign(top), assign(listener));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.hcl");
    let text = format!(
        "{top}storage \"inmem\" {{}}\nlistener \"tcp\" {{\naddress = \"127.0.0.1:0\"\ntls_disable = true\n{listener}}}\n"
    );
    fs::write(&file, text).unwrap();

    let mut server = Server(start(&file));
    let banner = BufReader::new(server.0.stdout.take().unwrap()).lines();
    assert!(
        banner
            .map(Result::unwrap)
            .any(|line| line.starts_with("==> keyfold server started!"))
    );
    let pid = server.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    let mut log = String::new();
    server
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    let found = log.matches("has no effect in this server").count();
    assert_eq!(
        found,
        top.lines().count() + listener.lines().count(),
        "{log}"
    );
    assert!(server.0.wait().unwrap().success());
}

/// The page's first block of HCL, with its places moved into a folder and its port left to the system.
fn example(dir: &Path) -> String {
    let (_, block) = PAGE.split_once("```hcl\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let mut text = block.replace("0.0.0.0:8200", "127.0.0.1:0");
    for place in [
        "/run/keyfold",
        "/var/lib/keyfold",
        "/etc/keyfold",
        "/var/log/keyfold",
    ] {
        assert!(text.contains(place));
        text = text.replace(place, dir.to_str().unwrap());
    }
    text
}

fn is_setting(word: &str) -> bool {
    word.chars()
        .all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
        && !word.is_empty()
}

fn start(file: &Path) -> Child {
    let binary = Binary::keyfold().unwrap();
    Command::new(binary.path())
        .arg("server")
        .arg(format!("-config={}", file.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}
