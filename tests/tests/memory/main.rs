//! What a server knows is in its memory while it is open, and is not after `seal`: the keys of the whole hierarchy,
//! shares, tokens, and what requests and answers carried are looked for in the memory of the real process.
//!
//! What a call leaves on a stack the next one may overwrite. So the server is sealed after each kind of call anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod keys;
mod scan;
mod unattended;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_tests::server::Keys;
use keyfold_tests::wire::{Request, Response};
use keyfold_tests::{Binary, Launch, TestServer};
use serde_json::{Value, json};

use crate::scan::{Needle, Process};

/// How long something that has to happen may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often each kind of call is the last one before a seal.
const ROUNDS: usize = 3;
/// How often something that was found is looked for again.
const LOOKS: usize = 10;

#[test]
fn a_sealed_server_holds_no_key_no_share_no_token_and_no_request() {
    let mut launch = Launch::new(Binary::keyfold().unwrap());
    launch.config = "pid_file = \"${dir}/pid\"\n\
                     audit \"file\" \"log\" { options { file_path = \"${dir}/audit.log\" } }"
        .to_owned();
    let server = launch.start().unwrap();
    let pid_file = server.dir().join("pid");
    eventually(|| pid_file.is_file());
    let Some(process) = Process::of(&pid_file) else {
        writeln!(
            std::io::stderr(),
            "skipped: only root may read the memory of a hardened process"
        )
        .unwrap();
        return;
    };

    let keys = server.init(5, 3).unwrap();
    server.unseal(&keys).unwrap();
    let root = keys.root_token.as_str();
    let mut secrets = shares(&keys);
    secrets.push(Needle::text("root token", root));
    let calls = prepare(&server, root, &mut secrets);
    secrets.extend(keys::of_store(server.dir(), &keys.shares[2..5]));

    // The scan can find what is there: a setting, which stays, and a request that is under way.
    let setting = [Needle::text("api_addr", &server.address().to_string())];
    assert_eq!(process.find(&setting), ["api_addr"]);
    let under_way = half_a_request(&server, root, &mut secrets);
    eventually(|| {
        process
            .find(&secrets)
            .contains(&"half a request".to_owned())
    });
    drop(under_way);
    let kept_open = whole_request(&server, root, &mut secrets);

    let mut leaks = Vec::new();
    for (seals, call) in calls.iter().cycle().take(calls.len() * ROUNDS).enumerate() {
        call.make(&server, &mut secrets);
        let sealed = send(&server, "PUT", "sys/seal", root, Vec::new());
        assert_eq!(sealed.status, 204);
        let log = server.dir().join("server.log");
        eventually(|| {
            fs::read_to_string(&log)
                .unwrap()
                .matches("keys are wiped")
                .count()
                == seals + 1
        });
        let found = what_stays(&process, &secrets);
        if !found.is_empty() {
            leaks.push(format!("{found:?} after {}", call.name));
        }
        server.unseal(&keys).unwrap();
    }
    assert_eq!(leaks, [""; 0], "still in memory after a seal");
    assert_eq!(process.find(&setting), ["api_addr"]);
    drop(kept_open);
}

/// What is found again and again: a connection that the client has closed may be open for the server a moment longer.
fn what_stays(process: &Process, secrets: &[Needle]) -> Vec<String> {
    let mut found = process.find(secrets);
    for _ in 0..LOOKS {
        if found.is_empty() {
            break;
        }
        sleep(Duration::from_millis(200));
        found = process.find(secrets);
    }
    found
}

/// A call; `SECRET` in token or body is a new secret each time.
struct Call {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    token: String,
    body: String,
    status: u16,
}

impl Call {
    /// Makes it; what it sent and what it got goes to `secrets`.
    fn make(&self, server: &TestServer, secrets: &mut Vec<Needle>) -> Response {
        let secret = canary();
        let fill = |text: &str| {
            text.replace("SECRET64", &STANDARD.encode(&secret))
                .replace("SECRET", &secret)
        };
        let body = fill(&self.body).into_bytes();
        let answer = send(server, self.method, self.path, &fill(&self.token), body);
        assert_eq!(
            answer.status,
            self.status,
            "{}: {}",
            self.name,
            answer.text()
        );
        secrets.push(Needle::text("what a call sent", &secret));
        secrets.push(Needle::text(
            "what a call sent in base64",
            &STANDARD.encode(&secret),
        ));
        let json = answer.json();
        for place in ["/auth/client_token", "/data/plaintext", "/data/data/value"] {
            if let Some(text) = json.pointer(place).and_then(Value::as_str) {
                secrets.push(Needle::text(&format!("{place} of an answer"), text));
            }
        }
        if self.path.starts_with("cipher/datakey/") {
            let key = STANDARD
                .decode(json["data"]["plaintext"].as_str().unwrap())
                .unwrap();
            secrets.extend(Needle::halves("data key", &key));
        }
        answer
    }
}

