//! Opening envelopes. No byte is released before its chunk is authenticated, and a file appears
//! under its name only when all of it is.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use crate::context::Context;
use crate::error::Error;
use crate::header::{HEADER_LEN, Header};
use crate::key_service::KeyService;
use crate::locator::Locator;
use crate::output::Output;
use crate::progress::Progress;
use crate::unlock::{Unlocked, unlock};
use crate::{file, stream};

/// How to decrypt.
#[derive(Clone, Debug, Default)]
pub struct DecryptOptions {
    /// Replace an output that exists.
    pub overwrite: bool,
    /// Threads; as many as the machine has cores where `None`.
    pub workers: Option<NonZeroUsize>,
}

/// What was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of plaintext.
    pub plaintext_len: u64,
    /// The KEK whose wrap opened it.
    pub locator: Locator,
    /// The version of that KEK.
    pub version: u32,
    /// Slots that are damaged, although another one opened the file: it should be rewrapped.
    pub damaged_slots: usize,
}

/// Decrypts a file into a file, in parallel. On any error no output appears.
pub fn decrypt_file(
    service: &dyn KeyService,
    context: &Context,
    input: &Path,
    output: &Path,
    options: &DecryptOptions,
    progress: &dyn Progress,
) -> Result<Opened, Error> {
    let mut source = File::open(input)?;
    let metadata = source.metadata()?;
    let header = read_header(&mut source)?;
    let target = Output::create(output, options.overwrite)?;
    let unlocked = unlock(service, &header, context)?;
    let workers = file::worker_count(options.workers);
    let (plaintext_len, permissions) = if metadata.is_file() {
        let sealed_len = metadata.len().saturating_sub(HEADER_LEN as u64);
        progress.total(crate::cobblestone::plaintext_len(sealed_len).unwrap_or(sealed_len));
        let out = Some(target.file());
        let len = file::decrypt(&unlocked.key, &source, out, sealed_len, workers, progress)?;
        (len, Some(metadata.permissions()))
    } else {
        (
            stream::decrypt(&unlocked.key, source, target.file(), workers, progress)?,
            None,
        )
    };
    target.publish(permissions)?;
    Ok(report(&header, unlocked, plaintext_len))
}

/// Decrypts a stream into a stream, in constant memory. Chunks are written as they authenticate,
/// so on an error what was written is an authentic beginning of the plaintext and no more.
pub fn decrypt_stream(
    service: &dyn KeyService,
    context: &Context,
    mut input: impl Read + Send,
    mut output: impl Write,
    options: &DecryptOptions,
    progress: &dyn Progress,
) -> Result<Opened, Error> {
    let header = read_header(&mut input)?;
    let unlocked = unlock(service, &header, context)?;
    let workers = file::worker_count(options.workers);
    let plaintext_len = stream::decrypt(&unlocked.key, input, &mut output, workers, progress)?;
    output.flush()?;
    Ok(report(&header, unlocked, plaintext_len))
}

fn report(header: &Header, unlocked: Unlocked, plaintext_len: u64) -> Opened {
    Opened {
        plaintext_len,
        locator: unlocked.locator,
        version: unlocked.version,
        damaged_slots: header.slots.damaged(),
    }
}

/// Reads the first 4 KiB of an input.
pub(crate) fn read_header(input: &mut impl Read) -> Result<Header, Error> {
    let mut bytes = [0u8; HEADER_LEN];
    let len = stream::fill(input, &mut bytes)?;
    Header::parse_prefix(bytes.get(..len).unwrap_or_default())
}
