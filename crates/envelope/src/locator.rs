//! Where a KEK lives on its server: mount and key name.

use std::fmt;
use std::str::FromStr;

/// Longest locator a slot holds, in bytes.
pub const MAX_LOCATOR: usize = 127;

/// Mount and name of a KEK, written `mount/key` (`transit/payments`). The host is not part of it:
/// it comes from the configuration, and a slot's `kek_id` pins the cluster.
///
/// A locator also comes out of files, so it is checked before it becomes part of a request path:
/// no empty or dotted segment, nothing that a URL gives a meaning to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locator {
    text: String,
    /// Length of the mount part of `text`.
    mount_len: usize,
}

/// Why a text is no [`Locator`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocatorError {
    /// There is no `/` between a mount and a key.
    #[error("a key is named mount/key, for example transit/payments")]
    NoKey,
    /// More than 127 bytes.
    #[error("a key's locator is at most {MAX_LOCATOR} bytes long")]
    TooLong,
    /// A segment is empty, `.` or `..`.
    #[error("a key's locator has an empty or dotted path segment")]
    Segment,
    /// White space, a control character, or one of `? # % \ *`.
    #[error("a key's locator has a character that no mount or key name may have")]
    Character,
}

impl Locator {
    /// The mount, without a slash at its end: `transit`, `team/transit`.
    #[must_use]
    pub fn mount(&self) -> &str {
        self.text.get(..self.mount_len).unwrap_or_default()
    }

    /// The key's name.
    #[must_use]
    pub fn key(&self) -> &str {
        self.text
            .get(self.mount_len.saturating_add(1)..)
            .unwrap_or_default()
    }

    /// `mount/key`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Locator {
    type Err = LocatorError;

    fn from_str(text: &str) -> Result<Self, LocatorError> {
        if text.len() > MAX_LOCATOR {
            return Err(LocatorError::TooLong);
        }
        let Some(mount_len) = text.rfind('/') else {
            return Err(LocatorError::NoKey);
        };
        if text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || "?#%\\*".contains(c))
        {
            return Err(LocatorError::Character);
        }
        if text
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err(LocatorError::Segment);
        }
        Ok(Self {
            text: text.to_owned(),
            mount_len,
        })
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_last_slash() {
        let locator: Locator = "team/transit/payments".parse().unwrap();
        assert_eq!(
            (locator.mount(), locator.key()),
            ("team/transit", "payments")
        );
        assert_eq!(locator.to_string(), "team/transit/payments");
    }

    #[test]
    fn refuses_what_could_leave_its_path() {
        for (text, error) in [
            ("payments", LocatorError::NoKey),
            ("", LocatorError::NoKey),
            ("/payments", LocatorError::Segment),
            ("transit/", LocatorError::Segment),
            ("a//b", LocatorError::Segment),
            ("transit/../sys", LocatorError::Segment),
            ("transit/.", LocatorError::Segment),
            ("transit/a?b", LocatorError::Character),
            ("transit/a%2f", LocatorError::Character),
            ("transit/a b", LocatorError::Character),
            ("transit/a\n", LocatorError::Character),
        ] {
            assert_eq!(text.parse::<Locator>(), Err(error), "{text:?}");
        }
        assert_eq!(
            format!("t/{}", "k".repeat(126)).parse::<Locator>(),
            Err(LocatorError::TooLong)
        );
        assert!(format!("t/{}", "k".repeat(125)).parse::<Locator>().is_ok());
    }
}
