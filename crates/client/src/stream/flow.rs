//! [`Flow`]: what sealing and opening a stream have in common: a reader that makes what it gives out of what it reads.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{self, Poll, ready};

use keyfold_envelope::{Encrypted, Error, Opened, Opener, Sealer};
use keyfold_secret::Secret;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes asked for at once.
const READ_LEN: usize = 1 << 16;

/// What is done to a stream.
pub(super) trait Work: Sized {
    /// What is known when all of it was done.
    type Done;

    /// Takes the next piece of the input, and appends what comes of it.
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error>;

    /// The input has ended: appends what is left.
    fn finish(self, out: &mut Vec<u8>) -> Result<Self::Done, Error>;
}

impl Work for Sealer {
    type Done = Encrypted;

    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        Self::push(self, piece, out)
    }

    fn finish(self, out: &mut Vec<u8>) -> Result<Encrypted, Error> {
        Self::finish(self, out)
    }
}

impl Work for Opener {
    type Done = Opened;

    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        Self::push(self, piece, out)
    }

    fn finish(self, out: &mut Vec<u8>) -> Result<Opened, Error> {
        Self::finish(self, out)
    }
}

/// An input, and the work on it.
pub(super) struct Flow<W: Work, R> {
    state: State<W>,
    input: R,
    /// One of what is read and what is made is plaintext.
    piece: Secret<Vec<u8>>,
    ready: Ready,
}

enum State<W: Work> {
    Running(Box<W>),
    Whole(W::Done),
    /// The error, until it is told.
    Failed(Option<Error>),
}

impl<W: Work, R> Flow<W, R> {
    pub(super) fn new(work: W, input: R) -> Self {
        Self {
            state: State::Running(Box::new(work)),
            input,
            piece: Secret::new(vec![0; READ_LEN]),
            ready: Ready::new(),
        }
    }

    /// What is known, once all of the input was read.
    pub(super) fn done(&self) -> Option<&W::Done> {
        match &self.state {
            State::Whole(done) => Some(done),
            State::Running(_) | State::Failed(_) => None,
        }
    }
}

impl<W: Work, R: AsyncRead + Unpin> Flow<W, R> {
    pub(super) fn poll(
        &mut self,
        task: &mut task::Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.ready.rest().is_empty() || out.remaining() == 0 {
                self.ready.give(out);
                return Poll::Ready(Ok(()));
            }
            match &mut self.state {
                State::Running(_) => ready!(self.advance(task))?,
                State::Whole(_) => return Poll::Ready(Ok(())),
                State::Failed(error) => {
                    let before = || io::Error::new(ErrorKind::InvalidData, "it failed before");
                    return Poll::Ready(Err(error.take().map_or_else(before, Into::into)));
                }
            }
        }
    }

    /// Does what one read of the input gives to do.
    fn advance(&mut self, task: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        let mut read = ReadBuf::new(self.piece.expose_mut());
        ready!(Pin::new(&mut self.input).poll_read(task, &mut read))?;
        let State::Running(mut work) = std::mem::replace(&mut self.state, State::Failed(None))
        else {
            return Poll::Ready(Ok(()));
        };
        let out = self.ready.clear();
        let advanced = match read.filled() {
            [] => work.finish(out).map(State::Whole),
            piece => work.push(piece, out).map(|()| State::Running(work)),
        };
        // What is good, what has authenticated, is given out before the error is told.
        self.state = advanced.unwrap_or_else(|error| State::Failed(Some(error)));
        Poll::Ready(Ok(()))
    }
}

/// Bytes that are ready, and given out before the next ones are made.
struct Ready {
    bytes: Secret<Vec<u8>>,
    at: usize,
}

impl Ready {
    fn new() -> Self {
        // Room for what one read gives, with the rest of a chunk and the header before it: it need not grow, and what it
        // holds may be plaintext.
        Self {
            bytes: Secret::new(Vec::with_capacity(2 * READ_LEN)),
            at: 0,
        }
    }

    /// What is left.
    fn rest(&self) -> &[u8] {
        self.bytes.expose().get(self.at..).unwrap_or_default()
    }

    /// Gives out as much as there is room for.
    fn give(&mut self, out: &mut ReadBuf<'_>) {
        let len = self.rest().len().min(out.remaining());
        out.put_slice(self.rest().get(..len).unwrap_or_default());
        self.at = self.at.saturating_add(len);
    }

    /// Nothing yet, to be filled.
    fn clear(&mut self) -> &mut Vec<u8> {
        self.at = 0;
        let bytes = self.bytes.expose_mut();
        bytes.clear();
        bytes
    }
}
