//! [`Request`]: what is asked of the server.

use keyfold_secret::Secret;
use serde::Serialize;

use crate::ClientError;

/// The methods of the API. A list is a read with `list=true`, and a scan one with `scan=true`, which
/// every proxy lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Writes.
    Post,
    /// Writes; the same as [`Method::Post`].
    Put,
    /// Merges into what is there.
    Patch,
    /// Deletes.
    Delete,
    /// Names in a folder.
    List,
    /// All names below a folder.
    Scan,
}

/// One request: method, path below `/v1/`, query, and body.
pub struct Request {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    body: Option<Secret<Vec<u8>>>,
    unwrapped: bool,
    wrap_ttl: Option<&'static str>,
}

impl Request {
    /// A request without body. Slashes at the end of the path are cut off: people write folders with
    /// them, and no call takes one.
    pub fn new(method: Method, path: &str) -> Self {
        let query = match method {
            Method::List => vec![("list".to_owned(), "true".to_owned())],
            Method::Scan => vec![("scan".to_owned(), "true".to_owned())],
            _ => Vec::new(),
        };
        Self {
            method,
            path: path.trim_end_matches('/').to_owned(),
            query,
            body: None,
            unwrapped: false,
            wrap_ttl: None,
        }
    }

    /// Reads `path`.
    pub fn read(path: &str) -> Self {
        Self::new(Method::Get, path)
    }

    /// Lists the names in `path`.
    pub fn list(path: &str) -> Self {
        Self::new(Method::List, path)
    }

    /// Deletes `path`.
    pub fn delete(path: &str) -> Self {
        Self::new(Method::Delete, path)
    }

    /// Writes `body`, as JSON, to `path`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Encode`] where `body` is not JSON's to hold (a map with other than text keys).
    pub fn write<T: Serialize + ?Sized>(path: &str, body: &T) -> Result<Self, ClientError> {
        let json = serde_json::to_vec(body).map_err(|_| ClientError::Encode)?;
        Ok(Self::new(Method::Put, path).with_body(Secret::new(json)))
    }

    /// Merges `body`, as JSON, into what is at `path`.
    ///
    /// # Errors
    ///
    /// As [`Request::write`].
    pub fn patch<T: Serialize + ?Sized>(path: &str, body: &T) -> Result<Self, ClientError> {
        Ok(Self {
            method: Method::Patch,
            ..Self::write(path, body)?
        })
    }

    /// The same request with a JSON body.
    #[must_use]
    pub fn with_body(mut self, json: Secret<Vec<u8>>) -> Self {
        self.body = Some(json);
        self
    }

    /// The same request with one more query parameter.
    #[must_use]
    pub fn with_query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same request, whose answer the client needs itself: it is not asked to be wrapped.
    #[must_use]
    pub fn unwrapped(mut self) -> Self {
        self.unwrapped = true;
        self
    }

    /// Has the answer wrapped for so long where the configuration says nothing else.
    pub fn wrapped_for(mut self, ttl: &'static str) -> Self {
        self.wrap_ttl = Some(ttl);
        self
    }

    pub(crate) fn wrap_ttl(&self) -> Option<&'static str> {
        self.wrap_ttl
    }

    pub(crate) fn is_unwrapped(&self) -> bool {
        self.unwrapped
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The path below `/v1/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query's parameters.
    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// The body, JSON.
    pub fn body(&self) -> Option<&[u8]> {
        self.body.as_ref().map(|body| body.expose().as_slice())
    }
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get | Method::List | Method::Scan => Self::GET,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
            Method::Delete => Self::DELETE,
        }
    }
}
