//! [`Opener`]: an envelope in, authentic plaintext out.

use crate::buffer::Buffer;
use crate::cobblestone::{SEALED_CHUNK_LEN, TAG_LEN};
use crate::context::Context;
use crate::decrypt::{Opened, report};
use crate::error::Error;
use crate::file::bad_chunk;
use crate::header::Header;
use crate::recipient::Identity;
use crate::unlock::{Unlocked, unlock};

/// Opens one envelope that is pushed in. What came out before an error, or before [`Opener::finish`], is an authentic
/// beginning of the plaintext; only `finish` says that it is all of it.
pub struct Opener {
    header: Header,
    unlocked: Unlocked,
    /// What still has to come before the first chunk, because the header says so.
    head: Vec<u8>,
    /// Number of the chunk that is being filled.
    chunk: u64,
    sealed: Buffer,
    sealed_len: usize,
    total: u64,
}

impl Opener {
    /// Has the DEK unwrapped. `header` is the first 4,096 bytes of the envelope
    /// ([`HEADER_LEN`](crate::header::HEADER_LEN)); what follows them is to be pushed.
    pub fn new(
        identities: &[&dyn Identity],
        context: &Context,
        header: &[u8],
    ) -> Result<Self, Error> {
        let header = Header::parse_prefix(header)?;
        header.attached()?;
        Self::of(identities, context, header, Vec::new())
    }

    /// The same for a detached header; all of the payload is to be pushed.
    pub fn detached(
        identities: &[&dyn Identity],
        context: &Context,
        header: &[u8],
    ) -> Result<Self, Error> {
        let header = Header::parse_prefix(header)?;
        header.detached()?;
        let head = header.payload_head().to_vec();
        Self::of(identities, context, header, head)
    }

    fn of(
        identities: &[&dyn Identity],
        context: &Context,
        header: Header,
        head: Vec<u8>,
    ) -> Result<Self, Error> {
        Ok(Self {
            unlocked: unlock(identities, &header, context)?,
            header,
            head,
            chunk: 0,
            sealed: Buffer::new(SEALED_CHUNK_LEN),
            sealed_len: 0,
            total: 0,
        })
    }

    /// Takes bytes of the envelope and appends to `plain` what has authenticated. After an error each further call ends
    /// with it.
    pub fn push(&mut self, mut sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), Error> {
        sealed = self.pass_head(sealed)?;
        loop {
            // A chunk of the whole length is never the last one. One that does not open stays where it is.
            if self.sealed_len == SEALED_CHUNK_LEN {
                self.open(plain)?;
            }
            if sealed.is_empty() {
                return Ok(());
            }
            let room = self.sealed.get_mut(self.sealed_len..).unwrap_or_default();
            let len = room.len().min(sealed.len());
            let (now, later) = sealed.split_at(len);
            room.get_mut(..len).unwrap_or_default().copy_from_slice(now);
            self.sealed_len = self.sealed_len.saturating_add(len);
            sealed = later;
        }
    }

    /// Appends the plaintext of the last chunk. Now the plaintext is whole; an error says that it is not.
    pub fn finish(mut self, plain: &mut Vec<u8>) -> Result<Opened, Error> {
        if !self.head.is_empty() || self.sealed_len < TAG_LEN {
            return Err(Error::Truncated);
        }
        self.open(plain)?;
        Ok(report(&self.header, &self.unlocked, self.total))
    }

    /// Salt and commitment stand before the chunks of a detached payload, and in its header: a payload that belongs to
    /// another header is told here.
    fn pass_head<'a>(&mut self, sealed: &'a [u8]) -> Result<&'a [u8], Error> {
        let len = self.head.len().min(sealed.len());
        let (found, rest) = sealed.split_at(len);
        if !self.head.starts_with(found) {
            return Err(Error::WrongKey);
        }
        self.head.drain(..len);
        Ok(rest)
    }

    fn open(&mut self, plain: &mut Vec<u8>) -> Result<(), Error> {
        let sealed = self.sealed.get(..self.sealed_len).unwrap_or_default();
        let start = plain.len();
        let end = start.saturating_add(sealed.len().saturating_sub(TAG_LEN));
        plain.resize(end, 0);
        let place = plain.get_mut(start..).unwrap_or_default();
        if self
            .unlocked
            .key
            .open_chunk(self.chunk, sealed, place)
            .is_err()
        {
            plain.truncate(start);
            return Err(bad_chunk(&self.unlocked.key, self.chunk, sealed));
        }
        self.total = self.total.saturating_add(end.saturating_sub(start) as u64);
        self.chunk = self.chunk.saturating_add(1);
        self.sealed_len = 0;
        Ok(())
    }
}
