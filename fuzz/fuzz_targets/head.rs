//! The head of a request: method, target and headers, a line each. A path that is taken names what it seems to name.
#![no_main]

use http::{HeaderName, HeaderValue, Request};
use keyfold_api::body;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

/// The server's own files: what they hold is open to their parent alone.
#[allow(dead_code)]
#[path = "."]
mod http_in {
    #[path = "../../crates/server/src/http/decode.rs"]
    pub mod decode;
    #[path = "../../crates/server/src/http/failure.rs"]
    pub mod failure;
    #[path = "../../crates/server/src/http/path.rs"]
    mod path;
    #[path = "../../crates/server/src/http/query.rs"]
    mod query;
}

fuzz_target!(|text: &[u8]| {
    let mut lines = text.split(|byte| *byte == b'\n');
    let (method, target) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    let Ok(mut request) = Request::builder().method(method).uri(target).body(()) else {
        return;
    };
    for line in lines {
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            request.headers_mut().append(name, value);
        }
    }
    let (parts, ()) = request.into_parts();
    let token = http_in::decode::token(&parts.headers);
    assert!(token.is_none_or(|token| !token.expose().is_empty()));
    match http_in::decode::head(&parts) {
        Ok(head) => {
            if let http_in::decode::Members::Query(pairs) = &head.members {
                let json = body::from_query(pairs);
                assert!(body::decode::<IgnoredAny>(&json).is_ok());
            }
            let segments = head.path.strip_suffix('/').unwrap_or(&head.path).split('/');
            for segment in segments {
                assert!(!matches!(segment, "." | ".."));
                assert!(head.path.is_empty() || head.path == "/" || !segment.is_empty());
                assert!(!segment.chars().any(char::is_control));
            }
        }
        Err(failure) => assert!(failure.status.is_client_error()),
    }
});
