//! A request as the pipeline takes it: decoded at the edge, free of HTTP.

use std::net::SocketAddr;

use keyfold_api::Seconds;
use keyfold_api::body::{self, Decoded};
use keyfold_secret::Secret;
use serde::de::DeserializeOwned;

use crate::audit::AuditedHeader;
use crate::chunks::{Chunks, Stream};
use crate::error::Error;
use crate::ports::storage::Revision;

/// What is asked of a path. PUT and POST are one; the store decides whether it creates or updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// GET.
    Read,
    /// LIST, or GET with `?list=true`.
    List,
    /// SCAN, or GET with `?scan=true`: a list of all that is below, however deep.
    Scan,
    /// PUT or POST.
    Write,
    /// PATCH, a JSON merge-patch.
    Patch,
    /// DELETE.
    Delete,
    /// HELP, or GET with `?help=1`: what the path is for.
    Help,
}

/// A decoded request. Its path has no leading slash, no `.` or `..` segment and no control
/// character: the edge refuses those.
pub struct Request {
    /// A fresh UUID.
    pub id: String,
    /// What is asked.
    pub op: Op,
    /// Below `/v1/`, percent-decoded once.
    pub path: String,
    /// The members, from the body or, where there is none, the query.
    pub body: Body,
    /// The client's token.
    pub token: Option<Secret<String>>,
    /// Who is at the other end, where there is an address.
    pub remote: Option<SocketAddr>,
    /// Those of its headers that [`crate::Core::audited_headers`] names.
    pub headers: Vec<AuditedHeader>,
    /// How long the answer is to be kept under a wrapping token, in the place of going out; more
    /// than zero.
    pub wrap_ttl: Option<Seconds>,
    /// The newest commit that the caller has seen, on whichever node.
    pub index: Option<Revision>,
}

impl Request {
    /// One that this program makes itself: a read of nothing, to be filled in.
    pub(crate) fn internal(id: String) -> Self {
        Self {
            id,
            op: Op::Read,
            path: String::new(),
            body: Body::empty(),
            token: None,
            remote: None,
            headers: Vec::new(),
            wrap_ttl: None,
            index: None,
        }
    }
}

/// A path without a slash at its start and without doubled ones: what the edge makes of a request's,
/// and everything that is asked about a path has to, too.
pub fn without_empty_segments(path: String) -> String {
    if !path.starts_with('/') && !path.contains("//") {
        return path;
    }
    let mut clean = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !(clean.is_empty() || clean.ends_with('/')) {
            clean.push(c);
        }
    }
    clean
}

/// The members of a request: the bytes of a JSON object, or empty for none. Few requests bring
/// something else, piece by piece.
pub struct Body {
    json: Secret<Vec<u8>>,
    stream: Option<Stream>,
}

impl Body {
    /// Takes the bytes of a JSON object, checked for depth and text by `keyfold_api::body`.
    pub fn new(json: Vec<u8>) -> Self {
        Self {
            json: Secret::new(json),
            stream: None,
        }
    }

    /// No members.
    pub fn empty() -> Self {
        Self::new(Vec::new())
    }

    /// No members, but bytes that are read while they come.
    pub fn streamed(chunks: impl Chunks + 'static) -> Self {
        Self {
            stream: Some(Stream::new(chunks)),
            ..Self::empty()
        }
    }

    /// The bytes that come, for the first who asks.
    pub fn stream(&self) -> Option<Box<dyn Chunks>> {
        self.stream.as_ref()?.take()
    }

    /// The JSON text.
    pub fn bytes(&self) -> &[u8] {
        self.json.expose()
    }

    /// Parses into what a handler takes; the error names the field.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<Decoded<T>, Error> {
        Ok(body::decode(self.bytes())?)
    }
}
