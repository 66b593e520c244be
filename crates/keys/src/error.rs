//! What can go wrong with a key, a share or a wrapped thing. No variant holds a secret.

use thiserror::Error;

/// An error of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Error {
    /// The bytes do not have the form of the thing named: damaged, truncated, or of a format that
    /// this version does not know.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// The data does not authenticate. A wrong key, a changed byte and a record that stands in
    /// another one's place can't be told apart.
    #[error("wrong key, or data that was changed or moved")]
    WrongKey,
    /// The keyring has no key for this term: it was never made, or is retired.
    #[error("no key for term {0}")]
    UnknownTerm(u32),
    /// There is no key of this version: it was never made, or is destroyed.
    #[error("no key for version {0}")]
    UnknownVersion(u32),
    /// The term is the active one, which can't be retired.
    #[error("term {0} is active")]
    ActiveTerm(u32),
    /// A limit of the cipher or of a counter is reached: a message of 64 GiB, or the last term.
    #[error("a limit of the key or the cipher is reached")]
    Exhausted,
    /// The operator's shares are at fault.
    #[error(transparent)]
    Share(#[from] ShareError),
}

/// What is wrong with shares, or with the counts that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ShareError {
    /// A key can be split into 2 to 255 shares with a threshold from 2 to their number, or into
    /// one share that is the key itself.
    #[error("a threshold of {threshold} with {shares} shares is not possible")]
    Counts {
        /// Shares asked for.
        shares: u8,
        /// Threshold asked for.
        threshold: u8,
    },
    /// Shorter than 16 bytes or longer than 33.
    #[error("a share has 16 to 33 bytes")]
    Length,
    /// Combining takes two shares at least.
    #[error("fewer than two shares")]
    TooFew,
    /// The shares are not of one set.
    #[error("the shares differ in length")]
    UnequalLengths,
    /// One share was given twice.
    #[error("two shares have the same number")]
    Duplicate,
    /// No split hands out a share with the number 0: it would be the key.
    #[error("a share has the number 0")]
    Zero,
}
