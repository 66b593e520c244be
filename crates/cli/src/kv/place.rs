//! [`Place`]: which mount a secret is in, and whether that keeps versions.

use keyfold_client::Request;
use serde_json::Value;

use crate::error::CliError;
use crate::output::Answer;
use crate::session::Session;

/// A secret's mount and the path inside it.
pub(super) struct Place {
    /// Ends with a slash.
    mount: String,
    inside: String,
    versioned: bool,
}

impl Place {
    /// Asks the server which mount the path belongs to. Where it does not know that call (old
    /// servers), the whole path is taken as it is, in a mount without versions.
    pub(super) fn find(
        session: &Session,
        named: Option<&str>,
        path: &str,
    ) -> Result<Self, CliError> {
        let within = match named {
            Some(mount) => mount.trim_matches('/'),
            None => path.trim_start_matches('/'),
        };
        let asked = format!("sys/internal/ui/mounts/{within}");
        let response = session.ask(&Request::read(&asked).unwrapped())?;
        if response.status == 404 {
            return Ok(Self::of(named, path, "", false));
        }
        let answer = Answer::of(&response.success()?)?;
        let mount = answer.datum("path").and_then(Value::as_str);
        let mount = mount.ok_or(CliError::Answer("path"))?;
        let version = answer
            .datum("options")
            .and_then(|options| options.get("version"));
        let versioned = version.is_some_and(|version| version == "2" || version == 2);
        Ok(Self::of(named, path, mount, versioned))
    }

    fn of(named: Option<&str>, path: &str, mount: &str, versioned: bool) -> Self {
        let path = path.trim_start_matches('/');
        let mount = match named {
            Some(named) if mount.is_empty() => named.trim_matches('/'),
            _ => mount.trim_matches('/'),
        };
        let inside = match named {
            Some(_) => path,
            // The path may be the mount itself, without its slash.
            None => path
                .strip_prefix(mount)
                .unwrap_or(path)
                .trim_start_matches('/'),
        };
        Self {
            mount: if mount.is_empty() {
                String::new()
            } else {
                format!("{mount}/")
            },
            inside: inside.to_owned(),
            versioned,
        }
    }

    /// Whether the mount keeps versions.
    pub(super) fn is_versioned(&self) -> bool {
        self.versioned
    }

    /// The path of an API call; a mount with versions has several trees: `data`, `metadata`, ….
    pub(super) fn api_path(&self, tree: &str) -> String {
        if self.versioned {
            format!("{}{tree}/{}", self.mount, self.inside)
        } else {
            format!("{}{}", self.mount, self.inside)
        }
    }

    /// The command that lists what is beside the secret.
    pub(super) fn above(&self) -> String {
        match self.inside.trim_end_matches('/').rsplit_once('/') {
            Some((folder, _)) => format!("keyfold kv list {}{folder}/", self.mount),
            None if self.inside.is_empty() || self.mount.is_empty() => {
                "keyfold secrets list".to_owned()
            }
            None => format!("keyfold kv list {}", self.mount),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(mount: Option<&str>, path: &str, found: &str, versioned: bool) -> String {
        Place::of(mount, path, found, versioned).api_path("data")
    }

    #[test]
    fn the_mount_is_split_where_the_server_says() {
        for (mount, given, found, expected) in [
            (None, "secret/a/b", "secret/", "secret/data/a/b"),
            (None, "/secret/a", "secret/", "secret/data/a"),
            (None, "a/b/c", "a/b/", "a/b/data/c"),
            (None, "secret", "secret/", "secret/data/"),
            (Some("a/b"), "c", "a/b/", "a/b/data/c"),
            (Some("a/"), "c", "a/", "a/data/c"),
            (Some("a"), "a/c", "a/", "a/data/a/c"),
            (Some("a"), "", "a/", "a/data/"),
        ] {
            assert_eq!(path(mount, given, found, true), expected);
        }
        assert_eq!(path(None, "kv1/a", "kv1/", false), "kv1/a");
        assert_eq!(path(None, "old/a", "", false), "old/a");
        assert_eq!(path(Some("old"), "a", "", false), "old/a");
    }
    #[test]
    fn what_is_beside_a_secret_can_be_listed() {
        let above = |path| Place::of(None, path, "secret/", true).above();
        assert_eq!(above("secret/a/b"), "keyfold kv list secret/a/");
        assert_eq!(above("secret/a"), "keyfold kv list secret/");
        assert_eq!(above("secret/"), "keyfold secrets list");
    }
}
