//! One error for all of core, by whose fault it was. The map to HTTP is in the server crate.
//!
//! A text in here is shown to the caller, so it names fields and paths, never values.

use keyfold_api::body::BodyError;
use keyfold_keys::Error as KeyError;

use crate::ports::storage::StorageError;

/// Why a request was not done. An error changes nothing, in memory or on disk.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's mistake.
    #[error("{0}")]
    BadRequest(String),
    /// A login whose password, secret or proof is wrong; the same text whether or not the name is
    /// known. The lockout counts these.
    #[error("{0}")]
    Unproven(&'static str),
    /// No token, or one that is none.
    #[error("permission denied")]
    NoToken,
    /// The token's policies do not allow it.
    #[error("1 error occurred:\n\t* permission denied\n\n")]
    Denied,
    /// Refused for a reason that is not the policies'.
    #[error("{0}")]
    DeniedBecause(String),
    /// Nothing there; an empty list is the same.
    #[error("not found")]
    NotFound,
    /// Nothing there, with a reason that clients show or match.
    #[error("{0}")]
    NotFoundBecause(String),
    /// No mount serves the path.
    #[error("no handler for route \"{0}\". route entry not found.")]
    NoHandler(String),
    /// The mount serves the path, or others like it, but not so.
    #[error("{0}")]
    Unsupported(UnsupportedReason),
    /// A merge-patch came with another content type.
    #[error("PATCH requires Content-Type of application/merge-patch+json, provided {0}")]
    MediaType(String),
    /// The server is sealed or not initialised.
    #[error("Vault is sealed")]
    Sealed,
    /// This node has not heard from the store for longer than its answers may be old.
    #[error(
        "this node has not heard from its storage for longer than its freshness bound, so it does not \
         answer"
    )]
    Stale,
    /// The caller has seen, on another node, what this one has not heard of in time.
    #[error("this node has not heard of the state that X-Vault-Index stands for")]
    Behind,
    /// The caller's mistake, of which the wire says no more than that.
    #[error("bad request")]
    BadSilently,
    /// The client has sent more requests than a rate limit lets it.
    #[error("request path \"{0}\": rate limit quota exceeded")]
    RateLimited(String),
    /// The root key is needed, and no seal gives it now.
    #[error("no seal gives the root key now: {0}")]
    NoSeal(String),
    /// A device that keeps keys is not there; the text names the key.
    #[error("{0}")]
    Away(String),
    /// Another request changed the same thing again and again.
    #[error("the record was changed by another request, try again")]
    Contended,
    /// No audit device could write the entry, so nothing was done.
    #[error("no audit device could record the request")]
    Audit,
    /// No audit device could write the answer, so it is kept back; what was asked for was done.
    #[error("the request was carried out, but no audit device could record its answer")]
    Unrecorded,
    /// The store's fault.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A stored record does not open or does not parse.
    #[error("record {0} is damaged")]
    Corrupt(String),
    /// Ours. The text is a constant.
    #[error("internal error: {0}")]
    Bug(&'static str),
}

/// How a path is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedReason {
    /// The path is known, the method is not.
    #[error("1 error occurred:\n\t* unsupported operation\n\n")]
    Operation,
    /// The same where the path needs no token: the wire has other words.
    #[error("unsupported operation")]
    OpenOperation,
    /// The mount knows no such path.
    #[error("1 error occurred:\n\t* unsupported path\n\n")]
    Path,
}

impl Error {
    /// A caller's mistake in one named field.
    pub fn field(name: &str, what: impl std::fmt::Display) -> Self {
        Self::BadRequest(format!("field \"{name}\": {what}"))
    }

    /// A caller's mistake, said in full.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::BadRequest(text.into())
    }

    /// A stored record that does not open: names the record, not what was wrong inside.
    pub fn corrupt(record: impl Into<String>) -> Self {
        Self::Corrupt(record.into())
    }

    /// The caller may read again and retry.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Storage(StorageError::Conflict(_)))
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

/// For keys that are held in memory: a failure there is a bug, not a damaged record.
impl From<KeyError> for Error {
    fn from(_: KeyError) -> Self {
        Self::Bug("a key operation failed")
    }
}
