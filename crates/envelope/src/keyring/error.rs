//! What can be wrong with a keyring, its DEKs, or the way to them.

use std::io;

use crate::key_service::ServiceError;
use crate::locator::Locator;

/// Why a keyring gave no DEK, or could not be changed. No variant holds key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// There is no keyring where one was looked for.
    #[error("there is no keyring at {0}")]
    NoKeyring(String),
    /// A keyring is there already.
    #[error("there is something at {0} already")]
    Exists(String),
    /// The document is no keyring, or breaks a rule of the format.
    #[error("not a keyring: {0}")]
    Malformed(String),
    /// Another process changed the same rows first.
    #[error("another process changed the keyring; run the command again")]
    Changed,
    /// Another process holds the keyring's lock for longer than any change takes.
    #[error("another process is changing {0}")]
    Busy(String),
    /// Everybody may write to the file: the DEKs could be anybody's.
    #[error("everybody may write to {0}; take that right away")]
    Exposed(String),
    /// The name of the service is not 1 to 127 bytes of printable text.
    #[error("the name of a service is 1 to 127 bytes of text without control characters")]
    ServiceName,
    /// No row has this number.
    #[error("the keyring has no DEK with the number {0}")]
    UnknownDek(u32),
    /// No row has the id that the envelope names.
    #[error("the keyring has no DEK with the id {0}")]
    UnknownDekId(String),
    /// The DEK is the one that new objects are under: under it they would be made anew, too.
    #[error("it is under DEK {0}, which is the keyring's current one: begin another one first")]
    Current(u32),
    /// The envelope is under a DEK of a keyring, which is said to be there.
    #[error("it is under a DEK of a keyring ({0:?}), which was not named")]
    NotNamed(String),
    /// The DEK was destroyed on purpose.
    #[error("DEK {0} of the keyring was destroyed")]
    Destroyed(u32),
    /// The key service unwrapped another DEK than the one that the row was made with.
    #[error("the unwrapped DEK is not DEK {0} of this keyring: its row was changed")]
    WrongDek(u32),
    /// The row is under a key that was not expected.
    #[error("DEK {dek_no} is under the key {found}, and {expected} was asked for")]
    OtherKey {
        /// The DEK's number.
        dek_no: u32,
        /// The key that its row names.
        found: Locator,
        /// The key that the caller pinned.
        expected: Locator,
    },
    /// No more numbers, or more rows than a document may hold.
    #[error("the keyring is full: a new one is needed")]
    Full,
    /// The key service refused or could not be asked.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The operating system refused a read or a write.
    #[error("{place}: {source}")]
    Io {
        /// The file.
        place: String,
        /// Why.
        source: io::Error,
    },
}
