//! One request: from the head that hyper read to the answer that it writes.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, Request};
use hyper::body::Incoming;
use keyfold_core::{Core, id};
use tokio::sync::mpsc;

use super::decode::NAMESPACE;
use super::detached::Detached;
use super::encode::Answer;
use super::failure::Failure;
use super::{body, decode, encode};
use crate::config::Limits;
use crate::config::listener::ExtraHeader;

/// What every connection of a listener shares.
pub struct Site {
    /// The vault.
    pub core: Arc<Core>,
    /// What is taken from a client.
    pub limits: Limits,
    /// Additional response headers.
    pub headers: Vec<ExtraHeader>,
    /// Held by whatever still works; the server waits for the last one when it stops.
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub busy: mpsc::Sender<()>,
}

/// Answers a request. It always has an answer.
pub async fn answer(
    site: &Arc<Site>,
    remote: Option<SocketAddr>,
    request: Request<Incoming>,
) -> Answer {
    let id = id::uuid();
    let namespace = request.headers().get(NAMESPACE).cloned();
    let is_head = request.method() == Method::HEAD;
    let mut answer = match handle(site, remote, &id, request).await {
        Ok(answer) => answer,
        Err(failure) => encode::failure(&failure),
    };
    if let Some(namespace) = namespace {
        answer.headers_mut().insert(NAMESPACE, namespace);
    }
    encode::add_headers(&mut answer, &site.headers);
    if is_head {
        encode::without_body(answer)
    } else {
        answer
    }
}

async fn handle(
    site: &Arc<Site>,
    remote: Option<SocketAddr>,
    id: &str,
    request: Request<Incoming>,
) -> Result<Answer, Failure> {
    let (parts, incoming) = request.into_parts();
    let bytes = body::read(incoming, &site.limits).await?;
    let head = decode::head(&parts)?;
    site.core
        .serves(&head.path)
        .map_err(|error| Failure::of(error, id))?;
    let request = keyfold_core::Request {
        id: id.to_owned(),
        op: head.op,
        path: head.path,
        body: body::members(head.members, bytes, &site.limits)?,
        token: decode::token(&parts.headers),
        remote,
        headers: match site.core.audited_headers() {
            Some(wanted) => decode::audited(&parts.headers, &wanted),
            None => Vec::new(),
        },
    };
    // The site goes along, so that a server that stops waits for this too.
    let site = Arc::clone(site);
    match Detached::new(async move { site.core.handle(request).await }).await {
        Ok(reply) => Ok(encode::reply(id, &reply)),
        Err(error) => Err(Failure::of(error, id)),
    }
}
