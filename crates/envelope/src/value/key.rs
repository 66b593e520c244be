//! [`ValueKey`]: a DEK made ready for values, and the layout of what it seals.

use keyfold_keys::{kdf, rng, xaes};
use keyfold_secret::{Protected, Secret};
use zeroize::Zeroize;

use super::{Place, ValueError};

/// A payload's key is derived from a DEK with another label.
const LABEL: &[u8] = b"keyfold/1 values";
const FORMAT: u8 = 1;
/// Format and number of the DEK.
pub(super) const HEADER_LEN: usize = 5;
pub(super) const NONCE_LEN: usize = xaes::NONCE_LEN;
pub(super) const TAG_LEN: usize = 16;

/// The key of the values of one DEK, derived and made ready once, in protected pages.
pub struct ValueKey {
    dek_no: u32,
    cipher: xaes::Key,
}

impl ValueKey {
    /// The key of the DEK with this number.
    #[must_use]
    pub fn new(dek_no: u32, dek: &Protected<32>) -> Self {
        // A DEK may also key payloads: no key serves two ciphers.
        let key = Protected::<{ xaes::KEY_LEN }>::init_with(|key| derive(dek, key));
        Self {
            dek_no,
            cipher: xaes::Key::new(key.expose()),
        }
    }

    /// The number that its values name.
    #[must_use]
    pub fn dek_no(&self) -> u32 {
        self.dek_no
    }

    /// Seals one value in place of what `value` holds. Allocates only where that has no room.
    pub fn seal_into(
        &self,
        place: &Place<'_>,
        plaintext: &[u8],
        value: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        self.seal_with(&rng::bytes(), place, plaintext, value)
    }

    /// The same under a nonce that was drawn at random for this value.
    pub(super) fn seal_with(
        &self,
        nonce: &[u8; NONCE_LEN],
        place: &Place<'_>,
        plaintext: &[u8],
        value: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        value.clear();
        // Room for all of it before the plaintext comes: a buffer that is outgrown is not wiped.
        let aad_len = place.aad_len();
        value.reserve(
            plaintext
                .len()
                .saturating_add(super::OVERHEAD)
                .saturating_add(aad_len),
        );
        value.extend_from_slice(&self.header());
        value.extend_from_slice(nonce);
        let start = value.len();
        value.extend_from_slice(plaintext);
        let end = value.len();
        place.write_aad(&self.header(), value);

        let (message, aad) = value.split_at_mut(end);
        let body = message.get_mut(start..).unwrap_or_default();
        let sealed = self.cipher.seal(nonce, aad, body);
        let Ok(tag) = sealed else {
            value.zeroize();
            return Err(ValueError::TooLong);
        };
        value.truncate(end);
        value.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens one value in place of what `plaintext` holds. Allocates only where that has no room. On an error
    /// `plaintext` is empty.
    pub fn open_into(
        &self,
        place: &Place<'_>,
        value: &[u8],
        plaintext: &mut Secret<Vec<u8>>,
    ) -> Result<(), ValueError> {
        let parsed = Parsed::of(value)
            .and_then(|parsed| match parsed.dek_no == self.dek_no {
                true => Ok(parsed),
                false => Err(ValueError::UnknownDek(parsed.dek_no)),
            })
            .inspect_err(|_| plaintext.expose_mut().clear())?;
        let len = parsed.sealed.len().saturating_add(place.aad_len());
        let buffer = with_room(plaintext, len);
        buffer.extend_from_slice(parsed.sealed);
        let end = buffer.len();
        place.write_aad(&self.header(), buffer);

        let (sealed, aad) = buffer.split_at_mut(end);
        let opened = self
            .cipher
            .open(parsed.nonce, aad, sealed)
            .map(|plain| plain.len());
        buffer.truncate(opened.unwrap_or(0));
        opened.map(drop).map_err(|_| ValueError::WrongKeyOrPlace)
    }

    fn header(&self) -> [u8; HEADER_LEN] {
        let [a, b, c, d] = self.dek_no.to_be_bytes();
        [FORMAT, a, b, c, d]
    }
}

impl Place<'_> {
    fn parts(&self) -> [&[u8]; 3] {
        [self.table.as_bytes(), self.column.as_bytes(), self.key]
    }

