//! An [`Envelope`] as a reader over the whole plaintext.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use super::envelope::Envelope;
use super::source::ReadAt;

/// The end is told, by a read of 0 bytes, only once the last chunk has authenticated.
impl<S: ReadAt> Read for Envelope<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let position = self.position;
        let left = self.claimed_len().saturating_sub(position);
        if left == 0 {
            self.plaintext_len()?;
            return Ok(0);
        }
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        self.read_at(position, out.get_mut(..len).unwrap_or_default())?;
        self.position = position.saturating_add(len as u64);
        Ok(len)
    }
}

/// To seek from the end authenticates the last chunk.
impl<S: ReadAt> Seek for Envelope<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.plaintext_len()?.checked_add_signed(by),
        };
        let before = || io::Error::new(ErrorKind::InvalidInput, "a place before the first byte");
        self.position = place.ok_or_else(before)?;
        Ok(self.position)
    }
}
