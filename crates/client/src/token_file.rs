//! [`TokenFile`]: the token kept between two commands, `~/.vault-token`.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use keyfold_secret::Secret;

/// A file with one token, readable by its owner alone; other clients use the same one.
#[derive(Clone, Debug)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The file below a home folder.
    pub fn in_home(home: &Path) -> Self {
        Self {
            path: home.join(".vault-token"),
        }
    }

    /// Another file.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The token, without the white space around it; `None` where there is no file or it is empty.
    ///
    /// # Errors
    ///
    /// That of reading, or `InvalidData` where it is no text.
    pub fn read(&self) -> io::Result<Option<Secret<String>>> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => Secret::new(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = std::str::from_utf8(bytes.expose())
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, "a token is text"))?
            .trim();
        Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
    }

    /// Keeps `token`, in place of what was there. The file is whole at any time.
    ///
    /// # Errors
    ///
    /// That of writing; the old token is then still there.
    pub fn write(&self, token: &Secret<String>) -> io::Result<()> {
        let name = format!(".vault-token.{}.tmp", std::process::id());
        let temporary = self.path.with_file_name(name);
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            // A left-over of another run keeps its mode through `open`.
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            file.write_all(token.expose().as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)
        })();
        if written.is_err() {
            // The error to report is the first one.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Forgets the token.
    ///
    /// # Errors
    ///
    /// That of removing; a file that is not there is no error.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let file = TokenFile::in_home(home.path());
        assert!(file.read().unwrap().is_none());
        fs::write(file.path(), "old").unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        file.write(&Secret::new("hvs.new".to_owned())).unwrap();
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(file.read().unwrap().unwrap().ct_eq(b"hvs.new"));
        assert_eq!(
            fs::read_dir(home.path()).unwrap().count(),
            1,
            "no left-over"
        );
        file.remove().unwrap();
        file.remove().unwrap();
        assert!(file.read().unwrap().is_none());
    }

    #[test]
    fn white_space_is_no_part_of_a_token() {
        let home = tempfile::tempdir().unwrap();
        let file = TokenFile::in_home(home.path());
        fs::write(file.path(), "  hvs.x\r\n").unwrap();
        assert!(file.read().unwrap().unwrap().ct_eq(b"hvs.x"));
        fs::write(file.path(), "\n").unwrap();
        assert!(file.read().unwrap().is_none());
        fs::write(file.path(), [0xFF]).unwrap();
        assert!(file.read().is_err());
    }
}
