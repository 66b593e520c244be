//! Why a request is answered with an error, as HTTP shows it. The only map from [`Error`] to a
//! status.

use std::borrow::Cow;

use http::StatusCode;
use keyfold_core::Error;
use keyfold_core::error::UnsupportedReason;
use keyfold_core::ports::storage::StorageError;

/// A status and what stands under it.
#[derive(Debug)]
pub struct Failure {
    /// 4xx or 5xx.
    pub status: StatusCode,
    /// The body.
    pub body: FailureBody,
}

/// What stands under an error status.
#[derive(Debug)]
pub enum FailureBody {
    /// `{"errors":[]}`
    Silent,
    /// `{"errors":["…"]}`
    Text(Cow<'static, str>),
}

/// What a caller is told when it is not the caller's fault. The log says more.
const OURS: &str = "internal error";
/// The same when it is the store's.
const STORAGE: &str = "storage failed: the server's log says why";
/// The same when it is not known what became of a change.
const STORAGE_UNKNOWN: &str =
    "storage failed, and it is not known whether the change was kept: the server's log says why";
/// What is said of a name or a value that the store has no room for.
const TOO_LONG: &str = "a name, or what is to be kept under it, is too long to be stored";

impl Failure {
    /// An error without a text.
    pub const fn silent(status: StatusCode) -> Self {
        Self {
            status,
            body: FailureBody::Silent,
        }
    }

    /// An error with a text.
    pub fn text(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            body: FailureBody::Text(text.into()),
        }
    }

    /// 400 with a text.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::text(StatusCode::BAD_REQUEST, text)
    }

    /// What core's errors are on the wire. Those that are not the caller's fault are logged.
    pub fn of(error: Error, request_id: &str) -> Self {
        if !is_callers(&error) {
            tracing::error!(request_id, error = %error, "request failed");
        }
        let text = error.to_string();
        match error {
            Error::BadRequest(_) | Error::Unproven(_) => Self::bad(text),
            Error::NoToken | Error::Denied | Error::DeniedBecause(_) => {
                Self::text(StatusCode::FORBIDDEN, text)
            }
            Error::NotFound => Self::silent(StatusCode::NOT_FOUND),
            Error::NotFoundBecause(_) | Error::NoHandler(_) => {
                Self::text(StatusCode::NOT_FOUND, text)
            }
            Error::Unsupported(UnsupportedReason::Path) => Self::text(StatusCode::NOT_FOUND, text),
            Error::Unsupported(UnsupportedReason::Operation | UnsupportedReason::OpenOperation) => {
                Self::text(StatusCode::METHOD_NOT_ALLOWED, text)
            }
            Error::MediaType(_) => Self::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text),
            Error::Sealed | Error::NoSeal(_) | Error::Away(_) | Error::Stale => {
                Self::text(StatusCode::SERVICE_UNAVAILABLE, text)
            }
            Error::BadSilently => Self::silent(StatusCode::BAD_REQUEST),
            Error::RateLimited(_) => Self::text(StatusCode::TOO_MANY_REQUESTS, text),
            // Clients repeat a request that got 412, which is what should happen.
            Error::Contended | Error::Behind => Self::text(StatusCode::PRECONDITION_FAILED, text),
            Error::Audit | Error::Unrecorded | Error::Corrupt(_) => {
                Self::text(StatusCode::INTERNAL_SERVER_ERROR, text)
            }
            Error::Storage(StorageError::TooLong(_)) => Self::bad(TOO_LONG),
            Error::Storage(StorageError::Failed(_)) => {
                Self::text(StatusCode::INTERNAL_SERVER_ERROR, STORAGE)
            }
            Error::Storage(StorageError::Unknown(_)) => {
                Self::text(StatusCode::INTERNAL_SERVER_ERROR, STORAGE_UNKNOWN)
            }
            Error::Storage(StorageError::Conflict(_) | StorageError::Invalid(_))
            | Error::Bug(_) => Self::text(StatusCode::INTERNAL_SERVER_ERROR, OURS),
        }
    }
}

/// Whether it was the caller's doing, or merely the state that the operator put the server in.
fn is_callers(error: &Error) -> bool {
    match error {
        Error::BadRequest(_)
        | Error::Unproven(_)
        | Error::NoToken
        | Error::Denied
        | Error::DeniedBecause(_)
        | Error::NotFound
        | Error::NotFoundBecause(_)
        | Error::NoHandler(_)
        | Error::Unsupported(_)
        | Error::MediaType(_)
        | Error::Sealed
        | Error::NoSeal(_)
        | Error::Away(_)
        | Error::BadSilently
        | Error::RateLimited(_)
        | Error::Contended
        | Error::Behind
        | Error::Storage(StorageError::TooLong(_)) => true,
        Error::Audit
        | Error::Unrecorded
        | Error::Stale
        | Error::Storage(_)
        | Error::Corrupt(_)
        | Error::Bug(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use keyfold_core::ports::storage::StorageError;

    use super::*;

    fn status_and_text(error: Error) -> (u16, String) {
        let failure = Failure::of(error, "id");
        let text = match failure.body {
            FailureBody::Silent => String::new(),
            FailureBody::Text(text) => text.into_owned(),
        };
        (failure.status.as_u16(), text)
    }

    #[test]
    fn statuses_and_texts_of_the_wire() {
        use UnsupportedReason::{Operation, Path};
        let table = [
            (Error::bad("no"), 400, "no"),
            (Error::NoToken, 403, "permission denied"),
            (
                Error::Denied,
                403,
                "1 error occurred:\n\t* permission denied\n\n",
            ),
            (Error::NotFound, 404, ""),
            (Error::NotFoundBecause("gone".into()), 404, "gone"),
            (
                Error::NoHandler("a/b".into()),
                404,
                "no handler for route \"a/b\". route entry not found.",
            ),
            (
                Error::Unsupported(Path),
                404,
                "1 error occurred:\n\t* unsupported path\n\n",
            ),
            (
                Error::Unsupported(Operation),
                405,
                "1 error occurred:\n\t* unsupported operation\n\n",
            ),
            (
                Error::MediaType("text/plain".into()),
                415,
                "PATCH requires Content-Type of application/merge-patch+json, provided text/plain",
            ),
            (Error::Sealed, 503, "Vault is sealed"),
            (
                Error::NoSeal("hsm is down".into()),
                503,
                "no seal gives the root key now: hsm is down",
            ),
            (
                Error::Corrupt("core/keyring".into()),
                500,
                "record core/keyring is damaged",
            ),
        ];
        for (error, status, text) in table {
            assert_eq!(status_and_text(error), (status, text.to_owned()));
        }
    }

    #[test]
    fn our_own_failures_say_nothing_of_the_inside() {
        let place = || "/var/lib/secret-place".to_owned();
        for (error, text) in [
            (StorageError::Failed(place()), STORAGE),
            (StorageError::Unknown(place()), STORAGE_UNKNOWN),
            (StorageError::Invalid(place()), OURS),
        ] {
            let shown = status_and_text(Error::Storage(error));
            assert_eq!(shown, (500, text.to_owned()));
        }
        assert_eq!(
            status_and_text(Error::Bug("inside")),
            (500, "internal error".to_owned())
        );
    }
}
