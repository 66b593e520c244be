//! [`SealWriter`]: a writer that encrypts.

use std::io::{self, Write};

use super::Sealer;
use crate::context::Context;
use crate::encrypt::Encrypted;
use crate::error::Error;
use crate::file::BATCH_PLAIN;
use crate::labels::Labels;
use crate::recipient::Recipient;

/// Encrypts what is written to it into another writer.
///
/// Call [`SealWriter::finish`]: dropped without it, or after an error, it leaves an envelope that is cut short, and every
/// reader notices. Flushing passes whole chunks on; what fills none stays here.
///
/// ```
/// use keyfold_envelope::{Context, Labels, MemoryKeys, OpenReader, SealWriter, TransitKey};
/// use std::io::{Read, Write};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = MemoryKeys::new(); // keyfold_client::TransitKeys, where there is a server
/// let context = Context::from_pairs(["tenant=acme"])?;
///
/// let name = "transit/exports".parse()?;
/// let key = TransitKey::new(&keys, &name);
/// let mut writer = SealWriter::new(&[&key], &context, &Labels::default(), Vec::new())?;
/// writeln!(writer, "id,amount")?;
/// writeln!(writer, "4711,12.50")?;
/// let (envelope, made) = writer.finish()?;
/// assert_eq!(made.plaintext_len, 21);
///
/// let mut text = String::new();
/// OpenReader::new(&[&keys], &context, &envelope[..])?.read_to_string(&mut text)?;
/// assert!(text.ends_with("12.50\n"));
/// # Ok(())
/// # }
/// ```
pub struct SealWriter<W> {
    /// Gone after an error: what followed would not fit to what was lost.
    sealer: Option<Sealer>,
    out: Vec<u8>,
    inner: W,
}

impl<W: Write> SealWriter<W> {
    /// Draws a DEK and has it wrapped. Nothing is written yet.
    pub fn new(
        recipients: &[&dyn Recipient],
        context: &Context,
        labels: &Labels,
        inner: W,
    ) -> Result<Self, Error> {
        Ok(Self {
            sealer: Some(Sealer::new(recipients, context, labels)?),
            out: Vec::new(),
            inner,
        })
    }

    /// Writes the last chunk, flushes, and gives the writer back. Now the envelope is whole.
    pub fn finish(mut self) -> Result<(W, Encrypted), Error> {
        let sealer = self.sealer.take().ok_or_else(lost)?;
        self.out.clear();
        let made = sealer.finish(&mut self.out)?;
        self.inner.write_all(&self.out)?;
        self.inner.flush()?;
        Ok((self.inner, made))
    }
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        let mut sealer = self.sealer.take().ok_or_else(lost)?;
        let piece = plain.get(..BATCH_PLAIN).unwrap_or(plain);
        self.out.clear();
        sealer.push(piece, &mut self.out)?;
        self.inner.write_all(&self.out)?;
        self.sealer = Some(sealer);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn lost() -> io::Error {
    io::Error::other("an earlier write failed: the envelope can't be finished")
}
