//! [`Layout`]: which bytes of a source hold which chunk.

use std::ops::Range;

use crate::cobblestone::{CHUNK_LEN, MAX_CHUNKS, SEALED_CHUNK_LEN, TAG_LEN};
use crate::error::Error;

/// Where the chunks lie, as the length of the source has it. Nobody has authenticated that length.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Where chunk 0 begins.
    begin: u64,
    /// How many whole chunks there are.
    whole: u64,
    /// Bytes behind them: the last chunk, or what is left of it.
    rest: usize,
}

impl Layout {
    /// The chunks of a source of `size` bytes that begin at `begin`.
    pub(super) fn new(begin: u64, size: u64) -> Result<Self, Error> {
        let sealed = size.checked_sub(begin).ok_or(Error::Truncated)?;
        let chunk = SEALED_CHUNK_LEN as u64;
        if sealed / chunk >= MAX_CHUNKS {
            return Err(Error::TooLong);
        }
        let rest = usize::try_from(sealed % chunk).map_err(|_| Error::TooLong)?;
        Ok(Self {
            begin,
            whole: sealed / chunk,
            rest,
        })
    }

    /// Number of the last chunk.
    pub(super) fn last(&self) -> Result<u64, Error> {
        if self.rest < TAG_LEN {
            Err(Error::Truncated)
        } else {
            Ok(self.whole)
        }
    }

    /// Bytes of plaintext in all chunks that are there.
    pub(super) fn plaintext(&self) -> u64 {
        let rest = self.rest.saturating_sub(TAG_LEN) as u64;
        self.whole
            .saturating_mul(CHUNK_LEN as u64)
            .saturating_add(rest)
    }

    /// Offset of a chunk.
    pub(super) fn offset(&self, chunk: u64) -> u64 {
        chunk
            .saturating_mul(SEALED_CHUNK_LEN as u64)
            .saturating_add(self.begin)
    }

    /// Sealed bytes of these chunks, one after another.
    pub(super) fn sealed(&self, chunks: &Range<u64>) -> u64 {
        let whole = chunks.end.min(self.whole).saturating_sub(chunks.start);
        let rest = if chunks.contains(&self.whole) {
            self.rest as u64
        } else {
            0
        };
        whole
            .saturating_mul(SEALED_CHUNK_LEN as u64)
            .saturating_add(rest)
    }
}

/// The chunks that a part of the plaintext lies in.
pub(super) fn chunks_of(range: &Range<u64>) -> Range<u64> {
    range.start / CHUNK_LEN as u64..range.end.div_ceil(CHUNK_LEN as u64)
}

/// What of the range lies in this chunk, whose plaintext is `plain`.
pub(super) fn part<'a>(range: &Range<u64>, chunk: u64, plain: &'a [u8]) -> &'a [u8] {
    let begin = chunk.saturating_mul(CHUNK_LEN as u64);
    let within = |at: u64| usize::try_from(at.saturating_sub(begin)).unwrap_or(usize::MAX);
    let (from, to) = (within(range.start), within(range.end).min(plain.len()));
    plain.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cobblestone::{plaintext_len, sealed_len};
    use proptest::prelude::*;

    #[test]
    fn five_tebibytes_and_the_longest_payload() {
        for plain in [5 << 40, (1 << 52) - 1] {
            let sealed = sealed_len(plain).unwrap();
            let layout = Layout::new(4096, 4096 + sealed).unwrap();
            assert_eq!(layout.plaintext(), plain);
            let last = layout.last().unwrap();
            assert_eq!(last, plain / CHUNK_LEN as u64);
            assert_eq!(layout.offset(last) + layout.rest as u64, 4096 + sealed);
            assert_eq!(layout.sealed(&(0..last + 1)), sealed);
        }
        assert!(matches!(Layout::new(0, u64::MAX), Err(Error::TooLong)));
        assert!(matches!(Layout::new(4096, 4095), Err(Error::Truncated)));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_lengths_of_messages(sealed in 0u64..100_000_000) {
            let layout = Layout::new(56, 56 + sealed).unwrap();
            prop_assert_eq!(layout.last().ok().map(|_| layout.plaintext()), plaintext_len(sealed));
            prop_assert_eq!(layout.sealed(&(0..layout.whole + 1)), sealed);
        }

        #[test]
        fn the_parts_of_all_chunks_are_the_range(
            len in 0u64..70_000, from in 0u64..70_000, count in 0u64..70_000,
        ) {
            let range = from.min(len)..from.saturating_add(count).min(len);
            let plain: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let mut joined = Vec::new();
            for chunk in chunks_of(&range) {
                let at = chunk as usize * CHUNK_LEN;
                let end = (at + CHUNK_LEN).min(plain.len());
                joined.extend_from_slice(part(&range, chunk, &plain[at..end]));
            }
            prop_assert!(joined == plain[range.start as usize..range.end as usize]);
        }
    }
}
