//! Whole messages in memory: small payloads, and the reference that the vectors are checked with.

use keyfold_secret::Protected;

use super::{
    CHUNK_LEN, COMMITMENT_LEN, ChunkError, PayloadKey, SALT_LEN, SEALED_CHUNK_LEN, TAG_LEN,
};

/// Why a message does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is shorter than salt and commitment.
    #[error("the message has no whole head")]
    NoHead,
    /// Other key, other context, or a changed head.
    #[error("the message was made with another key or context")]
    Commitment,
    /// It ends without its last chunk, before chunk `0`.
    #[error("the message ends before chunk {0}")]
    Truncated(u64),
    /// The chunk does not authenticate.
    #[error("chunk {0} does not authenticate")]
    Chunk(u64),
}

/// Seals `plaintext` into one message. `salt` must be fresh for each message.
pub fn seal(
    dek: &Protected<32>,
    salt: &[u8; SALT_LEN],
    context: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, ChunkError> {
    let key = PayloadKey::derive(dek, salt, context);
    let mut message = Vec::new();
    message.extend_from_slice(salt);
    message.extend_from_slice(key.commitment());
    let (full, last) = plaintext.as_chunks::<CHUNK_LEN>();
    for (index, chunk) in (0u64..).zip(full.iter().map(|c| &c[..]).chain([last])) {
        let start = message.len();
        message.resize(start.saturating_add(chunk.len()).saturating_add(TAG_LEN), 0);
        key.seal_chunk(index, chunk, message.get_mut(start..).unwrap_or_default())?;
    }
    Ok(message)
}

/// Opens one message, handing each chunk to `release` once it is authenticated. What was released
/// before an error is the authentic prefix of the message.
pub fn open(
    dek: &Protected<32>,
    context: &[u8],
    message: &[u8],
    mut release: impl FnMut(&[u8]),
) -> Result<(), MessageError> {
    let (salt, rest) = message
        .split_first_chunk::<SALT_LEN>()
        .ok_or(MessageError::NoHead)?;
    let (commitment, chunks) = rest
        .split_first_chunk::<COMMITMENT_LEN>()
        .ok_or(MessageError::NoHead)?;
    let key = PayloadKey::derive(dek, salt, context);
    if !key.commits_to(commitment) {
        return Err(MessageError::Commitment);
    }
    let mut plain = zeroize::Zeroizing::new(vec![0u8; CHUNK_LEN]);
    let (full, last) = chunks.as_chunks::<SEALED_CHUNK_LEN>();
    for (index, sealed) in (0u64..).zip(full.iter().map(|c| &c[..]).chain([last])) {
        if sealed.len() < TAG_LEN {
            return Err(MessageError::Truncated(index));
        }
        let len = key
            .open_chunk(index, sealed, plain.as_mut_slice())
            .map_err(|_| MessageError::Chunk(index))?;
        release(plain.get(..len).unwrap_or_default());
    }
    Ok(())
}
