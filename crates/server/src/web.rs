//! Documents of other servers, over HTTP.

use std::time::Duration;

use keyfold_core::ports::engine::Future_;
use keyfold_core::ports::fetch::{Fetch, FetchError, MAX_DOCUMENT};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};

/// How long a document may take, and how long the connection for it.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Redirections that are followed.
const REDIRECTIONS: usize = 3;

/// The other servers. Documents are few and far between, so no connection is kept.
pub struct Web;

impl Fetch for Web {
    fn fetch<'a>(
        &'a self,
        url: &'a str,
        authorities: Option<&'a str>,
    ) -> Future_<'a, Result<Vec<u8>, FetchError>> {
        Box::pin(async move {
            let invalid = |what: &str| FetchError::Invalid(what.to_owned());
            let url = Url::parse(url).ok();
            let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
            let url =
                url.ok_or_else(|| invalid("the address has to begin with http:// or https://"))?;
            let mut builder = Client::builder()
                .timeout(TIMEOUT)
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(redirections());
            if let Some(pem) = authorities {
                let found = Certificate::from_pem_bundle(pem.as_bytes()).ok();
                let found = found.filter(|found| !found.is_empty());
                let none = || invalid("the CA certificates are no PEM certificates");
                builder = builder.tls_certs_only(found.ok_or_else(none)?);
            } else if url.scheme() == "http" {
                // The system's certificates need not be there, nor be parsed.
                builder = builder.tls_certs_only([]);
            }
            let client = builder.build().map_err(unreachable)?;
            let answer = client.get(url).send().await.map_err(unreachable)?;
            let mut answer = answer.error_for_status().map_err(unreachable)?;
            let mut document = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
                if document.len() + chunk.len() > MAX_DOCUMENT {
                    let text = format!("the document has more than {MAX_DOCUMENT} bytes");
                    return Err(FetchError::Unreachable(text));
                }
                document.extend_from_slice(&chunk);
            }
            Ok(document)
        })
    }
}

/// A few, and never from TLS to plain HTTP: what vouches for the document would be gone.
fn redirections() -> Policy {
    Policy::custom(|attempt| {
        let was_safe = attempt.previous().iter().any(|url| url.scheme() == "https");
        if was_safe && attempt.url().scheme() != "https" {
            attempt.error("it redirects from https to http")
        } else if attempt.previous().len() > REDIRECTIONS {
            attempt.error("it redirects too often")
        } else {
            attempt.follow()
        }
    })
}

/// The last cause says most: a refused connection, an unknown authority.
fn unreachable(error: reqwest::Error) -> FetchError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    FetchError::Unreachable(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A server that gives one answer; its address.
    async fn serve(head: &'static str, length: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&vec![b'x'; length]).await;
        });
        format!("http://{address}/keys")
    }

    const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_document_within_the_bound_comes_and_a_longer_one_does_not() {
        let url = serve(OK, MAX_DOCUMENT).await;
        assert_eq!(Web.fetch(&url, None).await.unwrap().len(), MAX_DOCUMENT);
        let url = serve(OK, MAX_DOCUMENT + 1).await;
        assert!(Web.fetch(&url, None).await.is_err());
    }

    #[tokio::test]
    async fn errors_say_whose_they_are() {
        let url = serve("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", 0).await;
        let missing = Web.fetch(&url, None).await;
        assert!(matches!(missing, Err(FetchError::Unreachable(_))));
        for url in ["keys", "file:///keys", ""] {
            let wrong = Web.fetch(url, None).await;
            assert!(matches!(wrong, Err(FetchError::Invalid(_))), "{url}");
        }
        let no_ca = Web.fetch("https://127.0.0.1:1/", Some("x")).await;
        assert!(matches!(no_ca, Err(FetchError::Invalid(_))));
    }
}
