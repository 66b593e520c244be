//! Requests of web pages of other origins: which are answered, and how browsers are told.

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    CACHE_CONTROL, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use keyfold_core::Core;
use keyfold_core::cors::{Cors, Origin};

use super::encode::Answer;
use super::failure::Failure;
use super::outgoing::Outgoing;

const METHODS: [&str; 7] = ["DELETE", "GET", "OPTIONS", "POST", "PUT", "LIST", "SCAN"];
/// Seconds for which a browser need not ask again.
const MAX_AGE: &str = "300";

/// A page of another origin that may call.
pub struct Page {
    cors: Arc<Cors>,
    origin: HeaderValue,
}

/// The page that a request comes from; none where it names no origin, or nobody cares.
pub async fn page(core: &Core, headers: &HeaderMap, id: &str) -> Result<Option<Page>, Failure> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(None);
    };
    // What is no text is no origin that anybody has allowed.
    let text = origin.to_str().unwrap_or_default();
    match core.origin(text).await.map_err(|e| Failure::of(e, id))? {
        Origin::Ignored => Ok(None),
        Origin::Refused => Err(Failure::text(StatusCode::FORBIDDEN, "origin not allowed")),
        Origin::Allowed(cors) => Ok(Some(Page {
            cors,
            origin: origin.clone(),
        })),
    }
}

impl Page {
    /// The answer to a browser that asks before it sends the request itself.
    pub fn preflight<B>(&self, request: &Request<B>) -> Option<Answer> {
        let method = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD)?;
        if request.method() != Method::OPTIONS {
            return None;
        }
        let mut answer = Response::new(Outgoing::default());
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if !METHODS.iter().any(|known| method == known) {
            *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            return Some(answer);
        }
        if let Ok(methods) = HeaderValue::try_from(METHODS.join(",")) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        if let Ok(names) = HeaderValue::try_from(self.cors.allowed_headers.join(",")) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        self.tell(&mut answer);
        Some(answer)
    }

    /// Lets the page read an answer.
    pub fn tell(&self, answer: &mut Answer) {
        let headers = answer.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        if self.cors.allows_all() {
            // Just so, a browser sends no credentials along.
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        if self.cors.allow_credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }
}
