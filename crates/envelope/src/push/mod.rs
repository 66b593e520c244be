//! Envelopes piece by piece, without I/O: bytes are pushed in, bytes come out. Over them stand a writer and a reader; the
//! client's library has the asynchronous ones.
//!
//! ```text
//! plaintext ──push──→ Sealer ──→ header, chunks        finish ──→ the last chunk
//! envelope  ──push──→ Opener ──→ authentic plaintext   finish ──→ or it was cut
//! ```
//!
//! A chunk is 16 KiB: that much is held back, and no more. One thread works; whole files and pipes are faster with
//! [`encrypt_file`](crate::encrypt_file) and [`encrypt_stream`](crate::encrypt_stream).

mod open_reader;
mod opener;
mod seal_writer;
mod sealer;
#[cfg(test)]
mod tests;

pub use open_reader::OpenReader;
pub use opener::Opener;
pub use seal_writer::SealWriter;
pub use sealer::Sealer;
