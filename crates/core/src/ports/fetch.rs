//! Documents of other servers: the keys of an issuer. The server gives the means; core and the
//! backends know nothing of HTTP.

use super::engine::Future_;

/// Largest document, bytes.
pub const MAX_DOCUMENT: usize = 1024 * 1024;

/// What reads documents.
pub trait Fetch: Send + Sync + 'static {
    /// The document at an `http` or `https` address, of at most [`MAX_DOCUMENT`] bytes, within some
    /// seconds. `authorities`: PEM certificates to trust in place of the system's.
    fn fetch<'a>(
        &'a self,
        url: &'a str,
        authorities: Option<&'a str>,
    ) -> Future_<'a, Result<Vec<u8>, FetchError>>;
}

/// Why there is no document. The text is shown to operators; it names no more than what they wrote.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// The address is none, or the certificates are.
    #[error("{0}")]
    Invalid(String),
    /// The other server did not give it.
    #[error("{0}")]
    Unreachable(String),
}

/// Where nothing can be fetched: tests, and programs without a network.
pub struct Offline;

impl Fetch for Offline {
    fn fetch<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
    ) -> Future_<'a, Result<Vec<u8>, FetchError>> {
        Box::pin(async {
            Err(FetchError::Unreachable(
                "this server fetches nothing".to_owned(),
            ))
        })
    }
}