/// Mounts engines, and says which calls there are to be made.
fn prepare(server: &TestServer, root: &str, secrets: &mut Vec<Needle>) -> Vec<Call> {
    let call = |name, method, path, token: &str, body: Value, status| Call {
        name,
        method,
        path,
        token: token.to_owned(),
        body: if body.is_null() {
            String::new()
        } else {
            body.to_string()
        },
        status,
    };
    let put = |path, body, status| call(path, "PUT", path, root, body, status);
    let policy = "path \"notes/*\" { capabilities = [\"read\"] }";
    let mut first = vec![
        put(
            "sys/mounts/notes",
            json!({"type": "kv", "options": {"version": "2"}}),
            204,
        ),
        put("sys/mounts/cipher", json!({"type": "transit"}), 204),
        put("sys/policies/acl/reader", json!({"policy": policy}), 204),
        put("cipher/keys/key", json!({}), 200),
        put("cipher/keys/derived", json!({"derived": true}), 200),
        put("notes/data/old", json!({"data": {"value": "SECRET"}}), 200),
    ];
    for call in first.drain(..) {
        call.make(server, secrets);
    }
    let new_token = put(
        "auth/token/create",
        json!({"policies": ["reader"], "ttl": "1h"}),
        200,
    );
    let token = new_token.make(server, secrets).json()["auth"]["client_token"].clone();
    let token = token.as_str().unwrap();
    let seal = put("cipher/encrypt/key", json!({"plaintext": "SECRET64"}), 200);
    let ciphertext = seal.make(server, secrets).json()["data"]["ciphertext"].clone();
    let (note, large) = (
        json!({"data": {"value": "SECRET"}}),
        json!({"data": {"value": format!("{}SECRET", "x".repeat(1 << 20))}}),
    );
    let batch = json!({"batch_input": vec![json!({"plaintext": "SECRET64"}); 50]});
    let context = STANDARD.encode(keys::CONTEXT);
    let mut broken = call(
        "a body that is no JSON",
        "PUT",
        "notes/data/x",
        root,
        Value::Null,
        400,
    );
    broken.body = "{\"data\": \"SECRET".to_owned();
    vec![
        call("a write", "PUT", "notes/data/new", root, note.clone(), 200),
        call("a large write", "PUT", "notes/data/large", root, large, 200),
        call("a read", "GET", "notes/data/old", token, Value::Null, 200),
        call(
            "a denied write",
            "PUT",
            "notes/data/old",
            token,
            note.clone(),
            403,
        ),
        call(
            "an unknown token",
            "GET",
            "notes/data/old",
            "hvs.SECRET",
            Value::Null,
            403,
        ),
        call("an unknown mount", "PUT", "nowhere/at/all", root, note, 404),
        broken,
        new_token,
        seal,
        put("cipher/encrypt/key", batch, 200),
        put("cipher/encrypt/key", json!({"plaintext": "!SECRET"}), 400),
        put(
            "cipher/encrypt/derived",
            json!({"plaintext": "SECRET64", "context": context}),
            200,
        ),
        put("cipher/decrypt/key", json!({"ciphertext": ciphertext}), 200),
        put("cipher/datakey/plaintext/key", json!({}), 200),
    ]
}

/// A request whose body is not complete: the server holds what has come in.
fn half_a_request(server: &TestServer, token: &str, secrets: &mut Vec<Needle>) -> TcpStream {
    let value = canary();
    secrets.push(Needle::text("half a request", &value));
    let body = format!("{{\"data\": {{\"value\": \"{value}");
    let head = head(server, "notes/data/half", token, body.len() + 1);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
    stream
}

/// A request over a connection that stays open after its answer, as those of most clients do.
fn whole_request(server: &TestServer, token: &str, secrets: &mut Vec<Needle>) -> TcpStream {
    let value = canary();
    secrets.push(Needle::text(
        "what came over a connection that is kept open",
        &value,
    ));
    let body = json!({"data": {"value": value}}).to_string();
    let head = head(server, "notes/data/whole", token, body.len());
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

fn head(server: &TestServer, path: &str, token: &str, length: usize) -> String {
    let address = server.address();
    format!(
        "PUT /v1/{path} HTTP/1.1\r\nHost: {address}\r\nX-Vault-Token: {token}\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Each share as bytes and in the two spellings in which it was handed out.
fn shares(keys: &Keys) -> Vec<Needle> {
    let mut needles = Vec::new();
    for share in &keys.shares {
        let bytes = keys::bytes(share);
        needles.extend(Needle::halves("share", &bytes));
        needles.push(Needle::text("share in hex", share));
        needles.push(Needle::text("share in base64", &STANDARD.encode(bytes)));
    }
    needles
}

fn send(server: &TestServer, method: &str, path: &str, token: &str, body: Vec<u8>) -> Response {
    let request = Request {
        method: method.to_owned(),
        target: format!("/v1/{path}"),
        headers: vec![("X-Vault-Token".to_owned(), token.to_owned())],
        body: Some(body),
    };
    server.send(&request).unwrap()
}

/// A text that stands nowhere else.
fn canary() -> String {
    let mut text = String::new();
    for byte in keys::random() {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn eventually(holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it did not happen");
        sleep(Duration::from_millis(10));
    }
}
