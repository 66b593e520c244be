//! The one layout of everything that XAES-256-GCM seals here:
//!
//! ```text
//!   header │ nonce 24 │ ciphertext │ tag 16        AAD = header ‖ context
//! ```
//!
//! The header (a format byte, and which key it is under) is readable without a key, and
//! authenticated.

use keyfold_secret::Secret;

use crate::aead::TAG_LEN;
use crate::error::Error;
use crate::rng;
use crate::xaes::{Key, NONCE_LEN};

/// Bytes that a sealed message is longer than header and plaintext.
pub(crate) const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

/// Seals `plaintext` under a random nonce. `context` is one string in pieces, with plain borders.
pub(crate) fn seal(
    key: &Key,
    header: &[u8],
    context: &[&[u8]],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let nonce = rng::bytes::<NONCE_LEN>();
    let mut message = Vec::with_capacity(header.len() + OVERHEAD + plaintext.len());
    message.extend_from_slice(header);
    message.extend_from_slice(&nonce);
    let start = message.len();
    message.extend_from_slice(plaintext);
    let (_, body) = message.split_at_mut(start);
    let tag = key.seal(&nonce, &aad(header, context), body)?;
    message.extend_from_slice(&tag);
    Ok(message)
}

/// Opens a message whose header is `header_len` bytes long. What the header says is the caller's
/// to read.
pub(crate) fn open(
    key: &Key,
    header_len: usize,
    context: &[&[u8]],
    message: &[u8],
) -> Result<Secret<Vec<u8>>, Error> {
    let truncated = Error::Malformed("sealed message");
    let (header, rest) = message.split_at_checked(header_len).ok_or(truncated)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(truncated)?;
    if sealed.len() < TAG_LEN {
        return Err(truncated);
    }
    let mut data = Secret::new(sealed.to_vec());
    let len = key
        .open(nonce, &aad(header, context), data.expose_mut())?
        .len();
    data.expose_mut().truncate(len);
    Ok(data)
}

fn aad(header: &[u8], context: &[&[u8]]) -> Vec<u8> {
    let len = header.len() + context.iter().map(|piece| piece.len()).sum::<usize>();
    let mut aad = Vec::with_capacity(len);
    aad.extend_from_slice(header);
    for piece in context {
        aad.extend_from_slice(piece);
    }
    aad
}
