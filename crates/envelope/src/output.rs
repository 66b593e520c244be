//! An output file that appears under its name only when it is whole.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use keyfold_keys::rng;

use crate::error::Error;

/// A file under a temporary name in the target's directory. Dropped without [`Output::publish`],
/// it is removed.
pub struct Output {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    overwrite: bool,
    published: bool,
}

impl Output {
    /// Removes what killed runs left under temporary names of `target`: files that nobody has open
    /// to write. What can't be removed stays; it is in nobody's way.
    pub(crate) fn sweep(target: &Path) {
        let Ok(start) = temporary_start(target) else {
            return;
        };
        let entries = fs::read_dir(parent(target)).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| is_temporary(&entry.file_name(), &start)) {
            let abandoned = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
            if abandoned {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Makes the temporary file, readable by its owner only.
    pub fn create(target: &Path, overwrite: bool) -> Result<Self, Error> {
        if !overwrite && fs::symlink_metadata(target).is_ok() {
            return Err(Error::OutputExists(target.to_owned()));
        }
        let temporary = temporary_name(target)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(|error| unwritten(target, &error))?;
        // Says that it is in use: see `sweep`. Where there are no locks nothing is swept either.
        let _ = file.try_lock();
        Ok(Self {
            file,
            temporary,
            target: target.to_owned(),
            overwrite,
            published: false,
        })
    }

    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes it so long.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        self.file
            .set_len(len)
            .map_err(|error| self.unwritten(error))
    }

    /// Writes all of `bytes` at a place of it.
    pub fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let written = self.file.write_all_at(bytes, at);
        written.map_err(|error| self.unwritten(error))
    }

    /// Makes the file durable and gives it its name and, where given, its permissions. Without
    /// `overwrite` a file that appeared under the name meanwhile is left alone.
    pub fn publish(mut self, permissions: Option<Permissions>) -> Result<(), Error> {
        let named = self.name(permissions);
        named.map_err(|error| self.blamed(error))
    }

    fn name(&mut self, permissions: Option<Permissions>) -> Result<(), Error> {
        if let Some(permissions) = permissions {
            // Read and write bits only: no set-uid, no execute bit of a script.
            let mode = permissions.mode() & 0o666;
            self.file.set_permissions(Permissions::from_mode(mode))?;
        }
        self.file.sync_all()?;
        if self.overwrite {
            fs::rename(&self.temporary, &self.target)?;
        } else {
            self.name_without_overwriting()?;
        }
        self.published = true;
        File::open(parent(&self.target))?.sync_all()?;
        Ok(())
    }

    /// Makes the file durable and puts it in the place of the target, with the owner and the mode of
    /// what was there, which is `old`. [`Error::InputChanged`] where something else is there by now.
    pub(crate) fn replace(mut self, old: &Metadata) -> Result<(), Error> {
        let replaced = self.take_place(old);
        replaced.map_err(|error| self.blamed(error))
    }

