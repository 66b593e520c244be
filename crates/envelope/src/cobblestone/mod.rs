//! Cobblestone-256: the payload's cipher, C2SP `chunked-encryption` with AES-256-GCM.
//!
//! ```text
//! aead key 32 | base nonce 12 | commitment 32 = HKDF-Expand-SHA-512(key, label | suite | 0 | salt | context)
//! message = salt 24 | commitment 32 | chunk 0 | chunk 1 | …
//! chunk i = AES-256-GCM(aead key, base nonce XOR i, at most 16,384 bytes) with its 16-byte tag
//! ```
//!
//! The last chunk is always shorter than 16,384 bytes, and may be empty. So a message cut between
//! two chunks has no last chunk, and a reader sees that. Pure: no I/O, no clock, no randomness.

mod diagnose;
mod key;
mod message;

pub use diagnose::{Finding, diagnose};
pub use key::{ChunkError, PayloadKey};
pub use message::{MessageError, open, seal};

/// Plaintext bytes in every chunk but the last.
pub const CHUNK_LEN: usize = 16_384;
/// Bytes of a chunk's tag.
pub const TAG_LEN: usize = 16;
/// Bytes of a sealed chunk, every one but the last.
pub const SEALED_CHUNK_LEN: usize = CHUNK_LEN + TAG_LEN;
/// Bytes of the salt.
pub const SALT_LEN: usize = 24;
/// Bytes of the commitment.
pub const COMMITMENT_LEN: usize = 32;
/// Bytes of a message before its first chunk.
pub const HEAD_LEN: usize = SALT_LEN + COMMITMENT_LEN;
/// A message has fewer chunks than this.
pub const MAX_CHUNKS: u64 = 1 << 38;

/// Bytes of all chunks of a message of `plaintext` bytes, without salt and commitment.
/// `None` where no message is so long.
#[must_use]
pub fn sealed_len(plaintext: u64) -> Option<u64> {
    let full = plaintext / CHUNK_LEN as u64;
    if full >= MAX_CHUNKS {
        return None;
    }
    plaintext.checked_add(full.checked_add(1)?.checked_mul(TAG_LEN as u64)?)
}

/// Plaintext bytes of a message whose chunks take `sealed` bytes. `None` where no message is so
/// long: the input was cut.
#[must_use]
pub fn plaintext_len(sealed: u64) -> Option<u64> {
    let full = sealed / SEALED_CHUNK_LEN as u64;
    let rest = (sealed % SEALED_CHUNK_LEN as u64).checked_sub(TAG_LEN as u64)?;
    if full >= MAX_CHUNKS {
        return None;
    }
    full.checked_mul(CHUNK_LEN as u64)?.checked_add(rest)
}
