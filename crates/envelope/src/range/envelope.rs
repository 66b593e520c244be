//! [`Envelope`]: an envelope whose key is at hand, read at any place.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bounds::Bounds;
use super::layout::{Layout, chunks_of, part};
use super::source::ReadAt;
use crate::buffer::Buffer;
use crate::cobblestone::{CHUNK_LEN, HEAD_LEN, SEALED_CHUNK_LEN};
use crate::context::Context;
use crate::decrypt::{Opened, report};
use crate::error::Error;
use crate::file::{bad_chunk, input_error};
use crate::header::{HEADER_LEN, Header};
use crate::recipient::Identity;
use crate::unlock::{Unlocked, unlock};

/// An envelope that was unlocked once, to read parts of it.
///
/// It is also a [`Read`](std::io::Read) with [`Seek`](std::io::Seek) over the plaintext. A clone is a second reader with a
/// position and buffers of its own; the DEK is not unwrapped again.
///
/// ```
/// use keyfold_envelope::{
///     Bounds, Context, EncryptOptions, Envelope, MemoryKeys, NoProgress, TransitKey, encrypt_file,
/// };
/// use std::fs::File;
/// use std::io::{Read, Seek, SeekFrom};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let (plain, sealed) = (folder.path().join("log"), folder.path().join("log.kf"));
/// # std::fs::write(&plain, "line one\nline two\n")?;
/// let keys = MemoryKeys::new(); // keyfold_client::TransitKeys, where there is a server
/// let (context, options) = (Context::new(), EncryptOptions::default());
/// let name = "transit/logs".parse()?;
/// let key = TransitKey::new(&keys, &name);
/// encrypt_file(
///     &[&key], &context, &plain, &sealed, &options, &NoProgress,
/// )?;
///
/// let mut envelope = Envelope::open(&[&keys], &context, File::open(&sealed)?)?;
/// let mut word = [0; 4];
/// envelope.read_at(5, &mut word)?;
/// assert_eq!(&word, b"one\n");
///
/// let tail = envelope.range(Bounds::Last(9))?;
/// let mut out = Vec::new();
/// envelope.write_range(tail, &mut out)?;
/// assert_eq!(out, b"line two\n");
///
/// let mut text = String::new();
/// envelope.seek(SeekFrom::Start(14))?;
/// envelope.read_to_string(&mut text)?;
/// assert_eq!(text, "two\n");
/// # Ok(())
/// # }
/// ```
pub struct Envelope<S> {
    shared: Arc<Shared<S>>,
    sealed: Buffer,
    /// Plaintext of the chunk that was opened last.
    chunk: Buffer,
    held: Option<Held>,
    /// Of the reader over all of it.
    pub(super) position: u64,
}

struct Shared<S> {
    source: S,
    layout: Layout,
    header: Header,
    unlocked: Unlocked,
    /// The last chunk authenticated: the length is not a claim any more.
    is_end_proven: AtomicBool,
}

/// What of the chunk buffer is filled.
#[derive(Clone, Copy)]
struct Held {
    number: u64,
    len: usize,
}

impl<S: ReadAt> Envelope<S> {
    /// Reads the header of `source` and has the DEK unwrapped.
    pub fn open(identities: &[&dyn Identity], context: &Context, source: S) -> Result<Self, Error> {
        let size = source.size()?;
        let mut bytes = [0u8; HEADER_LEN];
        let len = usize::try_from(size).unwrap_or(HEADER_LEN).min(HEADER_LEN);
        let start = bytes.get_mut(..len).unwrap_or_default();
        source.read_exact_at(start, 0).map_err(input_error)?;
        let header = Header::parse_prefix(start)?;
        header.attached()?;
        let layout = Layout::new(HEADER_LEN as u64, size)?;
        let unlocked = unlock(identities, &header, context)?;
        Ok(Self::of(Shared {
            source,
            layout,
            header,
            unlocked,
            is_end_proven: AtomicBool::new(false),
        }))
    }

    /// Has the DEK of a detached header unwrapped. `payload` is a message by itself: salt, commitment, chunks.
    pub fn open_detached(
        identities: &[&dyn Identity],
        context: &Context,
        header: &[u8; HEADER_LEN],
        payload: S,
    ) -> Result<Self, Error> {
        let header = Header::parse(header)?;
        header.detached()?;
        let layout = Layout::new(HEAD_LEN as u64, payload.size()?)?;
        let unlocked = unlock(identities, &header, context)?;
        Ok(Self::of(Shared {
            source: payload,
            layout,
            header,
            unlocked,
            is_end_proven: AtomicBool::new(false),
        }))
    }

