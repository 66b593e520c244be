//! What a path means that is not taken letter by letter.

/// The path that a request acts on, where slashes are dropped from the one that was sent or letters
/// folded. Whoever asks has to have the right to both, so that no spelling gets around a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// In its plain spelling; names in lower case.
    pub path: String,
    /// Whether the case of letters means nothing from a segment on: how many stand before it. The
    /// rules of policies are then read so, too.
    pub caseless: Option<usize>,
    /// What the path is called besides. No right to that is needed, but a rule that denies it holds.
    pub twin: Option<String>,
}

impl Meant {
    /// The path itself, without some slashes.
    pub fn plain(path: String) -> Self {
        Self {
            path,
            caseless: None,
            twin: None,
        }
    }

    /// What stands at `name`, in lower case, below a folder that ends in a slash.
    pub fn named(folder: &str, name: &str) -> Self {
        Self {
            path: format!("{folder}{name}"),
            caseless: Some(segments(folder)),
            twin: None,
        }
    }

    /// The same, where the path has another name.
    pub(crate) fn with_twin(self, twin: String) -> Self {
        Self {
            twin: Some(twin),
            ..self
        }
    }

    /// The same below a mount.
    pub(crate) fn below(self, mount: &str) -> Self {
        Self {
            path: format!("{mount}{}", self.path),
            caseless: self.caseless.map(|before| before + segments(mount)),
            twin: self.twin.map(|twin| format!("{mount}{twin}")),
        }
    }
}

fn segments(folder: &str) -> usize {
    folder.matches('/').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_counted_from_the_start_of_the_whole_path() {
        let meant = Meant::named("users/", "ann/password").below("auth/a/b/");
        assert_eq!(meant.path, "auth/a/b/users/ann/password");
        assert_eq!(meant.caseless, Some(4));
        let plain = Meant::plain("mounts/kv".to_owned()).below("sys/");
        assert_eq!(
            (plain.path.as_str(), plain.caseless),
            ("sys/mounts/kv", None)
        );
    }
}
