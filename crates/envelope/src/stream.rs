//! Payloads from pipe to pipe: one reader, some workers, one ordered writer, and a fixed number of
//! batches that go round between them.
//!
//! ```text
//!            free batches ◄──────────────────────────┐
//!                 │                                   │
//! input ─► reader ┴─► to do ─► worker … worker ─► done ─► writer, in order ─► output
//! ```
//!
//! A batch is half a MiB (plaintext and sealed), so [`MAX_BATCHES`] of them stay far below 64 MiB.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::buffer::Buffer;
use crate::cobblestone::PayloadKey;
use crate::error::Error;
use crate::file::{BATCH_CHUNKS, BATCH_PLAIN, BATCH_SEALED, open_batch, seal_batch};
use crate::progress::Progress;

/// Most batches in memory at once.
const MAX_BATCHES: usize = 12;
/// Most workers: one core's worth of sealing is faster than a pipe already.
const MAX_WORKERS: usize = 8;

/// Seals everything `input` gives. Returns the plaintext's length.
pub(crate) fn encrypt(
    key: &PayloadKey,
    input: impl Read + Send,
    output: impl Write,
    workers: usize,
    progress: &dyn Progress,
) -> Result<u64, Error> {
    run(Direction::Encrypt, key, input, output, workers, progress)
}

/// Opens everything `input` gives behind the header. Returns the plaintext's length.
pub(crate) fn decrypt(
    key: &PayloadKey,
    input: impl Read + Send,
    output: impl Write,
    workers: usize,
    progress: &dyn Progress,
) -> Result<u64, Error> {
    run(Direction::Decrypt, key, input, output, workers, progress)
}

/// Reads until `buffer` is full or the input ends; returns how many bytes.
pub(crate) fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0usize;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(read) => len = len.saturating_add(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Encrypt,
    Decrypt,
}

/// One part of the payload on its way round.
struct Batch {
    number: u64,
    is_last: bool,
    plain: Buffer,
    plain_len: usize,
    sealed: Buffer,
    sealed_len: usize,
    /// What is wrong behind the bytes that are ready.
    error: Option<Error>,
}

impl Batch {
    fn new() -> Self {
        Self {
            number: 0,
            is_last: false,
            plain: Buffer::new(BATCH_PLAIN),
            plain_len: 0,
            sealed: Buffer::new(BATCH_SEALED),
            sealed_len: 0,
            error: None,
        }
    }

    /// The reader's part. A batch that is not full is the last one.
    fn read(&mut self, direction: Direction, number: u64, input: &mut impl Read) {
        let (buffer, len) = match direction {
            Direction::Encrypt => (&mut *self.plain, &mut self.plain_len),
            Direction::Decrypt => (&mut *self.sealed, &mut self.sealed_len),
        };
        self.number = number;
        self.error = None;
        match fill(input, buffer) {
            Ok(read) => *len = read,
            Err(error) => {
                *len = 0;
                self.error = Some(error.into());
            }
        }
        self.is_last = *len < buffer.len();
    }

    /// A worker's part.
    fn work(&mut self, direction: Direction, key: &PayloadKey) {
        if self.error.is_some() {
            return;
        }
        let first = self.number.saturating_mul(BATCH_CHUNKS as u64);
        match direction {
            Direction::Encrypt => {
                let plain = self.plain.get(..self.plain_len).unwrap_or_default();
                match seal_batch(key, first, plain, self.is_last, &mut self.sealed) {
                    Ok(sealed) => self.sealed_len = sealed.len(),
                    Err(error) => self.error = Some(error),
                }
            }
            Direction::Decrypt => {
                let sealed = self.sealed.get(..self.sealed_len).unwrap_or_default();
                let opened = open_batch(key, first, sealed, self.is_last, &mut self.plain);
                self.plain_len = opened.plain.len();
                self.error = opened.error;
            }
        }
    }

    /// The writer's part: what is ready, then what is wrong behind it.
    fn write(&mut self, direction: Direction, output: &mut impl Write) -> Result<(), Error> {
        let ready = match (direction, &self.error) {
            (Direction::Encrypt, None) => self.sealed.get(..self.sealed_len),
            (Direction::Encrypt, Some(_)) => None,
            // Only chunks that authenticated are counted in `plain_len`.
            (Direction::Decrypt, Some(Error::Io(_))) => None,
            (Direction::Decrypt, _) => self.plain.get(..self.plain_len),
        };
        output.write_all(ready.unwrap_or_default())?;
        self.error.take().map_or(Ok(()), Err)
    }
}

fn run(
    direction: Direction,
    key: &PayloadKey,
    input: impl Read + Send,
    mut output: impl Write,
    workers: usize,
    progress: &dyn Progress,
) -> Result<u64, Error> {
    let workers = workers.clamp(1, MAX_WORKERS);
    let batches = workers.saturating_add(4).min(MAX_BATCHES);
    // Each channel has room for all batches: nobody waits but for a batch to come.
    let (to_free, free) = sync_channel::<Batch>(batches);
    let (to_work, work) = sync_channel::<Batch>(batches);
    let (to_done, done) = sync_channel::<Batch>(batches);
    let work = Mutex::new(work);
    thread::scope(|scope| {
        scope.spawn(move || read_all(direction, input, batches, &free, &to_work));
        for _ in 0..workers {
            let (work, to_done) = (&work, to_done.clone());
            scope.spawn(move || {
                loop {
                    let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(mut batch) = next else { return };
                    batch.work(direction, key);
                    if to_done.send(batch).is_err() {
                        return;
                    }
                }
            });
        }
        drop(to_done);
        // Its end drops `done` and `to_free`: the reader gets no free batch and stops, and the
        // workers no work.
        write_all(direction, done, to_free, &mut output, progress)
    })
}

/// Reads until the input ends, fails, or nobody hands out free batches any more.
fn read_all(
    direction: Direction,
    mut input: impl Read,
    batches: usize,
    free: &Receiver<Batch>,
    to_work: &SyncSender<Batch>,
) {
    let mut made = 0usize;
    for number in 0u64.. {
        let next = if made < batches {
            free.try_recv().ok()
        } else {
            free.recv().ok()
        };
        let mut batch = match next {
            Some(batch) => batch,
            // A short input never needs them all.
            None if made < batches => {
                made = made.saturating_add(1);
                Batch::new()
            }
            None => return,
        };
        batch.read(direction, number, &mut input);
        let is_end = batch.is_last || batch.error.is_some();
        if to_work.send(batch).is_err() || is_end {
            return;
        }
    }
}

/// Writes batches in order until the last one or the first error.
fn write_all(
    direction: Direction,
    done: Receiver<Batch>,
    to_free: SyncSender<Batch>,
    output: &mut impl Write,
    progress: &dyn Progress,
) -> Result<u64, Error> {
    let mut early = BTreeMap::new();
    let mut total = 0u64;
    for number in 0u64.. {
        let mut batch = loop {
            if let Some(batch) = early.remove(&number) {
                break batch;
            }
            let Ok(batch) = done.recv() else {
                // A worker ended without its batch: it panicked, and the scope reports that.
                return Err(Error::Io(ErrorKind::BrokenPipe.into()));
            };
            early.insert(batch.number, batch);
        };
        batch.write(direction, output)?;
        total = total.saturating_add(batch.plain_len as u64);
        progress.advance(batch.plain_len as u64);
        if batch.is_last {
            break;
        }
        // The reader may be gone already.
        let _ = to_free.send(batch);
    }
    Ok(total)
}