    fn take_place(&mut self, old: &Metadata) -> Result<(), Error> {
        let own = self.file.metadata()?;
        if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
            fchown(&self.file, Some(old.uid()), Some(old.gid()))?;
        }
        let mode = Permissions::from_mode(old.mode() & 0o7777);
        self.file.set_permissions(mode)?;
        self.file.sync_all()?;
        let now = fs::symlink_metadata(&self.target)?;
        if (now.dev(), now.ino()) != (old.dev(), old.ino()) {
            return Err(Error::InputChanged);
        }
        fs::rename(&self.temporary, &self.target)?;
        self.published = true;
        File::open(parent(&self.target))?.sync_all()?;
        Ok(())
    }

    fn blamed(&self, error: Error) -> Error {
        match error {
            Error::Io(error) => self.unwritten(error).into(),
            other => other,
        }
    }

    fn unwritten(&self, error: io::Error) -> io::Error {
        match error.kind() {
            ErrorKind::Interrupted => error,
            _ => unwritten(&self.target, &error),
        }
    }

    fn name_without_overwriting(&self) -> Result<(), Error> {
        match fs::hard_link(&self.temporary, &self.target) {
            Ok(()) => Ok(fs::remove_file(&self.temporary)?),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Error::OutputExists(self.target.clone()))
            }
            // A file system without hard links: look, then rename.
            Err(error) if is_unsupported(&error) => {
                if fs::symlink_metadata(&self.target).is_ok() {
                    return Err(Error::OutputExists(self.target.clone()));
                }
                Ok(fs::rename(&self.temporary, &self.target)?)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// For a stream; behind what was written before.
impl Write for &Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = (&self.file).write(bytes);
        written.map_err(|error| self.unwritten(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.published {
            // The error that led here is the one worth reporting.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// An error that says what could not be written: whoever reads it may have named the input alone.
fn unwritten(target: &Path, error: &io::Error) -> io::Error {
    let text = format!("can't write {}: {error}", target.display());
    io::Error::new(error.kind(), text)
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unsupported | ErrorKind::PermissionDenied
    )
}

/// `.NAME.<random>.part` beside the target.
fn temporary_name(target: &Path) -> Result<PathBuf, Error> {
    Ok(parent(target).join(format!(
        "{}{:016x}.part",
        temporary_start(target)?,
        u64::from_be_bytes(rng::bytes())
    )))
}

/// What stands before the random part.
fn temporary_start(target: &Path) -> Result<String, Error> {
    let name = target
        .file_name()
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the output has no file name"))?;
    // A name of up to 255 bytes keeps some of its start; the rest is cut to make room.
    let start: String = name.to_string_lossy().chars().take(48).collect();
    Ok(format!(".{start}."))
}

/// True for a temporary name with this start.
fn is_temporary(name: &OsStr, start: &str) -> bool {
    let name = name.to_string_lossy();
    let random = name.strip_prefix(start);
    let random = random.and_then(|rest| rest.strip_suffix(".part"));
    random.is_some_and(|hex| hex.len() == 16 && hex.bytes().all(|c| c.is_ascii_hexdigit()))
}

/// True for a name that an output has until it is whole: what lies there is nobody's.
pub(crate) fn is_part(name: &OsStr) -> bool {
    let text = name.to_string_lossy();
    let start = text.strip_suffix(".part").and_then(|rest| {
        let start = rest.get(..rest.len().checked_sub(16)?)?;
        start.strip_prefix('.')?.ends_with('.').then_some(start)
    });
    start.is_some_and(|start| is_temporary(name, start))
}

fn parent(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appears_only_when_published() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let output = Output::create(&target, false).unwrap();
        output.file().write_all(b"whole").unwrap();
        assert!(!target.exists());
        output
            .publish(Some(Permissions::from_mode(0o4755)))
            .unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        assert_eq!(
            fs::metadata(&target).unwrap().permissions().mode() & 0o7777,
            0o644
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_dropped_output_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(Output::create(&dir.path().join(&*"x".repeat(255)), false).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn overwrites_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let late = Output::create(&target, false).unwrap();
        fs::write(&target, b"theirs").unwrap();
        assert!(matches!(
            Output::create(&target, false),
            Err(Error::OutputExists(_))
        ));
        assert!(matches!(late.publish(None), Err(Error::OutputExists(_))));
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        Output::create(&target, true)
            .unwrap()
            .publish(None)
            .unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_name_that_is_not_yet_one_is_known() {
        let made = temporary_name(Path::new("dir/a.kf")).unwrap();
        assert!(is_part(made.file_name().unwrap()));
        for other in [
            "a.kf",
            ".part",
            "..part",
            ".0123456789abcdef.part",
            "a.0123456789abcdef.part",
            ".a.kf.0123456789abcdeg.part",
            ".a.kf-0123456789abcdef.part",
            ".a.kf.0123456789abcdef.part.kf",
            ".ä0123456789abcde.part",
        ] {
            assert!(!is_part(OsStr::new(other)), "{other}");
        }
    }
}
