//! A payload is opened by ranges, several at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use keyfold_envelope::cobblestone::{CHUNK_LEN, HEAD_LEN, PayloadKey, SEALED_CHUNK_LEN};
use keyfold_envelope::{Error, NoProgress, Output, Progress, open_batch};
use object_store::path::Path;
use zeroize::Zeroizing;

use super::objects::{Facts, Objects};

/// Chunks that are asked for together.
const CHUNKS: usize = 512;
/// Sealed bytes of those.
pub(super) const SPAN: usize = CHUNKS * SEALED_CHUNK_LEN;
/// Ranges that are asked for at once.
const AT_ONCE: u64 = 8;

/// Authenticates the payload of an object.
pub(super) fn check(objects: &Objects, payload: &Path, key: &PayloadKey) -> Result<(), Error> {
    let (_, facts) = objects.wait(objects.head(payload))?;
    open(objects, payload, key, &facts, None, &NoProgress)
}

/// Opens the chunks of a payload into a file; without one they are only checked. The error is that of
/// the first bad range, whichever thread meets one first.
pub(super) fn open(
    objects: &Objects,
    payload: &Path,
    key: &PayloadKey,
    facts: &Facts,
    output: Option<&Output>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let sealed_len = facts.sealed_len();
    // The last range holds the last chunk, which is always short; a message that ends before it has none.
    let count = (sealed_len / SPAN as u64).saturating_add(1);
    let next = AtomicU64::new(0);
    let failed: Mutex<Option<(u64, Error)>> = Mutex::new(None);
    let one = |number: u64, plain: &mut [u8]| {
        let start = number.saturating_mul(SPAN as u64);
        let end = start.saturating_add(SPAN as u64).min(sealed_len);
        if start >= end {
            return Err(Error::Truncated);
        }
        let head = HEAD_LEN as u64;
        let range = start.saturating_add(head)..end.saturating_add(head);
        let sealed = objects.wait(objects.range(payload, range, facts))?;
        let first = number.saturating_mul(CHUNKS as u64);
        let is_last = number.saturating_add(1) == count;
        let opened = open_batch(key, first, &sealed, is_last, plain);
        if let Some(error) = opened.error {
            return Err(error);
        }
        if let Some(output) = output {
            output.write_all_at(opened.plain, first.saturating_mul(CHUNK_LEN as u64))?;
        }
        progress.advance(opened.plain.len() as u64);
        Ok(())
    };
    let work = || {
        let len = usize::try_from(sealed_len).map_or(SPAN, |len| len.min(SPAN));
        let mut plain = Zeroizing::new(vec![0; len]);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            if let Err(error) = one(number, &mut plain) {
                next.fetch_max(count, Ordering::Relaxed);
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                if failed
                    .as_ref()
                    .is_none_or(|(earliest, _)| number < *earliest)
                {
                    *failed = Some((number, error));
                }
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..count.min(AT_ONCE) {
            scope.spawn(work);
        }
        work();
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}
