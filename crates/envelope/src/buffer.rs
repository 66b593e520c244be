//! Memory that the kernel copies to and from at full speed.

use std::ops::{Deref, DerefMut};

use zeroize::Zeroizing;

/// A page.
const ALIGNMENT: usize = 4096;

/// Bytes that begin on a page, and are wiped when they are dropped.
///
/// The allocator puts large blocks 16 bytes behind the begin of a page, and some processors (AMD's Zen 3) copy to such a
/// place from a whole page, which is what reading a file is, four times slower than to the page itself.
pub(crate) struct Buffer {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
}

impl Buffer {
    /// `len` bytes, all 0.
    pub(crate) fn new(len: usize) -> Self {
        let bytes = Zeroizing::new(vec![0; len.saturating_add(ALIGNMENT)]);
        // Below the alignment for bytes, or "can't be told", which no allocator at run time answers.
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let mut buffer = Self { bytes, start };
        buffer.bytes.truncate(start.saturating_add(len));
        buffer
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_begins_on_a_page_and_has_its_length() {
        for len in [0, 1, 4095, 4096, 262_144, 262_400] {
            let mut buffer = Buffer::new(len);
            assert_eq!(buffer.len(), len);
            assert!(buffer.as_ptr().addr().is_multiple_of(ALIGNMENT), "{len}");
            buffer.fill(7);
            assert!(buffer.iter().all(|byte| *byte == 7));
        }
    }
}
