//! [`ServiceDek`]: an unwrapped DEK of a keyring, and what is derived from it.
//!
//! ```text
//!   DEK ──HKDF-Expand-SHA-512──→ commitment     "keyfold/1 commit" ‖ service ‖ number ‖ id
//!                            ├──→ object key     "keyfold/1 objects"       wraps the DEKs of envelopes
//!                            └──→ value key      (value::ValueKey)         seals values
//! ```

use std::sync::{Arc, OnceLock};

use keyfold_keys::kdf;
use keyfold_secret::Protected;

use super::row::Row;
use crate::value::ValueKey;

/// What derives a commitment; payloads, values and object keys have labels of their own.
const COMMITMENT: &[u8] = b"keyfold/1 commit";

/// A DEK of a keyring, in protected pages. Nothing is encrypted with it directly.
pub struct ServiceDek {
    dek_no: u32,
    dek_id: [u8; 16],
    bytes: Protected<32>,
    commitment: [u8; 32],
    /// The newest version of its KEK when it was unwrapped, where that was looked at and told.
    newest: Option<u32>,
    /// Made at its first use.
    values: OnceLock<Arc<ValueKey>>,
}

impl ServiceDek {
    /// The DEK that was unwrapped for a row.
    pub(super) fn new(row: &Row, service: &str, bytes: Protected<32>, newest: Option<u32>) -> Self {
        Self {
            dek_no: row.dek_no,
            dek_id: row.dek_id,
            commitment: commitment(&bytes, service, row.dek_no, &row.dek_id),
            bytes,
            newest,
            values: OnceLock::new(),
        }
    }

    /// Its number within the keyring.
    #[must_use]
    pub fn dek_no(&self) -> u32 {
        self.dek_no
    }

    /// Its id.
    #[must_use]
    pub fn dek_id(&self) -> &[u8; 16] {
        &self.dek_id
    }

    /// The key of its values.
    #[must_use]
    pub fn value_key(&self) -> Arc<ValueKey> {
        let key = || Arc::new(ValueKey::new(self.dek_no, &self.bytes));
        Arc::clone(self.values.get_or_init(key))
    }

    /// The DEK itself, to derive keys from, each with a label of its own.
    #[must_use]
    pub fn bytes(&self) -> &Protected<32> {
        &self.bytes
    }

    /// Whether it is the DEK that the row was made with.
    pub(super) fn fits(&self, row: &Row) -> bool {
        let (one, other) = (&self.commitment, &row.commitment);
        aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
    }

    pub(super) fn newest(&self) -> Option<u32> {
        self.newest
    }
}

/// What a DEK commits to in its row. Says nothing about the DEK.
#[expect(
    clippy::expect_used,
    reason = "32 bytes is far below HKDF's limit of 255 blocks"
)]
pub(super) fn commitment(
    dek: &Protected<32>,
    service: &str,
    dek_no: u32,
    dek_id: &[u8; 16],
) -> [u8; 32] {
    let mut out = [0; 32];
    let len = (service.len() as u64).to_be_bytes();
    let number = dek_no.to_be_bytes();
    let info = [COMMITMENT, &len, service.as_bytes(), &number, dek_id];
    kdf::expand_sha512(dek.expose(), &info, &mut out).expect("HKDF gives 32 bytes");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commitment_is_of_one_dek_in_one_place() {
        let dek = |fill| Protected::<32>::init_with(|dek| dek.fill(fill));
        let base = commitment(&dek(1), "a", 1, &[1; 16]);
        assert_eq!(base, commitment(&dek(1), "a", 1, &[1; 16]));
        for other in [
            commitment(&dek(2), "a", 1, &[1; 16]),
            commitment(&dek(1), "b", 1, &[1; 16]),
            commitment(&dek(1), "a", 2, &[1; 16]),
            commitment(&dek(1), "a", 1, &[2; 16]),
        ] {
            assert_ne!(other, base);
        }
    }
}
