//! The body of a request: read within its limits, checked once, then carried as bytes.

use std::error::Error as _;
use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use keyfold_api::{body, json};
use keyfold_core::request::Body;
use serde::de::IgnoredAny;

use super::decode::Members;
use super::failure::Failure;
use super::query;
use crate::config::Limits;

/// Memory that is set aside for a body before any of it has come in, at most.
const RESERVE: usize = 64 * 1024;
/// A body that says it is longer gets room for so many times what has come in of it.
const GROWTH: usize = 8;

/// Reads the body to its end. It is read for every method: a client that sends one where it means
/// nothing still wants its connection back.
pub async fn read(incoming: Incoming, limits: &Limits) -> Result<Vec<u8>, Failure> {
    if incoming.is_end_stream() {
        return Ok(Vec::new());
    }
    match tokio::time::timeout(limits.read_timeout, collect(incoming, limits.body)).await {
        Ok(read) => read,
        Err(_) => Err(too_slow(limits.read_timeout)),
    }
}

/// The members of a request, as core takes them.
pub fn members(members: Members, bytes: Vec<u8>, limits: &Limits) -> Result<Body, Failure> {
    match members {
        Members::Query(pairs) if pairs.is_empty() => Ok(Body::empty()),
        Members::Query(pairs) => Ok(Body::new(body::from_query(&pairs))),
        Members::Form if !matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[')) => {
            let text = std::str::from_utf8(&bytes).ok();
            let pairs = text
                .and_then(query::pairs)
                .ok_or_else(|| Failure::bad("the form is not valid percent-encoded UTF-8"))?;
            object(body::from_form(&pairs), limits)
        }
        Members::Form | Members::Json => object(bytes, limits),
    }
}

/// Checks that it is an object, of text that is text, and not too deep; nothing is nothing.
fn object(bytes: Vec<u8>, limits: &Limits) -> Result<Body, Failure> {
    if matches!(bytes.trim_ascii(), b"" | b"null") {
        return Ok(Body::empty());
    }
    let limits = json::Limits {
        strings: limits.json_strings,
        ..json::Limits::default()
    };
    json::complexity(&bytes, limits).map_err(|error| Failure::bad(error.to_string()))?;
    let bytes = match json::sanitize(&bytes) {
        std::borrow::Cow::Borrowed(_) => bytes,
        std::borrow::Cow::Owned(repaired) => repaired,
    };
    body::decode::<IgnoredAny>(&bytes).map_err(|error| Failure::bad(error.to_string()))?;
    Ok(Body::new(bytes))
}

async fn collect(mut incoming: Incoming, limit: usize) -> Result<Vec<u8>, Failure> {
    let declared = incoming.size_hint().exact();
    let declared = declared.map_or(Ok(0), |size| usize::try_from(size).map_err(|_| too_large()))?;
    if declared > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(declared.min(RESERVE));
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len().saturating_add(data.len()) > limit {
                return Err(too_large());
            }
            let needed = bytes.len().saturating_add(data.len());
            if needed > bytes.capacity() && needed < declared {
                let room = declared.min(needed.saturating_mul(GROWTH));
                bytes.reserve_exact(room.saturating_sub(bytes.len()));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

fn too_large() -> Failure {
    Failure::text(
        StatusCode::PAYLOAD_TOO_LARGE,
        "http: request body too large",
    )
}

fn too_slow(limit: Duration) -> Failure {
    let text = format!(
        "the request body did not come in within {} s",
        limit.as_secs()
    );
    Failure::text(StatusCode::REQUEST_TIMEOUT, text)
}

/// The client hung up or broke the protocol; most likely nobody reads the answer.
fn broken(error: &hyper::Error) -> Failure {
    tracing::debug!(error = %error, source = ?error.source().map(ToString::to_string), "body broken off");
    Failure::bad("failed to read the request body")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::failure::FailureBody;

    fn json(text: &[u8]) -> Result<Vec<u8>, String> {
        members(Members::Json, text.to_vec(), &Limits::default())
            .map(|body| body.bytes().to_vec())
            .map_err(|failure| match failure.body {
                FailureBody::Text(text) => text.into_owned(),
                _ => String::new(),
            })
    }

    #[test]
    fn bodies_that_are_taken() {
        for (text, taken) in [
            (&b""[..], &b""[..]),
            (b" \n", b""),
            (b"null", b""),
            (b"{}", b"{}"),
            (br#"{"k":"v","k":1e999}"#, br#"{"k":"v","k":1e999}"#),
            (b"{\"k\":\"\xc3(\"}", "{\"k\":\"\u{fffd}(\"}".as_bytes()),
        ] {
            assert_eq!(json(text).unwrap(), taken);
        }
        let deep = format!("{{\"k\":{}{}}}", "[".repeat(600), "]".repeat(600));
        assert_eq!(json(deep.as_bytes()).unwrap(), deep.as_bytes());
    }

    #[test]
    fn bodies_that_are_refused() {
        for text in [
            &b"--x"[..],
            b"{",
            b"[1]",
            b"\"a\"",
            b"{}{}",
            b"\xef\xbb\xbf{}",
            b"nul",
            b"{\"a\":}",
        ] {
            let error = json(text).unwrap_err();
            assert!(error.starts_with("failed to decode JSON input"), "{error}");
        }
        let keys: Vec<String> = (0..100_001).map(|n| format!("\"k{n}\":1")).collect();
        let error = json(format!("{{{}}}", keys.join(",")).as_bytes()).unwrap_err();
        assert!(
            error.contains("exceeded maximum number of strings"),
            "{error}"
        );
    }

    #[test]
    fn forms_and_queries() {
        let limits = Limits::default();
        let form = |text: &str| {
            members(Members::Form, text.as_bytes().to_vec(), &limits).map(|b| b.bytes().to_vec())
        };
        assert_eq!(form("a=1&b=x+y&a=2").unwrap(), br#"{"a":"1,2","b":"x y"}"#);
        assert_eq!(form(r#" {"k":"v"}"#).unwrap(), br#" {"k":"v"}"#);
        assert_eq!(form("a=%ff").unwrap_err().status, 400);
        let query = Members::Query(vec![("version".into(), "2".into())]);
        let body = members(query, b"ignored".to_vec(), &limits).unwrap();
        assert_eq!(body.bytes(), br#"{"version":"2"}"#);
    }
}
