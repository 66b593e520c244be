//! The text form of a ciphertext: `vault:v<version>:<base64>`.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const PREFIX: &str = "vault:v";

/// Padding is demanded; bits of the last character that stand for nothing are not looked at, as
/// by existing servers.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// A ciphertext whose version is read and whose bytes are still text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ciphertext<'a> {
    /// The key version as written, which may be one that no key can have; 0, which the first
    /// servers wrote, is read as 1.
    pub version: i64,
    payload: &'a str,
}

/// The text is no ciphertext. Texts are those that clients of existing servers know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CiphertextError {
    /// It does not start with `vault:v`.
    #[error("invalid ciphertext: no prefix")]
    Prefix,
    /// The colon after the version is missing.
    #[error("invalid ciphertext: wrong number of fields")]
    Fields,
    /// The version is no integer of 64 bits.
    #[error("invalid ciphertext: version number could not be decoded")]
    Version,
    /// What follows the version is not base64 of the standard alphabet with padding.
    #[error("invalid ciphertext: could not decode base64")]
    Base64,
}

impl<'a> Ciphertext<'a> {
    /// Reads the version.
    ///
    /// # Errors
    ///
    /// All of [`CiphertextError`] but the last.
    pub fn parse(text: &'a str) -> Result<Self, CiphertextError> {
        let rest = text.strip_prefix(PREFIX).ok_or(CiphertextError::Prefix)?;
        let (version, payload) = rest.split_once(':').ok_or(CiphertextError::Fields)?;
        let version: i64 = version.parse().map_err(|_| CiphertextError::Version)?;
        Ok(Self {
            version: if version == 0 { 1 } else { version },
            payload,
        })
    }

    /// The bytes: nonce, ciphertext, tag. Line breaks in the base64 are skipped.
    ///
    /// # Errors
    ///
    /// [`CiphertextError::Base64`].
    pub fn decode(&self) -> Result<Vec<u8>, CiphertextError> {
        let decoded = if self.payload.contains(['\r', '\n']) {
            let compact: Vec<u8> = self
                .payload
                .bytes()
                .filter(|byte| !matches!(byte, b'\r' | b'\n'))
                .collect();
            BASE64.decode(compact)
        } else {
            BASE64.decode(self.payload)
        };
        decoded.map_err(|_| CiphertextError::Base64)
    }

    /// What follows the version, as it is written.
    pub fn payload(&self) -> &'a str {
        self.payload
    }

    /// Writes bytes that the key's `version` made.
    pub fn format(version: u32, bytes: &[u8]) -> String {
        Self::format_with(&BASE64, version, bytes)
    }

    /// The same in base64 for URLs, without padding, as signatures of JWS have it.
    pub fn format_url(version: u32, bytes: &[u8]) -> String {
        Self::format_with(&URL_SAFE_NO_PAD, version, bytes)
    }

    fn format_with(base64: &GeneralPurpose, version: u32, bytes: &[u8]) -> String {
        // Prefix, at most ten digits, a colon; four characters for each three bytes.
        let mut text = String::with_capacity(PREFIX.len() + 11 + bytes.len().div_ceil(3) * 4);
        text.push_str(PREFIX);
        text.push_str(&version.to_string());
        text.push(':');
        base64.encode_string(bytes, &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Result<i64, CiphertextError> {
        Ciphertext::parse(text).map(|ciphertext| ciphertext.version)
    }

    fn bytes(text: &str) -> Result<Vec<u8>, CiphertextError> {
        Ciphertext::parse(text)?.decode()
    }

    #[test]
    fn versions() {
        assert_eq!(version("vault:v1:aGVsbG8="), Ok(1));
        assert_eq!(version("vault:v0:aGVsbG8="), Ok(1));
        assert_eq!(version("vault:v-1:aGVsbG8="), Ok(-1));
        assert_eq!(version("vault:v4294967296:"), Ok(4_294_967_296));
        for text in [
            "vault:v:aGVsbG8=",
            "vault:vx:",
            "vault:v99999999999999999999:",
            "vault:v1.0:",
        ] {
            assert_eq!(version(text), Err(CiphertextError::Version), "{text}");
        }
        for text in [
            "",
            "aGVsbG8=",
            "bao:v1:aGVsbG8=",
            "VAULT:v1:aGVsbG8=",
            "vault:1:",
        ] {
            assert_eq!(version(text), Err(CiphertextError::Prefix), "{text}");
        }
        assert_eq!(version("vault:v1"), Err(CiphertextError::Fields));
    }

    #[test]
    fn base64() {
        assert_eq!(bytes("vault:v1:aGVsbG8=").unwrap(), b"hello");
        assert_eq!(bytes("vault:v1:aGVs\r\nbG8=\n").unwrap(), b"hello");
        assert_eq!(
            bytes("vault:v1:YR==").unwrap(),
            b"a",
            "unused bits are not looked at"
        );
        assert_eq!(bytes("vault:v1:").unwrap(), b"");
        for text in [
            "!!!",
            "aGVsbG8",
            "aGVs bG8=",
            "-_-_",
            "aGVsbG8=:",
            "aGVsbG8==",
            "é",
        ] {
            assert_eq!(
                bytes(&format!("vault:v1:{text}")),
                Err(CiphertextError::Base64),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(version: u32, content: Vec<u8>) {
            let text = Ciphertext::format(version.max(1), &content);
            let read = Ciphertext::parse(&text).unwrap();
            prop_assert_eq!(read.version, i64::from(version.max(1)));
            prop_assert_eq!(read.decode().unwrap(), content);
        }

        #[test]
        fn no_text_makes_it_panic(text: String, tail: String) {
            let _ = bytes(&text);
            let _ = bytes(&format!("vault:v1:{tail}"));
        }
    }
}
