//! Requests, and what may be said to them.

use std::fmt;

use keyfold_tests::TestServer;
use keyfold_tests::wire::Request;
use serde_json::Value;

/// Why a request was not answered as asked.
#[derive(Debug)]
pub enum Refusal {
    /// A status of 400 and above, and its body.
    Answered(u16, String),
    /// The connection ended.
    Gone,
    /// What goes on by itself met a disk that failed.
    Unfinished,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status, text) => write!(f, "answered {status}: {text}"),
            Self::Gone => f.write_str("the connection ended"),
            Self::Unfinished => f.write_str("the disk failed before it was done"),
        }
    }
}

impl From<Refusal> for String {
    fn from(refusal: Refusal) -> Self {
        refusal.to_string()
    }
}

/// An error unless both are the same.
pub fn same(what: &str, found: &Value, wanted: &Value) -> Result<(), String> {
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{what} is {found}, not {wanted}")),
    }
}

/// An answer without what may stand around it.
pub fn bare(answer: Value) -> Value {
    match answer.get("data") {
        Some(data) if data.is_object() => data.clone(),
        _ => answer,
    }
}

/// A text in an answer.
pub fn string(answer: &Value, place: &str) -> Result<String, Refusal> {
    let text = answer.pointer(place).and_then(Value::as_str);
    let missing = || Refusal::Answered(200, format!("no {place} in {answer}"));
    text.map(str::to_owned).ok_or_else(missing)
}

pub fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

pub fn request(token: &str, method: &str, path: &str, body: Option<Vec<u8>>) -> Request {
    Request {
        method: method.to_owned(),
        target: format!("/v1/{path}"),
        headers: vec![("X-Vault-Token".to_owned(), token.to_owned())],
        body,
    }
}

pub fn call(
    server: &TestServer,
    token: &str,
    method: &str,
    path: &str,
    body: Value,
) -> Result<Value, Refusal> {
    let body = (!body.is_null()).then(|| body.to_string().into_bytes());
    answer(server, &request(token, method, path, body))
}

pub fn answer(server: &TestServer, request: &Request) -> Result<Value, Refusal> {
    let answer = server.send(request).map_err(|_| Refusal::Gone)?;
    match answer.status {
        200..=299 => Ok(answer.json()),
        status => Err(Refusal::Answered(status, answer.text())),
    }
}
