//! Small values: a column, a member of a document. Many share one DEK, each is sealed by itself, and bound to the place
//! where it is stored.
//!
//! ```text
//! 01 │ dek_no u32 │ nonce 24 │ ciphertext │ tag 16          45 bytes more than the plaintext
//! ```
//!
//! The cipher is XAES-256-GCM: a nonce drawn at random for each value, without a limit to count. `docs/envelope-format.md`
//! is the specification. What is sealed is a value alone: whoever writes to the table can still put an older value of the
//! same place back.
//!
//! [`ValueKey`] works into buffers of the caller, and seals many at once faster than one by one; [`seal_value`] and
//! [`open_value`] make a buffer for each value.

mod batch;
mod key;
mod text;

use std::sync::Arc;

use keyfold_secret::Secret;

pub use key::ValueKey;
pub use text::{from_text, to_text};

use crate::error::Error;

/// Bytes that a value is longer than its plaintext.
pub const OVERHEAD: usize = key::HEADER_LEN + key::NONCE_LEN + key::TAG_LEN;

/// Where a value is stored. Moved elsewhere it does not open, nor after its table or column is renamed.
///
/// The names are what the program calls them, and part of the format of its data: the same on each database, and for
/// ever.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The primary key as bytes, in one form that the program decides on: a number always as decimal digits, say. Several
    /// columns need plain borders.
    pub key: &'a [u8],
}

/// Finds the key of a number: a keyring.
///
/// One value may be used by several threads at once.
pub trait ValueKeys: Send + Sync {
    /// The key with this number; [`ValueError::UnknownDek`] where there is none.
    fn key(&self, dek_no: u32) -> Result<Arc<ValueKey>, ValueError>;
}

/// A keyring of one key.
impl ValueKeys for Arc<ValueKey> {
    fn key(&self, dek_no: u32) -> Result<Arc<ValueKey>, ValueError> {
        if dek_no == self.dek_no() {
            Ok(Self::clone(self))
        } else {
            Err(ValueError::UnknownDek(dek_no))
        }
    }
}

/// Why a value could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The bytes or the text are no sealed value: another format, or cut short.
    #[error("not a sealed value")]
    NotAValue,
    /// It does not authenticate. The cipher can't tell the causes apart: another key has the number, the value belongs
    /// to another table, column or primary key, or it was changed.
    #[error(
        "the value does not open: it was sealed by another key, or for another table, column or primary key, or it was \
         changed"
    )]
    WrongKeyOrPlace,
    /// No key has the number that the value names: it was never made, or is destroyed.
    #[error("there is no data key with the number {0}")]
    UnknownDek(u32),
    /// One value can't carry 64 GiB.
    #[error("a value must be shorter than 64 GiB")]
    TooLong,
    /// The key could not be had.
    #[error(transparent)]
    Key(#[from] Error),
}

/// Seals one value. The same plaintext gives other bytes each time.
///
/// ```
/// use std::sync::Arc;
/// use keyfold_envelope::value::{self, Place, ValueKey, open_value, seal_value};
/// use keyfold_secret::Protected;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // The DEK comes out of a keyring, which knows it by its number.
/// let dek = Protected::init_with(|dek| keyfold_keys::rng::fill(dek));
/// let key = Arc::new(ValueKey::new(1, &dek));
///
/// let place = Place { table: "customers", column: "iban", key: b"4711" };
/// let sealed = seal_value(&key, &place, b"DE02120300000000202051")?;
/// let column = value::to_text(&sealed); // for a column of text: kf1:AQAAAAG…
///
/// let plaintext = open_value(&key, &place, &value::from_text(&column)?)?;
/// assert!(plaintext.ct_eq(b"DE02120300000000202051"));
///
/// let elsewhere = Place { key: b"4712", ..place };
/// assert!(open_value(&key, &elsewhere, &sealed).is_err());
/// # Ok(())
/// # }
/// ```
pub fn seal_value(
    key: &ValueKey,
    place: &Place<'_>,
    plaintext: &[u8],
) -> Result<Vec<u8>, ValueError> {
    let mut value = Vec::new();
    key.seal_into(place, plaintext, &mut value)?;
    Ok(value)
}

/// Opens one value with the key that it names.
pub fn open_value(
    keys: &dyn ValueKeys,
    place: &Place<'_>,
    value: &[u8],
) -> Result<Secret<Vec<u8>>, ValueError> {
    let mut plaintext = Secret::new(Vec::new());
    let key = keys.key(dek_no(value)?)?;
    key.open_into(place, value, &mut plaintext)?;
    Ok(plaintext)
}

/// The number of the DEK that a value names, read without any key: what an inventory counts.
pub fn dek_no(value: &[u8]) -> Result<u32, ValueError> {
    key::Parsed::of(value).map(|parsed| parsed.dek_no)
}
