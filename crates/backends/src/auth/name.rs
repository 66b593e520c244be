//! Names of users and roles, as they stand in paths.

use keyfold_core::ports::engine::Meant;

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

/// The path with its name folded, where one stands below a folder.
pub fn meant(folder: &str, path: &str) -> Option<Meant> {
    let below = path.strip_prefix(folder)?;
    let (name, rest) = below.split_at(below.find('/').unwrap_or(below.len()));
    Some(Meant::named(folder, &format!("{}{rest}", fold(name)?)))
}

#[cfg(test)]
mod tests {
    use super::{fold, meant};

    #[test]
    fn a_name_below_its_folder_is_read_without_case() {
        for (path, folded) in [
            ("users/Ann/password", "users/ann/password"),
            ("users/ANN", "users/ann"),
            ("users/ann", "users/ann"),
        ] {
            let meant = meant("users/", path).unwrap();
            assert_eq!((meant.path.as_str(), meant.caseless), (folded, Some(1)));
        }
        for path in ["users/", "login/Ann", "users/A b"] {
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
