//! What is too long to be held: it goes from the server to a sink, or from a file to the server.

use std::fs::File;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};

use crate::{Client, ClientError, Method, Request, Response};

/// Longest time for all of it: how long it takes is a matter of its size.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// Bytes that are read from a file at a time.
const PIECE: usize = 64 * 1024;

/// Why it did not get through.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The server, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The sink or the file of this machine.
    #[error(transparent)]
    Local(#[from] io::Error),
}

impl Client {
    /// Asks, and hands the good answer to `take` as it comes. It is sent once: no redirect is
    /// followed, nothing is repeated.
    ///
    /// # Errors
    ///
    /// As [`Client::request`]; [`ClientError::Unreachable`] where the answer broke off; what `take`
    /// says.
    pub async fn download(
        &self,
        request: &Request,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), TransferError> {
        let url = self.url(request)?;
        let sent = self.start(Method::Get, url).timeout(PATIENCE).send().await;
        let mut answer = sent.map_err(|error| self.unreachable(&error))?;
        if answer.status() != reqwest::StatusCode::OK {
            self.collect(answer).await?.success()?;
            return Err(ClientError::Unreachable {
                address: self.address().to_string(),
                reason: "the answer is not what was asked for".to_owned(),
            }
            .into());
        }
        while let Some(piece) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            take(&piece)?;
        }
        Ok(())
    }

    /// Sends a file, from where it is read to its end, as the body of a request; the good answer.
    ///
    /// # Errors
    ///
    /// As [`Client::request`]; the file's length can't be told.
    pub async fn upload(&self, request: &Request, file: File) -> Result<Response, TransferError> {
        let length = file.metadata()?.len();
        let body = reqwest::Body::wrap(FileBody { file, left: length });
        let sent = self
            .start(request.method(), self.url(request)?)
            .timeout(PATIENCE)
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            )
            .header(CONTENT_LENGTH, HeaderValue::from(length))
            .body(body)
            .send()
            .await;
        let answer = sent.map_err(|error| self.unreachable(&error))?;
        Ok(self.collect(answer).await?.success()?)
    }
}

/// A file, read piece by piece on the thread that sends it: it is on this machine's disk.
struct FileBody {
    file: File,
    left: u64,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let room = usize::try_from(this.left).map_or(PIECE, |left| left.min(PIECE));
        let mut piece = vec![0; room];
        Poll::Ready(Some(match this.file.read(&mut piece) {
            // It has become shorter meanwhile.
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                piece.truncate(read);
                this.left = this.left.saturating_sub(read as u64);
                Ok(Frame::data(piece.into()))
            }
            Err(error) => Err(error),
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;
    use crate::ClientConfig;
    use crate::testing::Answers;

    fn client(address: &str) -> Client {
        Client::new(ClientConfig {
            address: address.to_owned(),
            ..ClientConfig::default()
        })
        .unwrap()
    }

    #[tokio::test]
    async fn a_file_goes_out_whole() {
        let server = Answers::start(&[(204, "")]);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"from the start, to the end").unwrap();
        file.rewind().unwrap();
        let request = Request::new(Method::Post, "sys/snapshot");
        let answer = client(&server.address()).upload(&request, file).await;
        assert_eq!(answer.unwrap().status, 204);
        let asked = server.asked().remove(0);
        assert!(asked.starts_with("POST /v1/sys/snapshot"), "{asked}");
        assert!(asked.ends_with("from the start, to the end"), "{asked}");
    }

    #[tokio::test]
    async fn an_answer_comes_in_pieces_or_is_refused() {
        let server = Answers::start(&[(200, "some bytes"), (403, r#"{"errors":["no"]}"#)]);
        let client = client(&server.address());
        let mut got = Vec::new();
        let take = |piece: &[u8]| {
            got.extend_from_slice(piece);
            Ok(())
        };
        let request = Request::read("sys/snapshot");
        client.download(&request, take).await.unwrap();
        assert_eq!(got, b"some bytes");
        let refused = client.download(&request, |_| Ok(())).await;
        let Err(TransferError::Client(error)) = refused else {
            panic!("it was taken");
        };
        assert_eq!(error.status(), Some(403));
    }

    #[tokio::test]
    async fn an_answer_cut_short_is_an_error() {
        let server = Answers::start_cut_short();
        let broken = client(&server.address())
            .download(&Request::read("x"), |_| Ok(()))
            .await;
        assert!(broken.is_err());
    }
}
