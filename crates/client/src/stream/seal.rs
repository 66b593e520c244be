//! [`SealStream`]: an asynchronous reader that encrypts.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use keyfold_envelope::{
    Context, Encrypted, Error, KeyService, Labels, Locator, Sealer, TransitKey,
};
use tokio::io::{AsyncRead, ReadBuf};

use super::blocking;
use super::flow::Flow;

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
    flow: Flow<Sealer, R>,
}

impl<R> SealStream<R> {
    /// Around what `input` gives, for other recipients. To make a `Sealer` blocks where it asks a server.
    #[must_use]
    pub fn new(sealer: Sealer, input: R) -> Self {
        Self {
            flow: Flow::new(sealer, input),
        }
    }

    /// What was made, once the input has ended.
    #[must_use]
    pub fn encrypted(&self) -> Option<&Encrypted> {
        self.flow.done()
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for SealStream<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut task::Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().flow.poll(task, out)
    }
}
