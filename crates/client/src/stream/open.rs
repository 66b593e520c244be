//! [`OpenStream`]: an asynchronous reader that decrypts.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use keyfold_envelope::header::HEADER_LEN;
use keyfold_envelope::{Context, Error, Identity, Opened, Opener};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use super::blocking;
use super::flow::Flow;

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
    flow: Flow<Opener, R>,
}

impl<R> OpenStream<R> {
    /// Around what `input` gives behind the header that `opener` was made of.
    #[must_use]
    pub fn new(opener: Opener, input: R) -> Self {
        Self {
            flow: Flow::new(opener, input),
        }
    }

    /// What was opened, once all of it is read.
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        self.flow.done()
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for OpenStream<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut task::Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().flow.poll(task, out)
    }
}
