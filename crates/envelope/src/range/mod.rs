//! Parts of an envelope: the key is unwrapped once, then any range is read, and only the chunks of that range.
//!
//! ```text
//! plaintext  ··········a────────────b·········
//! chunks     │    0    │▒▒▒▒1▒▒▒▒│▒▒▒▒2▒▒▒▒│  last │     ▒ read, authenticated, opened
//! ```
//!
//! Each chunk is authenticated before a byte of it is released. That says nothing about the chunks around it: a file that
//! was cut still gives the ranges that are left of it, and only those. Whatever is said about the *end* (its length, that
//! there is no more to read, the last hundred bytes) is said after the last chunk has authenticated.

mod bounds;
mod envelope;
mod layout;
mod read;
mod source;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Write;
use std::path::Path;

pub use bounds::{Bounds, BoundsError};
pub use envelope::Envelope;
pub use source::ReadAt;

use crate::context::Context;
use crate::decrypt::Opened;
use crate::error::Error;
use crate::header::Header;
use crate::output::Output;
use crate::recipient::Identity;

/// Decrypts a part of an envelope into a stream: exactly the bytes asked for, or [`Error::OutOfRange`]. On another error
/// what was written is an authentic beginning of that part.
///
/// For several parts open an [`Envelope`] once.
pub fn open_range(
    identities: &[&dyn Identity],
    context: &Context,
    input: impl ReadAt,
    bounds: Bounds,
    mut output: impl Write,
) -> Result<Opened, Error> {
    let mut envelope = Envelope::open(identities, context, input)?;
    let range = envelope.range(bounds)?;
    envelope.write_range(range.clone(), &mut output)?;
    output.flush()?;
    Ok(envelope.report(range.end.saturating_sub(range.start)))
}

/// As [`open_range`], of a payload that lies apart from its header; all of it without bounds, once its end is proven.
pub fn open_detached_range(
    identities: &[&dyn Identity],
    context: &Context,
    header: &Header,
    payload: impl ReadAt,
    bounds: Option<Bounds>,
    mut output: impl Write,
) -> Result<Opened, Error> {
    let header = header.encode();
    let mut envelope = Envelope::open_detached(identities, context, &header, payload)?;
    let range = match bounds {
        Some(bounds) => envelope.range(bounds)?,
        None => 0..envelope.plaintext_len()?,
    };
    envelope.write_range(range.clone(), &mut output)?;
    output.flush()?;
    Ok(envelope.report(range.end.saturating_sub(range.start)))
}

/// Decrypts a part of a file into a file, readable by its owner alone, that appears under its name only when it is whole.
pub fn open_range_file(
    identities: &[&dyn Identity],
    context: &Context,
    input: &Path,
    bounds: Bounds,
    output: &Path,
    overwrite: bool,
) -> Result<Opened, Error> {
    let input = File::open(input)?;
    let target = Output::create(output, overwrite)?;
    let opened = open_range(identities, context, input, bounds, &target)?;
    target.publish(None)?;
    Ok(opened)
}
