//! A value as text, for columns and documents that take no bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{ValueError, dek_no};

const PREFIX: &str = "kf1:";

/// `kf1:` and the value in base64url without padding.
#[must_use]
pub fn to_text(value: &[u8]) -> String {
    let mut text = PREFIX.to_owned();
    URL_SAFE_NO_PAD.encode_string(value, &mut text);
    text
}

/// The value of a text. Each value has one text: padding, white space and other alphabets are refused.
pub fn from_text(text: &str) -> Result<Vec<u8>, ValueError> {
    let value = text
        .strip_prefix(PREFIX)
        .and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded).ok())
        .ok_or(ValueError::NotAValue)?;
    dek_no(&value)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::OVERHEAD;
    use proptest::prelude::*;

    #[test]
    fn one_text_for_each_value() {
        let mut value = vec![0xfb; OVERHEAD + 1];
        value[0] = 1;
        let text = to_text(&value);
        assert!(text.starts_with("kf1:Afv7-_v7"), "{text}");
        assert_eq!(from_text(&text).unwrap(), value);
        for other in [
            text.replace("kf1:", ""),
            text.replace("kf1:", "kf2:"),
            text.replace('-', "+"),
            format!("{text}=="),
            format!("{text}\n"),
            // The bits that the last character has too many.
            format!("{}x", &text[..text.len() - 1]),
            "kf1:".to_owned(),
            to_text(&value[..OVERHEAD - 1]),
            to_text(b"another format, and long enough to be a value"),
        ] {
            assert!(
                matches!(from_text(&other), Err(ValueError::NotAValue)),
                "{other}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_refused(text in "(kf1:)?[A-Za-z0-9_=+/-]{0,120}") {
            if let Ok(value) = from_text(&text) {
                prop_assert_eq!(to_text(&value), text);
            }
        }
    }
}
