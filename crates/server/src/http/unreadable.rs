//! The answer to what can't be read as a request.
//!
//! The HTTP library refuses a malformed head by itself: 400, closed, and not a word. Every other
//! refusal of this server has a body that says why, and clients look for it there; so the bare
//! answer is replaced on its way out. Answers of ours always have a body, so none is mistaken.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const BARE: &[u8] = b"HTTP/1.1 400 Bad Request\r\n";
const NO_BODY: &[u8] = b"content-length: 0\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: application/json\r\n\
    cache-control: no-store\r\n\
    connection: close\r\n\
    content-length: 98\r\n\r\n\
    {\"errors\":[\"malformed request: invalid method, path, header name or invalid header value in it\"]}\n";

/// A connection whose bare refusals get a body.
pub struct Unreadable<I> {
    io: I,
    /// What is left of the answer that goes out in the place of a bare one.
    rest: Option<&'static [u8]>,
}

impl<I> Unreadable<I> {
    /// Around a connection.
    pub fn new(io: I) -> Self {
        Self { io, rest: None }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Unreadable<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Unreadable<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !is_bare(bytes) {
            return Pin::new(&mut self.io).poll_write(context, bytes);
        }
        let mut rest = self.rest.unwrap_or(ANSWER);
        while !rest.is_empty() {
            match Pin::new(&mut self.io).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => rest = rest.get(written..).unwrap_or_default(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.rest = Some(rest);
                    return Poll::Pending;
                }
            }
        }
        self.rest = None;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match buffers.first() {
            Some(first) if is_bare(first) => self.poll_write(context, first),
            _ => Pin::new(&mut self.io).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// The library's own 400: a head, and nothing after it.
fn is_bare(bytes: &[u8]) -> bool {
    bytes.starts_with(BARE)
        && bytes.ends_with(b"\r\n\r\n")
        && bytes.windows(NO_BODY.len()).any(|window| window == NO_BODY)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIBRARY: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";

    async fn through(bytes: &[u8], room: usize) -> String {
        let (near, mut far) = duplex(room);
        let bytes = bytes.to_vec();
        let writer = tokio::spawn(async move {
            let mut near = Unreadable::new(near);
            near.write_all(&bytes).await.unwrap();
            near.shutdown().await.unwrap();
        });
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        writer.await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_bare_refusal_gets_a_body_whatever_the_pieces_it_leaves_in() {
        for room in [7, 4096] {
            let text = through(LIBRARY, room).await;
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(
                head.contains(&format!("content-length: {}", body.len())),
                "{text}"
            );
            assert!(body.contains("invalid header value"), "{body}");
        }
    }

    #[tokio::test]
    async fn every_other_answer_goes_as_it_is() {
        for answer in [
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 13\r\n\r\n{\"errors\":[]}",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
        ] {
            assert_eq!(through(answer.as_bytes(), 4096).await, answer);
        }
    }
}
