//! One request: from the head that hyper read to the answer that it writes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use keyfold_core::error::UnsupportedReason;
use keyfold_core::request::Body;
use keyfold_core::{Core, Error, Op, id};
use tokio::sync::{mpsc, watch};

use super::connection::Phase;
use super::decode::{Head, Members, NAMESPACE};
use super::detached::Detached;
use super::encode::Answer;
use super::failure::Failure;
use super::underway::Underway;
use super::{admission, body, cors, decode, encode, index, rate, upload};
use crate::config::listener::ExtraHeader;
use crate::config::{Forwarded, Limits};

/// What may be open to those who have no token.
const METRICS: &str = "sys/metrics";
/// What whoever balances load asks.
const HEALTH: &str = "sys/health";

/// What every connection of a listener shares.
pub struct Site {
    /// The vault.
    pub core: Arc<Core>,
    /// What is taken from a client.
    pub limits: Limits,
    /// Proxies that name their clients.
    pub forwarded: Option<Forwarded>,
    /// Additional response headers.
    pub headers: Vec<ExtraHeader>,
    /// The requests under way, on all listeners.
    pub underway: Arc<Underway>,
    /// How far the server is with stopping.
    pub phase: watch::Receiver<Phase>,
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
    let id = id::of_request();
    let namespace = request.headers().get(NAMESPACE).cloned();
    let is_head = request.method() == Method::HEAD;
    let answered = match client(site, remote, request.headers()) {
        Ok(client) => {
            let _place = (site.underway).begin(&id, client, request.method(), request.uri());
            handle(site, client, &id, request).await
        }
        Err(failure) => Err(failure),
    };
    let mut answer = answered.unwrap_or_else(|failure| encode::failure(&failure));
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

/// Whose request it is, where the listener takes it.
fn client(
    site: &Site,
    remote: Option<SocketAddr>,
    headers: &HeaderMap,
) -> Result<Option<SocketAddr>, Failure> {
    if site.limits.request_header {
        admission::is_meant(headers)?;
    }
    match &site.forwarded {
        Some(forwarded) => forwarded.client(remote, headers),
        None => Ok(remote),
    }
}

async fn handle(
    site: &Arc<Site>,
    remote: Option<SocketAddr>,
    id: &str,
    request: Request<Incoming>,
) -> Result<Answer, Failure> {
    let page = cors::page(&site.core, request.headers(), id).await?;
    let Some(page) = page else {
        return serve(site, remote, id, request).await;
    };
    if let Some(answer) = page.preflight(&request) {
        return Ok(answer);
    }
    let mut answer = match serve(site, remote, id, request).await {
        Ok(answer) => answer,
        Err(failure) => encode::failure(&failure),
    };
    page.tell(&mut answer);
    Ok(answer)
}

async fn serve(
    site: &Arc<Site>,
    remote: Option<SocketAddr>,
    id: &str,
    request: Request<Incoming>,
) -> Result<Answer, Failure> {
    let (parts, incoming) = request.into_parts();
    let head = match decode::head(&parts) {
        Ok(head) if head.op == Op::Write && site.core.streams(&head.path) => {
            let (upload, rest) = upload::open(incoming, site.limits.read_timeout, site.limits.body);
            let answer = match serves(site, id, &head.path) {
                Ok(()) => carry(site, remote, id, (&parts, head), Body::streamed(upload)).await,
                Err(failure) => Err(failure),
            };
            rest.drain().await;
            return answer;
        }
        head => head,
    };
    // What is wrong with the body is told first.
    let bytes = body::read(incoming, &site.limits).await?;
    let mut head = head?;
    if site.limits.open_metrics && head.path == METRICS && head.op == Op::Read {
        let reply = site.core.report(head.members.query("format"));
        return Ok(encode::reply(id, reply.map_err(|e| Failure::of(e, id))?));
    }
    if site.limits.close(&head.path) {
        let error = Error::Unsupported(UnsupportedReason::OpenOperation);
        return Err(Failure::of(error, id));
    }
    serves(site, id, &head.path)?;
    let members = std::mem::replace(&mut head.members, Members::Json);
    let body = body::members(members, bytes, &site.limits)?;
    let is_health = head.path == HEALTH;
    let mut answer = carry(site, remote, id, (&parts, head), body).await?;
    if is_health && *site.phase.borrow() != Phase::Serving {
        // Whatever code was wished for: the next request had better go elsewhere.
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(answer)
}

/// Whether a path has an answer in the present state.
fn serves(site: &Site, id: &str, path: &str) -> Result<(), Failure> {
    let served = site.core.serves(path);
    served.map_err(|error| Failure::of(error, id))
}

/// Has a request carried out.
async fn carry(
    site: &Arc<Site>,
    remote: Option<SocketAddr>,
    id: &str,
    (parts, head): (&Parts, Head),
    body: Body,
) -> Result<Answer, Failure> {
    let request = keyfold_core::Request {
        id: id.to_owned(),
        op: head.op,
        path: head.path,
        body,
        token: decode::token(&parts.headers),
        remote,
        headers: match site.core.audited_headers() {
            Some(wanted) => decode::audited(&parts.headers, &wanted),
            None => Vec::new(),
        },
        wrap_ttl: head.wrap_ttl,
        // One node has nothing to wait for: whatever a client brings along is passed over.
        index: match site.core.index() {
            Some(_) => index::seen(&parts.headers)?,
            None => None,
        },
    };
    let began = Instant::now();
    let (path, op) = (request.path.clone(), request.op);
    let mut answer = ask(site, id, request).await?;
    if let Some(index) = site.core.index() {
        index::tell(&mut answer, index);
    }
    let status = answer.status().as_u16();
    site.core.count(&path, op, status, began.elapsed());
    Ok(answer)
}

/// Asks core, where the client may ask.
async fn ask(
    site: &Arc<Site>,
    id: &str,
    request: keyfold_core::Request,
) -> Result<Answer, Failure> {
    let _underway = site.core.metrics().begin();
    let verdict = site.core.allowance(&request).await;
    let Some(verdict) = verdict.map_err(|error| Failure::of(error, id))? else {
        return Ok(run(site, id, request).await);
    };
    let mut answer = match verdict.allowance.retry {
        Some(_) => failed(site, id, Error::RateLimited(request.path)),
        None => run(site, id, request).await,
    };
    rate::tell(&mut answer, &verdict);
    Ok(answer)
}

async fn run(site: &Arc<Site>, id: &str, request: keyfold_core::Request) -> Answer {
    // The site goes along, so that a server that stops waits for this too.
    let (site, after) = (Arc::clone(site), Arc::clone(site));
    match Detached::new(async move { site.core.handle(request).await }).await {
        Ok(reply) => encode::reply(id, reply),
        Err(error) => failed(&after, id, error),
    }
}

fn failed(site: &Site, id: &str, error: Error) -> Answer {
    site.core.metrics().failed(&error);
    encode::failure(&Failure::of(error, id))
}
