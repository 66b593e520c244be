//! [`OpenReader`]: a reader that decrypts.

use std::io::{self, ErrorKind, Read};

use zeroize::Zeroizing;

use super::Opener;
use crate::buffer::Buffer;
use crate::cobblestone::CHUNK_LEN;
use crate::context::Context;
use crate::decrypt::Opened;
use crate::error::Error;
use crate::file::{BATCH_PLAIN, BATCH_SEALED};
use crate::header::HEADER_LEN;
use crate::recipient::Identity;
use crate::stream::fill;

/// Decrypts what is read through it from another reader.
///
/// The end is told, by a read of 0 bytes, only where the envelope is whole; one that was cut or damaged ends with an error,
/// which holds an [`Error`] of this crate.
pub struct OpenReader<R> {
    state: State,
    inner: R,
    sealed: Buffer,
    /// Authentic, and not given out before `at`.
    plain: Zeroizing<Vec<u8>>,
    at: usize,
}

enum State {
    Open(Box<Opener>),
    Whole(Opened),
    /// The error, until it is told.
    Failed(Option<Error>),
}

impl<R: Read> OpenReader<R> {
    /// Reads the header and has the DEK unwrapped.
    pub fn new(
        identities: &[&dyn Identity],
        context: &Context,
        mut inner: R,
    ) -> Result<Self, Error> {
        let mut header = [0u8; HEADER_LEN];
        let len = fill(&mut inner, &mut header)?;
        let header = header.get(..len).unwrap_or_default();
        let opener = Opener::new(identities, context, header)?;
        // Room for a batch, the rest of a chunk before it, and no need to grow.
        let room = BATCH_PLAIN.saturating_add(CHUNK_LEN);
        Ok(Self {
            state: State::Open(Box::new(opener)),
            inner,
            sealed: Buffer::new(BATCH_SEALED),
            plain: Zeroizing::new(Vec::with_capacity(room)),
            at: 0,
        })
    }

    /// What was opened, once all of it is read.
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        match &self.state {
            State::Whole(opened) => Some(opened),
            State::Open(_) | State::Failed(_) => None,
        }
    }

    /// Opens what one read of the inner reader gives.
    fn advance(&mut self, mut opener: Box<Opener>) -> io::Result<()> {
        self.plain.clear();
        self.at = 0;
        let len = match self.inner.read(&mut self.sealed) {
            Ok(len) => len,
            Err(error) => {
                // Worth another try, for all we know.
                self.state = State::Open(opener);
                return Err(error);
            }
        };
        let sealed = self.sealed.get(..len).unwrap_or_default();
        let advanced = match len {
            0 => opener.finish(&mut self.plain).map(State::Whole),
            _ => opener
                .push(sealed, &mut self.plain)
                .map(|()| State::Open(opener)),
        };
        // What has authenticated is given out before the error is told.
        self.state = advanced.unwrap_or_else(|error| State::Failed(Some(error)));
        Ok(())
    }
}

impl<R: Read> Read for OpenReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let ready = self.plain.get(self.at..).unwrap_or_default();
            if !ready.is_empty() || out.is_empty() {
                let len = ready.len().min(out.len());
                let (now, place) = (ready.get(..len), out.get_mut(..len));
                place
                    .unwrap_or_default()
                    .copy_from_slice(now.unwrap_or_default());
                self.at = self.at.saturating_add(len);
                return Ok(len);
            }
            match std::mem::replace(&mut self.state, State::Failed(None)) {
                State::Open(opener) => self.advance(opener)?,
                State::Whole(opened) => {
                    self.state = State::Whole(opened);
                    return Ok(0);
                }
                State::Failed(Some(error)) => return Err(error.into()),
                State::Failed(None) => {
                    let words = "the envelope failed to open before";
                    return Err(io::Error::new(ErrorKind::InvalidData, words));
                }
            }
        }
    }
}
