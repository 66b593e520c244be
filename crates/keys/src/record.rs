//! [`Record`]: a stored value, and how it stands in the storage.
//!
//! ```text
//!   format 1 │ DEK version u32 BE │ nonce 24 │ ciphertext │ tag 16        XAES-256-GCM
//!   AAD = format ‖ DEK version ‖ length of mount u64 BE ‖ mount ‖ storage key
//! ```
//!
//! `mount` is the UUID of the mount, 36 characters of text; its length goes before it so that no
//! other division of the two strings gives the same bytes.

use keyfold_secret::Secret;

use crate::error::Error;

pub(crate) const HEADER_LEN: usize = 5;
const FORMAT: u8 = 1;

/// The plaintext of a stored value, and the version of the mount's DEK that it is under.
pub struct Record {
    version: u32,
    plaintext: Secret<Vec<u8>>,
}

impl Record {
    /// A value to be wrapped by the DEK of this version.
    pub fn new(version: u32, plaintext: Secret<Vec<u8>>) -> Self {
        Self { version, plaintext }
    }

    /// The version of the DEK.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The value.
    pub fn plaintext(&self) -> &Secret<Vec<u8>> {
        &self.plaintext
    }

    /// The value.
    pub fn into_plaintext(self) -> Secret<Vec<u8>> {
        self.plaintext
    }
}

/// Where a record is kept.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    /// The UUID of the mount.
    pub mount: &'a str,
    /// The full storage key.
    pub key: &'a str,
}

/// The version of the DEK that opens a record, read without a key: not authenticated until it opens.
///
/// # Errors
///
/// [`Error::Malformed`] when the bytes are no record of a format known here.
pub fn version(record: &[u8]) -> Result<u32, Error> {
    match record.split_first_chunk() {
        Some((&[FORMAT, a, b, c, d], _)) => Ok(u32::from_be_bytes([a, b, c, d])),
        _ => Err(Error::Malformed("record")),
    }
}

pub(crate) fn header(version: u32) -> [u8; HEADER_LEN] {
    let [a, b, c, d] = version.to_be_bytes();
    [FORMAT, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_of_a_header() {
        assert_eq!(version(&header(0xDEAD_BEEF)), Ok(0xDEAD_BEEF));
        assert_eq!(version(&[1, 0, 0, 0, 2, 9, 9]), Ok(2));
    }

    #[test]
    fn what_is_no_record() {
        for bytes in [
            &[][..],
            &[1, 0, 0, 0],
            &[0, 0, 0, 0, 1],
            &[2, 0, 0, 0, 1, 7, 7],
        ] {
            assert_eq!(version(bytes), Err(Error::Malformed("record")));
        }
    }
}
