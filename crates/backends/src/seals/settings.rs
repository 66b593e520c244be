//! Reads what a seal is given: settings, needed ones, values that lie in a file or in the
//! environment; and the words of another server.

use keyfold_core::ports::seal::{SettingError, Settings};
use keyfold_secret::Secret;

/// Of another server's reason, characters.
const LONGEST_REASON: usize = 200;

/// A setting that may be absent; an empty one is.
pub(super) fn text<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
    let text = settings.get(name).map(String::as_str);
    text.filter(|text| !text.is_empty())
}

/// A setting that has to be there.
pub(super) fn needed<'a>(
    settings: &'a Settings,
    name: &'static str,
) -> Result<&'a str, SettingError> {
    text(settings, name).ok_or_else(|| SettingError::new(name, "is needed"))
}

/// A setting that is on or off.
pub(super) fn flag(settings: &Settings, name: &'static str) -> Result<bool, SettingError> {
    match text(settings, name) {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(_) => Err(SettingError::new(name, "has to be true or false")),
    }
}

/// A secret: the value itself, or what `file://PATH` or `env://NAME` says where to find.
pub(super) fn secret(name: &'static str, value: &str) -> Result<Revealed, SettingError> {
    let wrong = |what: String| SettingError::new(name, what);
    if let Some(path) = value.strip_prefix("file://") {
        let bytes = std::fs::read(path).map_err(|e| SettingError::unread(name, &e))?;
        return Ok(Revealed {
            bytes: Secret::new(bytes),
            from_file: true,
        });
    }
    let text = match value.strip_prefix("env://") {
        None => value.to_owned(),
        Some(variable) => {
            let found = std::env::var(variable).ok().filter(|v| !v.is_empty());
            found
                .ok_or_else(|| wrong(format!("names the variable {variable}, which is not set")))?
        }
    };
    Ok(Revealed {
        bytes: Secret::new(text.into_bytes()),
        from_file: false,
    })
}

/// A secret as it was found.
pub(super) struct Revealed {
    pub bytes: Secret<Vec<u8>>,
    /// Then it may be bytes that are no text.
    pub from_file: bool,
}

/// What another server says, for the log: cut, and without what steers a terminal.
pub(super) fn plain(text: &str) -> String {
    let visible = |c: &char| !c.is_control();
    text.chars().filter(visible).take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_lie_in_the_setting_in_a_file_or_in_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        std::fs::write(&path, b"1234\n").unwrap();
        let of = |value: &str| secret("pin", value);
        assert_eq!(of("5678").ok().unwrap().bytes.expose(), b"5678");
        let file = of(&format!("file://{}", path.display())).ok().unwrap();
        assert_eq!(file.bytes.expose(), b"1234\n");
        assert!(file.from_file);
        let home = of("env://PATH").ok().unwrap();
        assert!(!home.bytes.expose().is_empty());
        for missing in ["file:///nonexistent/pin", "env://KEYFOLD_NO_SUCH_VARIABLE"] {
            let error = of(missing).err().unwrap().to_string();
            assert!(error.starts_with("\"pin\" names"), "{error}");
        }
    }
}
