//! What a handler answers.

use std::future::Future;

use keyfold_api::Seconds;
use keyfold_api::envelope::{Auth, Envelope, WrapInfo};
use serde::Serialize;

use crate::chunks::{Chunks, Stream};
use crate::error::Error;
use crate::ports::auth::Login;
use crate::ports::engine::Future_;
use crate::tokens::TokenParams;

/// The bytes of a JSON value that was serialised once and is carried through as it is.
///
/// It may hold plaintext, so it has no `Debug`; freed memory is wiped by the allocator.
#[derive(Clone)]
pub struct Json(Vec<u8>);

impl Json {
    /// Serialises a value.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        Ok(Self(
            serde_json::to_vec(value).map_err(|_| Error::Bug("a reply does not serialise"))?,
        ))
    }

    /// Takes bytes that are JSON already.
    pub fn raw(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The text.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}

/// How `data` stands in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// In the response envelope.
    #[default]
    Envelope,
    /// In the envelope, and each member at the top level too (old clients read it there).
    Injected,
    /// Alone.
    Bare,
    /// It is the whole answer, to the byte.
    Exact,
}

/// What waits for an answer to be on its way.
pub struct After(Box<dyn FnOnce() -> Future_<'static, ()> + Send + Sync>);

impl After {
    /// It is run at most once.
    pub fn new<F>(work: impl FnOnce() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(|| Box::pin(work())))
    }

    /// Begins it, as the answer has been handed to the network; the future does the rest.
    pub fn run(self) -> Future_<'static, ()> {
        (self.0)()
    }
}

/// An answer. Without data, auth and warnings it is a 204.
#[derive(Default)]
pub struct Reply {
    /// Another status than 200 or 204.
    pub status: Option<u16>,
    /// The `data` member.
    pub data: Option<Json>,
    /// How it stands in the answer.
    pub form: Form,
    /// Remarks on the request.
    pub warnings: Vec<String>,
    /// A token that was made or renewed.
    pub auth: Option<Box<Auth>>,
    /// Seconds that the answer may be kept, for engines that say so.
    pub lease_duration: u64,
    /// It may be kept for as long as the mount's leases last by default: the pipeline, which knows
    /// the mount, puts that into `lease_duration`.
    pub default_lease: bool,
    /// The media type, where it is not JSON.
    pub media: Option<&'static str>,
    /// The accessor of what the data hands out: told beside the answer where that is kept wrapped.
    pub accessor: Option<String>,
    /// How long tokens of the role or user that was written may live, seconds: the pipeline, which
    /// knows the mount, tells where that is more than anybody gets there.
    pub max_ttl: Option<u64>,
    /// Where the answer is kept instead.
    pub wrap: Option<Box<WrapInfo>>,
    /// What is done once the answer was written out; nothing where it could not be.
    pub after: Option<After>,
    /// The whole answer, where it is not held in memory.
    pub stream: Option<Stream>,
    /// Who has logged in: the pipeline makes the token and puts it into `auth`.
    pub login: Option<Box<Login>>,
}

impl Reply {
    /// 204.
    pub fn none() -> Self {
        Self::default()
    }

    /// 200 with data.
    pub fn data<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        Ok(Self {
            data: Some(Json::of(value)?),
            ..Self::default()
        })
    }

    /// 200 with data and its members at the top level.
    pub fn injected<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        Ok(Self {
            form: Form::Injected,
            ..Self::data(value)?
        })
    }

    /// 200 with data alone, no envelope.
    pub fn bare<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        Ok(Self {
            form: Form::Bare,
            ..Self::data(value)?
        })
    }

    /// 200 with JSON that was serialised before.
    pub fn raw(data: Json) -> Self {
        Self {
            data: Some(data),
            ..Self::default()
        }
    }

    /// 200 with a token.
    pub fn auth(auth: Auth) -> Self {
        Self {
            auth: Some(Box::new(auth)),
            ..Self::default()
        }
    }

    /// Someone has logged in.
    pub fn login(login: Login) -> Self {
        Self {
            login: Some(Box::new(login)),
            ..Self::default()
        }
    }

    /// 200 with an answer that was made before.
    pub fn exact(answer: Json) -> Self {
        Self {
            form: Form::Exact,
            ..Self::raw(answer)
        }
    }

    /// 200 with bytes that are made while they go out.
    pub fn stream(media: &'static str, chunks: impl Chunks + 'static) -> Self {
        Self {
            media: Some(media),
            stream: Some(Stream::new(chunks)),
            ..Self::default()
        }
    }

    /// An answer that is kept under a wrapping token.
    pub fn wrapped(info: WrapInfo) -> Self {
        Self {
            wrap: Some(Box::new(info)),
            ..Self::default()
        }
    }

    /// There is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.data.is_none()
            && self.auth.is_none()
            && self.warnings.is_empty()
            && self.wrap.is_none()
            && self.stream.is_none()
    }

    /// The text that goes out, empty where there is nothing to tell. A wrapped answer does not name
    /// the request: the one inside does.
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        match (self.form, &self.data) {
            // Some paths answer an envelope with nothing in it, and say so by their status.
            _ if self.is_empty() && self.status != Some(200) => Vec::new(),
            _ if self.stream.is_some() => Vec::new(),
            (Form::Exact, Some(data)) => data.bytes().to_vec(),
            (Form::Bare, Some(data)) => [data.bytes(), b"\n"].concat(),
            (form, data) => Envelope {
                request_id: if self.wrap.is_some() { "" } else { request_id },
                lease_duration: Seconds(i64::try_from(self.lease_duration).unwrap_or(i64::MAX)),
                data: data.as_ref().map(Json::bytes),
                wrap_info: self.wrap.as_deref(),
                warnings: &self.warnings,
                auth: self.auth.as_deref(),
                ..Envelope::default()
            }
            .write(form == Form::Injected),
        }
    }

    /// A role or a user was written that grants this.
    pub fn granting(mut self, params: &TokenParams) -> Self {
        self.max_ttl = Some(params.max_ttl);
        self
    }

    /// Another status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// One more remark.
    pub fn warn(mut self, text: impl Into<String>) -> Self {
        self.warnings.push(text.into());
        self
    }
}

/// The names below a path; none is a 404, as on the wire.
pub fn keys(names: Vec<String>) -> Result<Reply, Error> {
    #[derive(Serialize)]
    struct Keys {
        keys: Vec<String>,
    }
    if names.is_empty() {
        return Err(Error::NotFound);
    }
    Reply::data(&Keys { keys: names })
}
