//! [`OpenStream`]: an asynchronous reader that decrypts.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use keyfold_envelope::header::HEADER_LEN;
use keyfold_envelope::{Context, Error, Identity, Opened, Opener};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use super::{READ_LEN, Ready, blocking};

/// Reads the header from `input`, has the DEK unwrapped, and gives the reader of the plaintext.
pub async fn open<R: AsyncRead + Unpin>(
    identity: Arc<dyn Identity>,
    context: Context,
    mut input: R,
) -> Result<OpenStream<R>, Error> {
    let mut header = Vec::with_capacity(HEADER_LEN);
    let mut start = (&mut input).take(HEADER_LEN as u64);
    start.read_to_end(&mut header).await?;
    let opener = blocking(move || Opener::new(&[&*identity], &context, &header)).await?;
    Ok(OpenStream::new(opener, input))
}

/// Reads as the plaintext of the envelope that its input gives, each chunk once it has authenticated.
///
/// The end is told only where the envelope is whole; one that was cut or damaged ends with an error, which holds an
/// [`Error`] of the envelope.
pub struct OpenStream<R> {
    state: State,
    input: R,
    sealed: Vec<u8>,
    ready: Ready,
}

enum State {
    Open(Box<Opener>),
    Whole(Opened),
    /// The error, until it is told.
    Failed(Option<Error>),
}

impl<R> OpenStream<R> {
    /// Around what `input` gives behind the header that `opener` was made of.
    #[must_use]
    pub fn new(opener: Opener, input: R) -> Self {
        Self {
            state: State::Open(Box::new(opener)),
            input,
            sealed: vec![0; READ_LEN],
            ready: Ready::new(),
        }
    }

    /// What was opened, once all of it is read.
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        match &self.state {
            State::Whole(opened) => Some(opened),
            State::Open(_) | State::Failed(_) => None,
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for OpenStream<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut task::Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.ready.rest().is_empty() || out.remaining() == 0 {
                this.ready.give(out);
                return Poll::Ready(Ok(()));
            }
            match &mut this.state {
                State::Open(_) => ready!(this.advance(task))?,
                State::Whole(_) => return Poll::Ready(Ok(())),
                State::Failed(error) => {
                    let before = || io::Error::new(ErrorKind::InvalidData, "it failed before");
                    return Poll::Ready(Err(error.take().map_or_else(before, Into::into)));
                }
            }
        }
    }
}

impl<R: AsyncRead + Unpin> OpenStream<R> {
    /// Opens what one read of the input gives.
    fn advance(&mut self, task: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        let mut read = ReadBuf::new(&mut self.sealed);
        ready!(Pin::new(&mut self.input).poll_read(task, &mut read))?;
        let State::Open(mut opener) = std::mem::replace(&mut self.state, State::Failed(None))
        else {
            return Poll::Ready(Ok(()));
        };
        let plain = self.ready.clear();
        let advanced = match read.filled() {
            [] => opener.finish(plain).map(State::Whole),
            sealed => opener.push(sealed, plain).map(|()| State::Open(opener)),
        };
        // What has authenticated is given out before the error is told.
        self.state = advanced.unwrap_or_else(|error| State::Failed(Some(error)));
        Poll::Ready(Ok(()))
    }
}
