//! Where a key is: a library, a token, and the PIN that opens it.

use keyfold_secret::Secret;

use super::library::Library;

/// A token and its PIN.
pub(crate) struct Place {
    pub library: &'static Library,
    /// One of the two at least.
    pub slot: Option<u64>,
    /// Its label.
    pub token: Option<String>,
    pub pin: Secret<Vec<u8>>,
}

/// Decimal, or hex behind `0x`.
pub(crate) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
