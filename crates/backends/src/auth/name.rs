//! Names of users and roles, as they stand in paths.

/// Bytes of the longest name.
const LONGEST: usize = 512;

/// A name in lower case: letters, digits and underscores, with dots and hyphens in between. None
/// where the text can't be a name.
pub fn fold(text: &str) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let (first, last) = (text.bytes().next()?, text.bytes().next_back()?);
    let inner = text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'));
    (word(first) && word(last) && inner).then(|| text.to_ascii_lowercase())
}

/// The path with its name folded, where one stands below a folder in another spelling.
pub fn meant(folder: &str, path: &str) -> Option<String> {
    let below = path.strip_prefix(folder)?;
    let (name, rest) = below.split_at(below.find('/').unwrap_or(below.len()));
    let folded = fold(name).filter(|folded| folded != name)?;
    Some(format!("{folder}{folded}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::{fold, meant};

    #[test]
    fn only_another_spelling_means_something_else() {
        assert_eq!(
            meant("users/", "users/Ann/password").as_deref(),
            Some("users/ann/password")
        );
        assert_eq!(meant("users/", "users/ANN").as_deref(), Some("users/ann"));
        for path in ["users/ann", "users/", "login/Ann", "users/A b"] {
            assert_eq!(meant("users/", path), None, "{path}");
        }
    }

    #[test]
    fn names() {
        for name in ["ann", "a", "a.b-c_d", "_1"] {
            assert_eq!(fold(name).as_deref(), Some(name));
        }
        assert_eq!(fold("MixedCase").as_deref(), Some("mixedcase"));
        assert_eq!(fold(&"a".repeat(512)), Some("a".repeat(512)));
        assert_eq!(fold(&"a".repeat(513)), None);
        for other in ["", "a.", "-a", "a b", "a/b", "a@b", "é", "a\u{212a}"] {
            assert_eq!(fold(other), None, "{other}");
        }
    }
}
