//! The body of an answer, and what waits until it was written out.
//!
//! ```text
//!   the body is taken by the HTTP library → its bytes are written → the connection is flushed
//! ```
//!
//! Only after all three does what waits run: an answer that a client gone, or a full pipe, kept here
//! was not told. HTTP/2 takes a body before its peer has room for it, and asks for more once there
//! is: so its body says that it ends when it is asked again.

use std::any::Any;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use keyfold_core::chunks::Chunks;
use keyfold_core::reply::After;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Protocol;
use super::streamed::Streamed;

/// The bytes of an answer.
#[derive(Default)]
pub struct Outgoing {
    data: Bytes,
    /// In their place, what is made while it goes out.
    streamed: Option<Streamed>,
    /// It has nothing more to give.
    ended: bool,
    after: Option<After>,
    written: Option<Arc<Written>>,
}

/// What waits for a connection.
pub struct Written {
    protocol: Protocol,
    any: AtomicBool,
    waiting: Mutex<Vec<Waiting>>,
}

struct Waiting {
    after: After,
    /// Bytes were written since it came.
    wrote: bool,
}

impl Outgoing {
    /// Bytes that nothing waits for.
    pub fn new(data: Vec<u8>) -> Self {
        Self {
            data: data.into(),
            streamed: None,
            ended: false,
            after: None,
            written: None,
        }
    }

    /// What comes piece by piece.
    pub fn streamed(chunks: Box<dyn Chunks>) -> Self {
        let mut body = Self::new(Vec::new());
        body.streamed = Some(Streamed::new(chunks));
        body
    }

    /// Keeps something until the body has gone out. Bytes that are here are as good as gone.
    pub fn hold(&mut self, what: impl Any + Send) {
        if let Some(streamed) = &mut self.streamed {
            streamed.hold(what);
        }
    }

    /// Has something done once they were written out.
    pub fn before(mut self, after: Option<After>) -> Self {
        self.after = after;
        self
    }

    /// They go out by this connection.
    pub fn on(mut self, written: &Arc<Written>) -> Self {
        if self.after.is_some() {
            self.written = Some(Arc::clone(written));
        }
        self
    }

    /// Whether it has to be asked once more before it ends.
    fn is_asked_twice(&self) -> bool {
        let written = self.written.as_ref();
        written.is_some_and(|written| written.protocol == Protocol::Http2)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(streamed) = &mut self.streamed {
            return streamed.poll(context).map_ok(Frame::data);
        }
        if self.data.is_empty() {
            self.ended = true;
            return Poll::Ready(None);
        }
        let data = std::mem::take(&mut self.data);
        self.ended = !self.is_asked_twice();
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.streamed {
            Some(streamed) => streamed.is_over(),
            None => self.ended || self.data.is_empty() && !self.is_asked_twice(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.streamed {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(u64::try_from(self.data.len()).unwrap_or(u64::MAX)),
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let (true, Some(after), Some(written)) =
            (self.ended, self.after.take(), self.written.take())
        {
            written.wait(after);
        }
    }
}

impl Written {
    /// For one connection.
    pub fn new(protocol: Protocol) -> Arc<Self> {
        Arc::new(Self {
            protocol,
            any: AtomicBool::new(false),
            waiting: Mutex::default(),
        })
    }

    fn wait(&self, after: After) {
        // HTTP/1 has all bytes of the answer before it, in one buffer.
        let wrote = self.protocol == Protocol::Http1;
        self.lock().push(Waiting { after, wrote });
        self.any.store(true, Ordering::Release);
    }

    fn wrote(&self) {
        if self.any.load(Ordering::Acquire) {
            self.lock().iter_mut().for_each(|w| w.wrote = true);
        }
    }

    /// Nothing of what was written is left here.
    fn flushed(&self) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut waiting = self.lock();
        let done = waiting.extract_if(.., |w| w.wrote).collect::<Vec<_>>();
        self.any.store(!waiting.is_empty(), Ordering::Release);
        drop(waiting);
        for Waiting { after, .. } in done {
            tokio::spawn(after.run());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        // The list is whole after every operation.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that tells what was written out.
pub struct Telling<I> {
    io: I,
    written: Arc<Written>,
}

impl<I> Telling<I> {
    /// Around a connection.
    pub fn new(io: I, written: Arc<Written>) -> Self {
        Self { io, written }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Telling<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Telling<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.io).poll_write(context, bytes))?;
        self.written.wrote();
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.io).poll_write_vectored(context, buffers))?;
        self.written.wrote();
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(context))?;
        self.written.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::sync::mpsc;

    use super::*;

    /// An answer that a word is waited for, and where that arrives.
    fn answer(protocol: Protocol) -> (Outgoing, Arc<Written>, mpsc::UnboundedReceiver<()>) {
        let (said, heard) = mpsc::unbounded_channel();
        let after = After::new(move || async move { said.send(()).unwrap() });
        let written = Written::new(protocol);
        let body = Outgoing::new(b"body".to_vec()).before(Some(after));
        (body.on(&written), written, heard)
    }

    /// Whether the word comes. That it does not is only known after a while.
    async fn comes(heard: &mut mpsc::UnboundedReceiver<()>) -> bool {
        let word = tokio::time::timeout(Duration::from_millis(200), heard.recv()).await;
        matches!(word, Ok(Some(())))
    }

    #[tokio::test]
    async fn nothing_is_done_before_the_flush() {
        let (mut body, written, mut heard) = answer(Protocol::Http1);
        let mut io = Telling::new(tokio::io::sink(), written);
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(body.is_end_stream());
        drop(body);
        io.write_all(&data).await.unwrap();
        assert!(heard.try_recv().is_err());
        io.flush().await.unwrap();
        assert!(comes(&mut heard).await);
    }

    #[tokio::test]
    async fn a_body_that_nobody_took_was_not_told() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let (body, written, mut heard) = answer(protocol);
            let mut io = Telling::new(tokio::io::sink(), written);
            drop(body);
            io.write_all(b"other").await.unwrap();
            io.flush().await.unwrap();
            assert!(!comes(&mut heard).await);
        }
    }

    #[tokio::test]
    async fn a_connection_that_breaks_told_nothing() {
        let (mut body, written, mut heard) = answer(Protocol::Http1);
        let (near, far) = tokio::io::duplex(1);
        let mut io = Telling::new(near, written);
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop((body, far));
        assert!(io.write_all(&data).await.is_err());
        drop(io);
        assert!(!comes(&mut heard).await);
    }

    #[tokio::test]
    async fn http_2_is_asked_again_once_there_is_room() {
        let (mut body, written, mut heard) = answer(Protocol::Http2);
        let mut io = Telling::new(tokio::io::sink(), written.clone());
        assert!(body.frame().await.unwrap().is_ok());
        assert!(!body.is_end_stream());
        // No room: the stream ends here.
        drop(body);
        io.write_all(b"x").await.unwrap();
        io.flush().await.unwrap();
        assert!(heard.try_recv().is_err());
        let (mut body, written, mut heard) = answer(Protocol::Http2);
        let mut io = Telling::new(tokio::io::sink(), written);
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.frame().await.is_none() && body.is_end_stream());
        drop(body);
        // A flush of what was written before says nothing.
        io.flush().await.unwrap();
        assert!(heard.try_recv().is_err());
        io.write_all(b"end").await.unwrap();
        io.flush().await.unwrap();
        assert!(comes(&mut heard).await);
    }
}
