//! `run` as a process of its own: banner, signals, exit codes. The child is this test binary again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};

use keyfold_server::{Dev, ServerArgs, run};

const CHILD: &str = "KEYFOLD_TEST_SERVER_CONFIG";

/// Does nothing unless it is the child of another test: then it is the server.
#[test]
fn child() {
    let Ok(config) = std::env::var(CHILD) else {
        return;
    };
    let args = match config.as_str() {
        "dev" => ServerArgs {
            dev: Some(Dev {
                address: Some("127.0.0.1:0".to_owned()),
                root_token: Some("the-token".to_owned()),
                ..Dev::default()
            }),
            ..ServerArgs::default()
        },
        file => ServerArgs {
            config: vec![file.into()],
            ..ServerArgs::default()
        },
    };
    let code = format!("{:?}", run(&args));
    assert_eq!(code, format!("{:?}", ExitCode::SUCCESS));
}

fn spawn(config: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Reads standard output up to the line that has `needle`; gives what follows it there.
fn wait_for(out: &mut impl std::io::BufRead, needle: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(
            out.read_line(&mut line).unwrap() > 0,
            "ended before {needle:?}"
        );
        if let Some((_, rest)) = line.split_once(needle) {
            return rest.trim().to_owned();
        }
    }
}

fn get(address: &str, path: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: k\r\nX-Vault-Token: {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_development_server_is_open_at_once_and_ends_well() {
    let mut child = spawn("dev");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let address = wait_for(&mut out, "listening on http://");
    wait_for(&mut out, "keyfold server started!");
    assert!(!wait_for(&mut out, "Unseal Key: ").is_empty());
    assert_eq!(wait_for(&mut out, "Root Token: "), "the-token");
    let mounts = get(&address, "/v1/sys/mounts", "the-token");
    assert!(mounts.contains("\"secret/\""), "{mounts}");
    signal(&child, "-TERM");
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let log = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{log}");
    assert!(
        log.contains("never for real secrets") && log.contains("stopping"),
        "{log}"
    );
    assert!(!log.contains("the-token"), "{log}");
}

#[test]
fn a_hangup_changes_the_log_level_and_a_mistake_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (file, pid) = (folder.path().join("k.hcl"), folder.path().join("pid"));
    let write = |level: &str| {
        let text = format!(
            "storage \"inmem\" {{}}\nui = true\nlog_level = \"{level}\"\npid_file = \"{}\"\n\
             listener \"tcp\" {{ address = \"127.0.0.1:0\" tls_disable = true }}\n",
            pid.display()
        );
        std::fs::write(&file, text).unwrap();
    };
    write("info");
    let mut child = spawn(file.to_str().unwrap());
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut log = BufReader::new(child.stderr.take().unwrap());
    wait_for(&mut log, "k.hcl:2: \"ui\" has no effect");
    let address = wait_for(&mut out, "listening on http://");
    wait_for(&mut out, "keyfold server started!");
    assert_eq!(
        std::fs::read_to_string(&pid).unwrap().trim(),
        child.id().to_string()
    );

    write("loud");
    signal(&child, "-HUP");
    wait_for(&mut log, "log level and seals not reloaded");
    write("error");
    signal(&child, "-HUP");
    wait_for(&mut log, "reloading");
    assert!(get(&address, "/v1/sys/health", "").starts_with("HTTP/1.1 501 "));
    signal(&child, "-INT");
    assert!(child.wait().unwrap().success());
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("stopping"), "{rest}");
    assert!(!pid.exists());
}

#[test]
fn a_server_that_was_told_to_stop_serves_on_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k.hcl");
    let text = "storage \"inmem\" {}\nshutdown_delay = \"1h\"\n\
                listener \"tcp\" { address = \"127.0.0.1:0\" tls_disable = true }\n";
    std::fs::write(&file, text).unwrap();
    let mut child = spawn(file.to_str().unwrap());
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let address = wait_for(&mut out, "listening on http://");
    wait_for(&mut out, "keyfold server started!");
    signal(&child, "-TERM");
    wait_for(&mut log, "stopping");
    // Without the delay nobody would answer; who asks once more is not made to wait.
    while !get(&address, "/v1/sys/health", "").starts_with("HTTP/1.1 503 ") {}
    signal(&child, "-TERM");
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_it_does_not_understand_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k.hcl");
    let listener = "listener \"tcp\" { address = \"127.0.0.1:0\" tls_disable = true }";
    for (text, told) in [
        (
            format!("storage \"inmem\" {{}}\n{listener}\nbanana = 1"),
            "k.hcl:3: unknown setting",
        ),
        (
            format!("storage \"consul\" {{}}\n{listener}"),
            "k.hcl:1: storage \"consul\" is not",
        ),
        (listener.to_owned(), "no storage"),
        ("storage \"inmem\" {}".to_owned(), "no listener"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = spawn(file.to_str().unwrap()).wait_with_output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(log.contains(told), "{log}");
    }
    let missing = spawn(Path::new("/nonexistent/k.hcl").to_str().unwrap());
    let output = missing.wait_with_output().unwrap();
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("/nonexistent/k.hcl: ")
    );
}
