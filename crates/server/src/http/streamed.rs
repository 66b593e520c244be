//! The body of an answer that is made while it goes out.

use std::any::Any;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use keyfold_core::chunks::Chunks;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Pieces that are made before the client has taken them.
const AHEAD: usize = 4;
/// How long a client may take none. What it reads is held open for it meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pieces, and after the last one a word that it was. Without that word the connection is broken
/// off, so that nobody takes the half for the whole.
pub struct Streamed {
    pieces: Receiver<Option<Bytes>>,
    over: bool,
    held: Option<Box<dyn Any + Send>>,
}

impl Streamed {
    /// What comes, as fast as the client takes it.
    pub fn new(chunks: Box<dyn Chunks>) -> Self {
        let (sender, pieces) = mpsc::channel(AHEAD);
        tokio::spawn(send(chunks, sender));
        Self {
            pieces,
            over: false,
            held: None,
        }
    }

    /// Keeps something until the body has gone out.
    pub fn hold(&mut self, what: impl Any + Send) {
        self.held = Some(Box::new(what));
    }

    /// The last piece has gone out.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The next piece.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(context));
        Poll::Ready(match piece {
            Some(Some(piece)) => Some(Ok(piece)),
            Some(None) => {
                self.over = true;
                None
            }
            None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
        })
    }
}

async fn send(mut chunks: Box<dyn Chunks>, pieces: Sender<Option<Bytes>>) {
    loop {
        let piece = match chunks.next().await {
            Ok(piece) => piece.map(Bytes::from),
            Err(error) => {
                tracing::error!(%error, "an answer broke off");
                return;
            }
        };
        let last = piece.is_none();
        match pieces.send_timeout(piece, PATIENCE).await {
            Ok(()) if last => return,
            Ok(()) => {}
            Err(_) => {
                tracing::warn!("a client did not take an answer to its end");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use http_body_util::BodyExt as _;
    use keyfold_core::Error;

    use super::*;
    use crate::http::outgoing::Outgoing;

    struct Pieces(Vec<Result<Option<Vec<u8>>, Error>>);

    #[async_trait]
    impl Chunks for Pieces {
        async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
            self.0.remove(0)
        }
    }

    fn streamed(pieces: Vec<Result<Option<Vec<u8>>, Error>>) -> Outgoing {
        Outgoing::streamed(Box::new(Pieces(pieces)))
    }

    async fn collected(pieces: Vec<Result<Option<Vec<u8>>, Error>>) -> io::Result<Bytes> {
        streamed(pieces).collect().await.map(|all| all.to_bytes())
    }

    #[tokio::test]
    async fn pieces_go_out_in_order() {
        let pieces = vec![Ok(Some(b"ab".to_vec())), Ok(Some(b"c".to_vec())), Ok(None)];
        assert_eq!(collected(pieces).await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn what_breaks_off_has_no_end() {
        let pieces = vec![Ok(Some(b"ab".to_vec())), Err(Error::Bug("x"))];
        assert!(collected(pieces).await.is_err());
    }

    #[tokio::test]
    async fn what_is_held_goes_with_the_body() {
        let held = std::sync::Arc::new(());
        let mut body = streamed(vec![Ok(None)]);
        body.hold(held.clone());
        assert_eq!(std::sync::Arc::strong_count(&held), 2);
        drop(body);
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
        let mut whole = Outgoing::new(b"x".to_vec());
        whole.hold(held.clone());
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
    }
}
