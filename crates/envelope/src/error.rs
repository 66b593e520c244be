//! What can be wrong with an envelope, its key, or the way to it. Each variant says whose fault.

use std::io;
use std::path::PathBuf;

use crate::key_service::ServiceError;
use crate::keyring::KeyringError;
use crate::labels::LabelsError;
use crate::locator::Locator;

/// Why an envelope could not be made, opened or changed.
///
/// No variant holds plaintext, key material or a value of the encryption context.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not an envelope at all: another kind of file was given.
    #[error("not a Keyfold envelope: the file does not start with its magic bytes")]
    NotAnEnvelope,
    /// A newer program wrote it.
    #[error("envelope format version {0} is newer than this program understands (1)")]
    UnsupportedVersion(u8),
    /// It is a valid envelope that uses a part of the format this program does not implement.
    #[error("the envelope uses {0}, which this program does not support")]
    Unsupported(&'static str),
    /// A fixed part of the first 4 KiB is not as any writer leaves it.
    #[error("the envelope's header is damaged: {0}")]
    HeaderDamaged(&'static str),
    /// The encryption context given is not the one the file was encrypted with.
    #[error(
        "the encryption context is not the one this file was encrypted with \
         (give the same --context pairs)"
    )]
    WrongContext,
    /// A DEK was unwrapped, and the payload commits to another one.
    #[error("the unwrapped key is not the key of this file, or its header was changed")]
    WrongKey,
    /// A header lies beside another envelope's payload.
    #[error("the payload {0:?} is not the header's: their salts or commitments differ")]
    OtherPayload(PathBuf),
    /// A header without its payload.
    #[error("the payload {0:?} of this header is not there")]
    NoPayload(PathBuf),
    /// The file ends before its last chunk.
    #[error("the envelope is truncated: it ends before its last chunk")]
    Truncated,
    /// The last chunk does not authenticate. The file was cut inside it, or it is damaged: the
    /// length does not tell which.
    #[error(
        "the envelope's end is damaged: it was cut inside chunk {chunk}, or that chunk changed"
    )]
    EndDamaged {
        /// Number of the last chunk, from 0.
        chunk: u64,
    },
    /// A chunk before the end does not authenticate.
    #[error("chunk {chunk} of the payload is corrupt")]
    CorruptChunk {
        /// Number of the chunk, from 0.
        chunk: u64,
    },
    /// A chunk is authentic, in another place: chunks were swapped, repeated or left out.
    #[error("chunk {belongs} of the payload stands in the place of chunk {chunk}")]
    MisplacedChunk {
        /// The place that was read.
        chunk: u64,
        /// The place that the chunk found there was sealed for.
        belongs: u64,
    },
    /// The message is whole and more bytes follow it.
    #[error("bytes follow the end of the envelope's payload")]
    TrailingBytes,
    /// The part that was asked for is not there, or not all of it.
    #[error("the range reaches to byte {end}, and the plaintext has {len} bytes")]
    OutOfRange {
        /// Where the part would end.
        end: u64,
        /// Length of the plaintext, which the last chunk proves.
        len: u64,
    },
    /// The payload is longer than the format allows (2^38 chunks, 4 PiB).
    #[error("the payload is longer than the format allows")]
    TooLong,
    /// No recipient was named: nobody could open the envelope.
    #[error("no recipient is named: nobody could open the envelope")]
    NoRecipient,
    /// No slot holds a wrap that the identities at hand can open.
    #[error("the envelope has no slot that could be opened with what is at hand")]
    NoUsableSlot,
    /// A key of this machine does not open a slot that is its own by all it says.
    #[error("the {0} does not open its slot: it is a wrong one, or the slot was changed")]
    WrongIdentity(&'static str),
    /// The DEK could not be wrapped for a recipient of this machine.
    #[error("the key of the file could not be wrapped for the {0}")]
    NotWrapped(&'static str),
    /// The wraps in use leave no room for another one among the six sectors.
    /// There is no wrap under the key that the item was to move to.
    #[error("the envelope has no wrap under {0}: move it there first")]
    NotMoved(Locator),
    /// All six slots are in use by active wraps.
    #[error("the envelope has no free slot for a new wrap")]
    NoFreeSlot,
    /// The recipient has a slot already.
    #[error("the envelope has a slot for this recipient already")]
    SlotExists,
    /// No slot has this number or this key.
    #[error("the envelope has no such slot")]
    NoSuchSlot,
    /// The slot is the last one in use.
    #[error("it is the last slot in use: without it nobody opens the envelope")]
    LastSlot,
    /// The only slots are damaged: a write to them was cut, or they were changed.
    #[error("every slot of the envelope that held a key is torn or damaged")]
    TornSlot,
    /// The server no longer unwraps this version of the key.
    #[error("version {version} of {locator} is below the lowest one the server still opens")]
    VersionBelowMinimum {
        /// The key that wraps the DEK.
        locator: Locator,
        /// The version this copy of the file was wrapped under.
        version: u32,
    },
    /// The key service refused or could not be asked.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The keyring has no such DEK, or could not be asked.
    #[error(transparent)]
    Keyring(KeyringError),
    /// The labels are too long for the header.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// A wrap is too long for a slot, or empty.
    #[error("the key service returned a wrapped key of {0} bytes, which no slot can hold")]
    WrapSize(usize),
    /// The input changed while it was read.
    #[error("the input file changed while it was read")]
    InputChanged,
    /// The output exists, and overwriting was not asked for.
    #[error("{0:?} exists already")]
    OutputExists(PathBuf),
    /// The file has other names, under which the old envelope would stay.
    #[error("the envelope has {0} names (hard links): make a copy of it, and remove the others")]
    OtherNames(u64),
    /// Whoever watched the job asked for its end.
    #[error("interrupted")]
    Interrupted,
    /// Another process changed the envelope's slots since they were read.
    #[error("another process changed the envelope's slots; run the command again")]
    SlotsChanged,
    /// Another process holds the envelope's lock.
    #[error("another process is changing the envelope")]
    Busy,
    /// What was written to a slot does not read back: the storage is at fault.
    #[error("a slot that was just written does not read back as written")]
    WriteLost,
    /// The place that holds the envelopes can't be reached; nothing more of it can be read or changed
    /// for now.
    #[error("the place that holds the envelopes can't be reached: {0}")]
    Unavailable(String),
    /// The operating system refused a read or a write.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// For readers and writers; what is no error of the system comes as [`io::ErrorKind::InvalidData`] around this one.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error,
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// What the key service said is told the same, whoever asked it.
impl From<KeyringError> for Error {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Service(error) => Self::Service(error),
            other => Self::Keyring(other),
        }
    }
}
