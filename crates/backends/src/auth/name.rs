//! Names of users and roles, as they stand in paths.

/// A name in lower case: letters, digits and underscores, with dots and hyphens in between. None
/// where the text can't be a name.
pub fn fold(text: &str) -> Option<String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let (first, last) = (text.bytes().next()?, text.bytes().next_back()?);
    let inner = text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'));
    (word(first) && word(last) && inner).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn names() {
        for name in ["ann", "a", "a.b-c_d", "_1"] {
            assert_eq!(fold(name).as_deref(), Some(name));
        }
        assert_eq!(fold("MixedCase").as_deref(), Some("mixedcase"));
        for other in ["", "a.", "-a", "a b", "a/b", "a@b", "é", "a\u{212a}"] {
            assert_eq!(fold(other), None, "{other}");
        }
    }
}