    fn of(shared: Shared<S>) -> Self {
        Self::around(Arc::new(shared), 0)
    }

    fn around(shared: Arc<Shared<S>>, position: u64) -> Self {
        let batch = shared.source.preferred_len() / SEALED_CHUNK_LEN;
        Self {
            sealed: Buffer::new(batch.max(1).saturating_mul(SEALED_CHUNK_LEN)),
            chunk: Buffer::new(CHUNK_LEN),
            held: None,
            position,
            shared,
        }
    }

    /// Length of the plaintext in bytes. The first call authenticates the last chunk.
    pub fn plaintext_len(&mut self) -> Result<u64, Error> {
        let last = self.shared.layout.last()?;
        if !self.shared.is_end_proven.load(Ordering::Relaxed) {
            self.visit(last..last.saturating_add(1), |_, _| Ok(()))?;
        }
        Ok(self.shared.layout.plaintext())
    }

    /// The bytes that are meant by `bounds`.
    pub fn range(&mut self, bounds: Bounds) -> Result<Range<u64>, Error> {
        match bounds.absolute() {
            Some(range) => Ok(range),
            None => bounds.within(self.plaintext_len()?),
        }
    }

    /// Fills `out` with the plaintext from `offset` on; [`Error::OutOfRange`] where that is not all there. On another
    /// error `out` holds nothing of use.
    pub fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let range = offset..offset.saturating_add(out.len() as u64);
        let mut rest = out;
        self.open_parts(range, |part| {
            let place = rest.split_off_mut(..part.len());
            place.unwrap_or_default().copy_from_slice(part);
            Ok(())
        })
    }

    /// Writes the plaintext of `range` to `out`; [`Error::OutOfRange`], and nothing is written, where that is not all
    /// there. On another error what was written is an authentic beginning of it.
    pub fn write_range(&mut self, range: Range<u64>, out: &mut impl Write) -> Result<(), Error> {
        self.open_parts(range, |part| Ok(out.write_all(part)?))
    }

    /// The report of this opening, of which `plaintext_len` bytes were released.
    pub(super) fn report(&self, plaintext_len: u64) -> Opened {
        report(&self.shared.header, &self.shared.unlocked, plaintext_len)
    }

    /// Bytes of plaintext that the source has room for, proven or not.
    pub(super) fn claimed_len(&self) -> u64 {
        self.shared.layout.plaintext()
    }

    /// Hands the plaintext of `range` to `take`, chunk by chunk.
    fn open_parts(
        &mut self,
        range: Range<u64>,
        mut take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let end = range.end.max(range.start);
        if end > self.claimed_len() {
            // Cut, or asked for too much: the last chunk knows.
            let len = self.plaintext_len()?;
            return Err(Error::OutOfRange { end, len });
        }
        if range.is_empty() {
            return Ok(());
        }
        self.visit(chunks_of(&range), |number, plain| {
            take(part(&range, number, plain))
        })
    }

    /// Opens these chunks in order. The first one may be the one that is held.
    fn visit(
        &mut self,
        mut chunks: Range<u64>,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let Some(held) = self.held.filter(|held| held.number == chunks.start) {
            take(held.number, self.chunk.get(..held.len).unwrap_or_default())?;
            chunks.start = chunks.start.saturating_add(1);
        }
        let shared = &self.shared;
        let layout = &shared.layout;
        let batch = (self.sealed.len() / SEALED_CHUNK_LEN) as u64;
        while !chunks.is_empty() {
            let next = chunks.start..chunks.end.min(chunks.start.saturating_add(batch));
            let len = usize::try_from(layout.sealed(&next)).map_err(|_| Error::TooLong)?;
            let sealed = self.sealed.get_mut(..len).ok_or(Error::TooLong)?;
            let offset = layout.offset(next.start);
            shared
                .source
                .read_exact_at(sealed, offset)
                .map_err(input_error)?;
            chunks.start = next.end;
            for (number, sealed) in next.zip(sealed.chunks(SEALED_CHUNK_LEN)) {
                self.held = None;
                let key = &shared.unlocked.key;
                let opened = key.open_chunk(number, sealed, &mut self.chunk);
                let len = opened.map_err(|_| bad_chunk(key, number, sealed))?;
                self.held = Some(Held { number, len });
                if sealed.len() < SEALED_CHUNK_LEN {
                    shared.is_end_proven.store(true, Ordering::Relaxed);
                }
                take(number, self.chunk.get(..len).unwrap_or_default())?;
            }
        }
        Ok(())
    }
}

impl<S: ReadAt> Clone for Envelope<S> {
    fn clone(&self) -> Self {
        Self::around(Arc::clone(&self.shared), self.position)
    }
}
