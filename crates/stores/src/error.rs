//! [`OpenError`]: why a place could not be opened.

/// Why a place could not be opened. No variant holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The address says something that it can't mean.
    #[error("the address of the {place}: {reason}")]
    Address {
        /// What kind of place.
        place: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The place can't be reached, or lets nobody in.
    #[error("{address}: {reason}")]
    Unreachable {
        /// Which one.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// It is there and not as the address says.
    #[error("{address}: {reason}")]
    Shape {
        /// Which one.
        address: String,
        /// What differs.
        reason: String,
    },
    /// This machine gives no thread for it.
    #[error("can't start a thread: {0}")]
    Thread(std::io::Error),
}
