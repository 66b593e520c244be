//! The settings that name the key.

use keyfold_core::ports::seal::{SettingError, Settings};

use super::super::settings::{flag, needed, text};

/// Which key, and how it is used.
pub(super) struct Terms {
    /// Without slashes at its ends.
    pub mount: String,
    pub key: String,
    /// Before the key's version in the id.
    pub prefix: String,
    /// The token is kept alive.
    pub renew: bool,
}

impl Terms {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            mount: segments(
                "mount_path",
                text(settings, "mount_path").unwrap_or("transit"),
            )?,
            key: segments("key_name", needed(settings, "key_name")?)?,
            prefix: text(settings, "key_id_prefix")
                .unwrap_or_default()
                .to_owned(),
            renew: !flag(settings, "disable_renewal")?,
        })
    }
}

/// Names that may stand in an address as they are.
fn segments(name: &'static str, path: &str) -> Result<String, SettingError> {
    let path = path.trim_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    let sound = |segment: &str| !matches!(segment, "" | "." | "..") && segment.chars().all(plain);
    match path.split('/').all(sound) {
        true => Ok(path.to_owned()),
        false => Err(SettingError::new(
            name,
            "has a segment that is empty or no name",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        let of = |mount: &str, key: &str| {
            let pairs = [("mount_path", mount), ("key_name", key)];
            let settings = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
            Terms::read(&settings).map(|terms| (terms.mount, terms.key))
        };
        let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(of("", "k"), pair("transit", "k"));
        assert_eq!(of("/a/b/", "k-1"), pair("a/b", "k-1"));
        assert!(of("a//b", "k").is_err() && of("a/../sys", "k").is_err() && of("", "").is_err());
        assert!(of("a", "k?x=1").is_err());
    }
}
