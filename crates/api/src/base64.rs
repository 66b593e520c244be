//! Base64 of the wire: the standard alphabet, padded, with line breaks allowed anywhere and bits
//! that the last character does not need ignored, as existing servers read it.

use std::borrow::Cow;

use ::base64::engine::general_purpose::{GeneralPurpose, PAD};
use ::base64::{DecodeError, Engine as _, alphabet};
use memchr::memchr2;

const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    PAD.with_decode_allow_trailing_bits(true),
);

/// The caller's text is no base64. Holds where, not what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal base64 data at input byte {at}")]
pub struct Base64Error {
    /// Offset of the first byte that does not fit, line breaks counted.
    pub at: usize,
}

/// Decodes; CR and LF are skipped, as existing servers do.
pub fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    let compact = without_line_breaks(text);
    STANDARD.decode(compact.as_bytes()).map_err(|error| {
        let at = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => compact.len(),
        };
        Base64Error {
            at: offset_before_compaction(text, at),
        }
    })
}

/// Encodes with padding.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn without_line_breaks(text: &str) -> Cow<'_, str> {
    if memchr2(b'\r', b'\n', text.as_bytes()).is_some() {
        Cow::Owned(text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn offset_before_compaction(text: &str, at: usize) -> usize {
    text.bytes()
        .enumerate()
        .filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'))
        .nth(at)
        .map_or(text.len(), |(offset, _)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("aGVsbG8=", b"hello"),
            ("aGVs\r\nbG8=\n", b"hello"),
            ("YR==", b"a"),
        ] {
            assert_eq!(decode(text).as_deref(), Ok(bytes), "{text:?}");
        }
    }

    #[test]
    fn says_where_it_breaks() {
        // The offsets are those of the recorded answers of the peer.
        for (text, at) in [
            ("not base64!", 3),
            ("-_-_", 0),
            ("aGVs bG8=", 4),
            ("!!", 0),
            ("aG\nV!", 4),
        ] {
            assert_eq!(decode(text), Err(Base64Error { at }), "{text:?}");
        }
        assert!(decode("aGVsbG8").is_err(), "padding is required");
        assert!(decode("é").is_err());
    }
}
