//! [`Sealer`]: plaintext in, an envelope out.

use crate::buffer::Buffer;
use crate::cobblestone::{CHUNK_LEN, TAG_LEN};
use crate::context::Context;
use crate::encrypt::{Encrypted, SealedHeader, seal_header, seal_prelude};
use crate::error::Error;
use crate::header::{HEADER_LEN, Prelude};
use crate::labels::Labels;
use crate::recipient::Recipient;

/// Makes one envelope of the plaintext that is pushed in. Without [`Sealer::finish`] what came out is no whole envelope,
/// and every reader notices.
pub struct Sealer {
    sealed: SealedHeader,
    /// What comes before the first chunk, until it is out.
    head: Vec<u8>,
    /// Number of the chunk that is being filled.
    chunk: u64,
    plain: Buffer,
    plain_len: usize,
    total: u64,
}

impl Sealer {
    /// Draws a DEK and has it wrapped.
    pub fn new(
        recipients: &[&dyn Recipient],
        context: &Context,
        labels: &Labels,
    ) -> Result<Self, Error> {
        let sealed = seal_header(recipients, context, labels)?;
        let head = sealed.header.encode().to_vec();
        Ok(Self::of(sealed, head))
    }

    /// The same, of which the payload comes out alone, for an object of its own. [`Sealer::header`] is to be kept beside
    /// it, where rewrapping changes it.
    pub fn detached(
        recipients: &[&dyn Recipient],
        context: &Context,
        labels: &Labels,
    ) -> Result<Self, Error> {
        let prelude = Prelude::new(keyfold_keys::rng::bytes(), context, labels)?.detached();
        let sealed = seal_prelude(recipients, prelude)?;
        let head = sealed.header.payload_head().to_vec();
        Ok(Self::of(sealed, head))
    }

    pub(super) fn of(sealed: SealedHeader, head: Vec<u8>) -> Self {
        Self {
            sealed,
            head,
            chunk: 0,
            plain: Buffer::new(CHUNK_LEN),
            plain_len: 0,
            total: 0,
        }
    }

    /// The header, which is the beginning of what comes out unless it is detached.
    #[must_use]
    pub fn header(&self) -> [u8; HEADER_LEN] {
        self.sealed.header.encode()
    }

    /// Takes plaintext and appends to `out` what of the envelope is ready.
    pub fn push(&mut self, mut plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        out.append(&mut self.head);
        while !plain.is_empty() {
            let room = self.plain.get_mut(self.plain_len..).unwrap_or_default();
            let len = room.len().min(plain.len());
            let (now, later) = plain.split_at(len);
            room.get_mut(..len).unwrap_or_default().copy_from_slice(now);
            self.plain_len = self.plain_len.saturating_add(len);
            plain = later;
            // A chunk of the whole length is never the last one.
            if self.plain_len == CHUNK_LEN {
                self.seal(out)?;
            }
        }
        Ok(())
    }

    /// Appends the last chunk to `out`. Now the envelope is whole.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Encrypted, Error> {
        out.append(&mut self.head);
        self.seal(out)?;
        self.sealed.report(self.total)
    }

    fn seal(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let plain = self.plain.get(..self.plain_len).unwrap_or_default();
        let start = out.len();
        out.resize(start.saturating_add(plain.len()).saturating_add(TAG_LEN), 0);
        let place = out.get_mut(start..).unwrap_or_default();
        let sealed = self.sealed.key.seal_chunk(self.chunk, plain, place);
        if sealed.is_err() {
            out.truncate(start);
            return Err(Error::TooLong);
        }
        self.total = self.total.saturating_add(self.plain_len as u64);
        self.chunk = self.chunk.saturating_add(1);
        self.plain_len = 0;
        Ok(())
    }
}