    fn aad_len(&self) -> usize {
        self.parts().iter().fold(HEADER_LEN, |len, part| {
            len.saturating_add(size_of::<u64>())
                .saturating_add(part.len())
        })
    }

    /// Appends the additional data: the header, then each part behind its length as u64, so that no two places give the
    /// same bytes.
    fn write_aad(&self, header: &[u8; HEADER_LEN], out: &mut Vec<u8>) {
        out.extend_from_slice(header);
        for part in self.parts() {
            out.extend_from_slice(&(part.len() as u64).to_be_bytes());
            out.extend_from_slice(part);
        }
    }
}

/// A value's fields. Nothing of it is proven.
pub(super) struct Parsed<'a> {
    pub(super) dek_no: u32,
    nonce: &'a [u8; NONCE_LEN],
    sealed: &'a [u8],
}

impl<'a> Parsed<'a> {
    /// Total: any bytes give fields or [`ValueError::NotAValue`].
    pub(super) fn of(value: &'a [u8]) -> Result<Self, ValueError> {
        Self::split(value).ok_or(ValueError::NotAValue)
    }

    fn split(value: &'a [u8]) -> Option<Self> {
        let ([format, dek_no @ ..], rest) = value.split_first_chunk::<HEADER_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        (*format == FORMAT && sealed.len() >= TAG_LEN).then_some(Self {
            dek_no: u32::from_be_bytes(*dek_no),
            nonce,
            sealed,
        })
    }
}

#[expect(
    clippy::expect_used,
    reason = "32 bytes is far below HKDF's limit of 255 blocks"
)]
fn derive(dek: &Protected<32>, key: &mut [u8; xaes::KEY_LEN]) {
    kdf::expand_sha512(dek.expose(), &[LABEL], key).expect("HKDF gives 32 bytes");
}

