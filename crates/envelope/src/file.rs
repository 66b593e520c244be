//! Payloads from file to file: workers take batches in order, each at its own place in both files.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::buffer::Buffer;
use crate::cobblestone::{
    CHUNK_LEN, Finding, PayloadKey, SEALED_CHUNK_LEN, TAG_LEN, diagnose, plaintext_len, sealed_len,
};
use crate::error::Error;
use crate::header::HEADER_LEN;
use crate::output::Output;
use crate::progress::Progress;

/// Chunks of a batch. 16 chunks sealed are 262,400 bytes: small enough for both copies to stay in
/// a core's cache between the system calls.
pub(crate) const BATCH_CHUNKS: usize = 16;
/// Plaintext bytes of a whole batch.
pub(crate) const BATCH_PLAIN: usize = BATCH_CHUNKS * CHUNK_LEN;
/// Sealed bytes of a whole batch.
pub(crate) const BATCH_SEALED: usize = BATCH_CHUNKS * SEALED_CHUNK_LEN;

/// Seals `len` bytes of `input` behind the header of `output`; the header itself is not written.
pub(crate) fn encrypt(
    key: &PayloadKey,
    input: &File,
    output: &Output,
    len: u64,
    workers: usize,
    progress: &dyn Progress,
) -> Result<u64, Error> {
    let sealed = sealed_len(len).ok_or(Error::TooLong)?;
    output.set_len(sealed.saturating_add(HEADER_LEN as u64))?;
    // The last batch holds the last chunk, which is empty when the length is a whole number of
    // chunks: so there is always one batch more than whole ones.
    let batches = (len / BATCH_PLAIN as u64).saturating_add(1);
    in_parallel(workers, batches, sealed, |batch, buffers| {
        let at = batch.saturating_mul(BATCH_PLAIN as u64);
        let plain = prefix_mut(&mut buffers.plain, len.saturating_sub(at));
        input.read_exact_at(plain, at).map_err(input_error)?;
        let is_last = batch.saturating_add(1) == batches;
        let sealed = seal_batch(key, first_chunk(batch), plain, is_last, &mut buffers.sealed)?;
        output.write_all_at(sealed, payload_offset(batch))?;
        progress.advance(plain.len() as u64);
        Ok(())
    })?;
    if input.metadata()?.len() != len {
        return Err(Error::InputChanged);
    }
    Ok(len)
}

/// Opens the `sealed_len` bytes behind the header of `input` into `output`; without an output they
/// are only checked. The error is that of the first bad chunk, whichever worker meets one first.
pub(crate) fn decrypt(
    key: &PayloadKey,
    input: &File,
    output: Option<&Output>,
    sealed_len: u64,
    workers: usize,
    progress: &dyn Progress,
) -> Result<u64, Error> {
    if let (Some(output), Some(len)) = (output, plaintext_len(sealed_len)) {
        output.set_len(len)?;
    }
    let batches = (sealed_len / BATCH_SEALED as u64).saturating_add(1);
    let total = AtomicU64::new(0);
    in_parallel(workers, batches, sealed_len, |batch, buffers| {
        let at = batch.saturating_mul(BATCH_SEALED as u64);
        let sealed = prefix_mut(&mut buffers.sealed, sealed_len.saturating_sub(at));
        input
            .read_exact_at(sealed, payload_offset(batch))
            .map_err(input_error)?;
        let is_last = batch.saturating_add(1) == batches;
        let opened = open_batch(key, first_chunk(batch), sealed, is_last, &mut buffers.plain);
        if let Some(error) = opened.error {
            return Err(error);
        }
        if let Some(output) = output {
            output.write_all_at(opened.plain, batch.saturating_mul(BATCH_PLAIN as u64))?;
        }
        total.fetch_add(opened.plain.len() as u64, Ordering::Relaxed);
        progress.advance(opened.plain.len() as u64);
        Ok(())
    })?;
    Ok(total.into_inner())
}

/// Opens the `sealed_len` bytes behind the header of `input` and seals them again, under another
/// key, behind that of `output`. Lengths and places stay the same. `stop` is asked between batches.
pub(crate) fn reencrypt(
    old: &PayloadKey,
    new: &PayloadKey,
    input: &File,
    output: &Output,
    sealed_len: u64,
    workers: usize,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<(), Error> {
    output.set_len(sealed_len.saturating_add(HEADER_LEN as u64))?;
    let batches = (sealed_len / BATCH_SEALED as u64).saturating_add(1);
    in_parallel(workers, batches, sealed_len, |batch, buffers| {
        if stop() {
            return Err(Error::Interrupted);
        }
        let at = batch.saturating_mul(BATCH_SEALED as u64);
        let sealed = prefix_mut(&mut buffers.sealed, sealed_len.saturating_sub(at));
        input
            .read_exact_at(sealed, payload_offset(batch))
            .map_err(input_error)?;
        let is_last = batch.saturating_add(1) == batches;
        let first = first_chunk(batch);
        let opened = open_batch(old, first, sealed, is_last, &mut buffers.plain);
        if let Some(error) = opened.error {
            return Err(error);
        }
        let sealed = seal_batch(new, first, opened.plain, is_last, &mut buffers.sealed)?;
        Ok(output.write_all_at(sealed, payload_offset(batch))?)
    })
}

/// Seals whole chunks, from the one of number `first` on, into the first bytes of `sealed`, and returns
/// those: for who carries a payload to its place in parts. The last part also holds the last chunk,
/// which is short or empty.
pub fn seal_batch<'a>(
    key: &PayloadKey,
    first: u64,
    plain: &[u8],
    is_last: bool,
    sealed: &'a mut [u8],
) -> Result<&'a [u8], Error> {
    let (full, rest) = plain.as_chunks::<CHUNK_LEN>();
    debug_assert!(is_last || rest.is_empty(), "only the last chunk is short");
    let last = is_last.then_some(rest);
    let mut len = 0usize;
    for (index, chunk) in (first..).zip(full.iter().map(|chunk| &chunk[..]).chain(last)) {
        let end = len.saturating_add(chunk.len()).saturating_add(TAG_LEN);
        let place = sealed.get_mut(len..end).ok_or(Error::TooLong)?;
        key.seal_chunk(index, chunk, place)
            .map_err(|_| Error::TooLong)?;
        len = end;
    }
    Ok(sealed.get(..len).unwrap_or_default())
}

