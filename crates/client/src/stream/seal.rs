//! [`SealStream`]: an asynchronous reader that encrypts.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use keyfold_envelope::{
    Context, Encrypted, Error, KeyService, Labels, Locator, Sealer, TransitKey,
};
use keyfold_secret::Secret;
use tokio::io::{AsyncRead, ReadBuf};

use super::{READ_LEN, Ready, blocking};

/// Draws a DEK, has it wrapped by `key`, and gives the reader of the envelope around what `input` gives.
pub async fn seal<R: AsyncRead + Unpin>(
    keys: Arc<dyn KeyService>,
    key: Locator,
    context: Context,
    labels: Labels,
    input: R,
) -> Result<SealStream<R>, Error> {
    let make = move || Sealer::new(&[&TransitKey::new(&*keys, &key)], &context, &labels);
    Ok(SealStream::new(blocking(make).await?, input))
}

/// Reads as the envelope of what its input gives. The envelope is whole when the input has ended; if that fails, or this is
/// not read to its end, it is cut short, and every reader notices.
pub struct SealStream<R> {
    state: State,
    input: R,
    plain: Secret<Vec<u8>>,
    ready: Ready,
}

enum State {
    Open(Box<Sealer>),
    Whole(Encrypted),
    Failed,
}

impl<R> SealStream<R> {
    /// Around what `input` gives, for other recipients. To make a `Sealer` blocks where it asks a server.
    #[must_use]
    pub fn new(sealer: Sealer, input: R) -> Self {
        Self {
            state: State::Open(Box::new(sealer)),
            input,
            plain: Secret::new(vec![0; READ_LEN]),
            ready: Ready::new(),
        }
    }

    /// What was made, once the input has ended.
    #[must_use]
    pub fn encrypted(&self) -> Option<&Encrypted> {
        match &self.state {
            State::Whole(made) => Some(made),
            State::Open(_) | State::Failed => None,
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for SealStream<R> {
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
            match &this.state {
                State::Open(_) => ready!(this.advance(task))?,
                State::Whole(_) => return Poll::Ready(Ok(())),
                State::Failed => {
                    return Poll::Ready(Err(io::Error::other("the envelope failed before")));
                }
            }
        }
    }
}

impl<R: AsyncRead + Unpin> SealStream<R> {
    /// Seals what one read of the input gives.
    fn advance(&mut self, task: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        let mut read = ReadBuf::new(self.plain.expose_mut());
        ready!(Pin::new(&mut self.input).poll_read(task, &mut read))?;
        let State::Open(mut sealer) = std::mem::replace(&mut self.state, State::Failed) else {
            return Poll::Ready(Ok(()));
        };
        let out = self.ready.clear();
        self.state = match read.filled() {
            [] => State::Whole(sealer.finish(out)?),
            plain => {
                sealer.push(plain, out)?;
                State::Open(sealer)
            }
        };
        Poll::Ready(Ok(()))
    }
}