/// The buffer, empty, with room for `len` bytes. One that is too short is wiped and replaced: growing would leave a copy.
fn with_room(plaintext: &mut Secret<Vec<u8>>, len: usize) -> &mut Vec<u8> {
    if plaintext.expose().capacity() < len {
        *plaintext = Secret::new(Vec::with_capacity(len));
    }
    let buffer = plaintext.expose_mut();
    buffer.clear();
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{OVERHEAD, dek_no, open_value, seal_value};
    use proptest::prelude::*;
    use std::sync::Arc;

    const HERE: Place<'static> = Place {
        table: "customers",
        column: "iban",
        key: b"4711",
    };

    fn key(dek_no: u32, dek: u8) -> Arc<ValueKey> {
        let dek = Protected::init_with(|bytes| bytes.fill(dek));
        Arc::new(ValueKey::new(dek_no, &dek))
    }

    #[test]
    fn a_value_has_the_documented_layout() {
        let sealed = seal_value(&key(0x0102_0304, 7), &HERE, b"text").unwrap();
        assert_eq!(sealed.len(), 4 + OVERHEAD);
        assert_eq!((OVERHEAD, &sealed[..5]), (45, &[1, 1, 2, 3, 4][..]));
        assert_eq!(dek_no(&sealed).unwrap(), 0x0102_0304);

        // Opened step by step, as the page says.
        let mut derived = [0; 32];
        kdf::expand_sha512(&[7; 32], &[b"keyfold/1 values"], &mut derived).unwrap();
        let mut aad = sealed[..5].to_vec();
        for part in [&b"customers"[..], b"iban", b"4711"] {
            aad.extend([0, 0, 0, 0, 0, 0, 0, part.len() as u8]);
            aad.extend(part);
        }
        let nonce = sealed[5..29].try_into().unwrap();
        let mut data = sealed[29..].to_vec();
        let opened = xaes::Key::new(&derived).open(nonce, &aad, &mut data);
        assert_eq!(opened.unwrap(), b"text");
    }

    #[test]
    fn a_value_opens_at_its_place_alone() {
        let key = key(1, 7);
        let sealed = seal_value(&key, &HERE, b"text").unwrap();
        assert!(open_value(&key, &HERE, &sealed).unwrap().ct_eq(b"text"));
        for (table, column, row) in [
            ("customer", "siban", &b"4711"[..]),
            ("customers", "iban4", b"711"),
            ("customers", "iban", b"4712"),
            ("customers", "iban", b"471"),
            ("customersiban", "", b"4711"),
            ("", "", b""),
        ] {
            let place = Place {
                table,
                column,
                key: row,
            };
            let opened = open_value(&key, &place, &sealed);
            assert!(
                matches!(opened, Err(ValueError::WrongKeyOrPlace)),
                "{table} {column} {row:?}"
            );
        }
    }

    #[test]
    fn the_key_is_told_by_number_and_a_false_one_does_not_open() {
        let sealed = seal_value(&key(1, 7), &HERE, b"text").unwrap();
        let unknown = open_value(&key(2, 7), &HERE, &sealed);
        assert!(matches!(unknown, Err(ValueError::UnknownDek(1))));
        let mut buffer = Secret::new(b"of before".to_vec());
        let unknown = key(2, 7).open_into(&HERE, &sealed, &mut buffer);
        assert!(matches!(unknown, Err(ValueError::UnknownDek(1))));
        assert!(buffer.expose().is_empty());
        let other = open_value(&key(1, 8), &HERE, &sealed);
        assert!(matches!(other, Err(ValueError::WrongKeyOrPlace)));
        // The number is authenticated: the same DEK under another number does not open it either.
        let mut renamed = sealed;
        renamed[4] = 2;
        let moved = open_value(&key(2, 7), &HERE, &renamed);
        assert!(matches!(moved, Err(ValueError::WrongKeyOrPlace)));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let key = key(1, 7);
        let sealed = seal_value(&key, &HERE, b"a value").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open_value(&key, &HERE, &flipped).is_err(), "bit {bit}");
        }
        for len in 0..OVERHEAD {
            let cut = open_value(&key, &HERE, &sealed[..len]);
            assert!(matches!(cut, Err(ValueError::NotAValue)), "cut to {len}");
        }
        for len in OVERHEAD..sealed.len() {
            assert!(open_value(&key, &HERE, &sealed[..len]).is_err());
        }
        let longer = [&sealed[..], b"x"].concat();
        assert!(open_value(&key, &HERE, &longer).is_err());
    }

    #[test]
    fn buffers_are_used_again() {
        let (key, mut value, mut plain) = (key(1, 7), Vec::new(), Secret::new(Vec::new()));
        for text in [&[b'a'; 300][..], b"", b"short", &[b'b'; 300]] {
            key.seal_into(&HERE, text, &mut value).unwrap();
            key.open_into(&HERE, &value, &mut plain).unwrap();
            assert!(plain.ct_eq(text));
        }
        let (sealed_at, opened_at) = (value.as_ptr(), plain.expose().as_ptr());
        key.seal_into(&HERE, &[b'c'; 300], &mut value).unwrap();
        key.open_into(&HERE, &value, &mut plain).unwrap();
        assert_eq!(
            (value.as_ptr(), plain.expose().as_ptr()),
            (sealed_at, opened_at)
        );
        value[20] ^= 1;
        assert!(key.open_into(&HERE, &value, &mut plain).is_err());
        assert!(
            plain.expose().is_empty(),
            "nothing of the last value is left"
        );
    }

    proptest! {
        #[test]
        fn values_come_back(
            dek_no: u32,
            table in ".{0,20}",
            column in ".{0,20}",
            row in prop::collection::vec(any::<u8>(), 0..40),
            plaintext in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            let place = Place { table: &table, column: &column, key: &row };
            let key = key(dek_no, 3);
            let sealed = seal_value(&key, &place, &plaintext).unwrap();
            prop_assert_eq!(sealed.len(), plaintext.len() + OVERHEAD);
            prop_assert!(open_value(&key, &place, &sealed).unwrap().ct_eq(&plaintext));
        }

        #[test]
        fn any_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open_value(&key(1, 7), &HERE, &bytes).is_err());
            if let Some(header) = bytes.first_chunk_mut::<HEADER_LEN>() {
                *header = [1, 0, 0, 0, 1];
            }
            prop_assert!(open_value(&key(1, 7), &HERE, &bytes).is_err());
        }
    }
}