/// Plaintext of one batch up to its first bad chunk, and what is wrong there.
pub struct OpenedBatch<'a> {
    /// Authentic bytes.
    pub plain: &'a [u8],
    /// Why there are no more.
    pub error: Option<Error>,
}

/// Opens whole chunks, from the one of number `first` on, into the first bytes of `plain`, which is as
/// long as `sealed`: for who brings a payload in parts. The last part also holds the last chunk.
pub fn open_batch<'a>(
    key: &PayloadKey,
    first: u64,
    sealed: &[u8],
    is_last: bool,
    plain: &'a mut [u8],
) -> OpenedBatch<'a> {
    let (full, rest) = sealed.as_chunks::<SEALED_CHUNK_LEN>();
    let last = is_last.then_some(rest);
    let mut len = 0usize;
    let mut error = None;
    for (index, chunk) in (first..).zip(full.iter().map(|chunk| &chunk[..]).chain(last)) {
        if chunk.len() < TAG_LEN {
            error = Some(Error::Truncated);
            break;
        }
        match key.open_chunk(index, chunk, plain.get_mut(len..).unwrap_or_default()) {
            Ok(opened) => len = len.saturating_add(opened),
            Err(_) => {
                error = Some(bad_chunk(key, index, chunk));
                break;
            }
        }
    }
    OpenedBatch {
        plain: plain.get(..len).unwrap_or_default(),
        error,
    }
}

/// Names what is wrong with a chunk that did not authenticate.
pub(crate) fn bad_chunk(key: &PayloadKey, chunk: u64, sealed: &[u8]) -> Error {
    match diagnose(key, chunk, sealed) {
        Finding::EndsEarlier => Error::TrailingBytes,
        Finding::Belongs(belongs) => Error::MisplacedChunk { chunk, belongs },
        // A short chunk is the last one: it was changed, or it is the rest of a longer one.
        Finding::Corrupt if sealed.len() < SEALED_CHUNK_LEN => Error::EndDamaged { chunk },
        Finding::Corrupt => Error::CorruptChunk { chunk },
    }
}

/// What one worker reads and writes with.
struct Buffers {
    plain: Buffer,
    sealed: Buffer,
}

impl Buffers {
    /// Room for one batch, or for all of a payload that is shorter.
    fn new(sealed_len: u64) -> Self {
        let len = usize::try_from(sealed_len).unwrap_or(usize::MAX);
        Self {
            plain: Buffer::new(len.min(BATCH_PLAIN)),
            sealed: Buffer::new(len.min(BATCH_SEALED)),
        }
    }
}

/// Runs `work` for each batch number below `batches`. Batches are taken in ascending order and every
/// batch that was taken is finished, so that the lowest failing one is always the one reported.
fn in_parallel(
    workers: usize,
    batches: u64,
    sealed_len: u64,
    work: impl Fn(u64, &mut Buffers) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let next = AtomicU64::new(0);
    let failure: Mutex<Option<(u64, Error)>> = Mutex::new(None);
    let run = || {
        let mut buffers = Buffers::new(sealed_len);
        loop {
            let batch = next.fetch_add(1, Ordering::Relaxed);
            if batch >= batches {
                return;
            }
            if let Err(error) = work(batch, &mut buffers) {
                next.fetch_max(batches, Ordering::Relaxed);
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                if failure
                    .as_ref()
                    .is_none_or(|(earliest, _)| batch < *earliest)
                {
                    *failure = Some((batch, error));
                }
                return;
            }
        }
    };
    let workers = u64::try_from(workers).unwrap_or(u64::MAX).min(batches);
    thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(run);
        }
        run();
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// The number of threads to use: what was asked for, else one a core.
pub(crate) fn worker_count(asked: Option<NonZeroUsize>) -> usize {
    asked
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get)
}

fn first_chunk(batch: u64) -> u64 {
    batch.saturating_mul(BATCH_CHUNKS as u64)
}

fn payload_offset(batch: u64) -> u64 {
    batch
        .saturating_mul(BATCH_SEALED as u64)
        .saturating_add(HEADER_LEN as u64)
}

fn prefix_mut(buffer: &mut [u8], len: u64) -> &mut [u8] {
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(buffer.len());
    buffer.get_mut(..len).unwrap_or_default()
}

/// An input that ends early was cut while it was read.
pub(crate) fn input_error(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => Error::InputChanged,
        _ => Error::Io(error),
    }
}
