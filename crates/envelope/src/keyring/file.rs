//! [`FileStore`]: a keyring in a file.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::document::{Keyring, MAX_KEYRING};
use super::error::KeyringError;
use super::store::{Change, KeyringStore, Plan};
use crate::error::Error;
use crate::output::Output;

/// Tries for the lock, and the pause between them: 10 seconds. A change takes milliseconds.
const LOCK_TRIES: u32 = 2000;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
const OTHERS_WRITE: u32 = 0o002;

/// Keeps a keyring in a file, as JSON, readable by its owner unless somebody allows more.
///
/// A change writes another file and gives it the name: a reader, or a crash, finds the old keyring
/// or the new one. Writers take turns by a lock on the file that has the name.
pub struct FileStore {
    path: PathBuf,
    name: String,
}

impl FileStore {
    /// The keyring in this file. Nothing is read yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self {
            path: path.to_owned(),
            name: name.to_string_lossy().into_owned(),
        }
    }

    /// The file behind links: a new file must not take the place of a link.
    fn target(&self) -> Result<PathBuf, KeyringError> {
        fs::canonicalize(&self.path).map_err(|error| self.io(error))
    }

    fn open(&self, target: &Path) -> Result<File, KeyringError> {
        let file = File::open(target).map_err(|error| self.io(error))?;
        let mode = file.metadata().map_err(|error| self.io(error))?.mode();
        if mode & OTHERS_WRITE != 0 {
            return Err(KeyringError::Exposed(self.shown()));
        }
        Ok(file)
    }

    fn read(&self, file: &File) -> Result<Keyring, KeyringError> {
        let mut json = Vec::new();
        // One byte more than allowed, so that more is noticed.
        let most = (MAX_KEYRING as u64).saturating_add(1);
        let read = file.take(most).read_to_end(&mut json);
        read.map_err(|error| self.io(error))?;
        Keyring::from_json(&json)
    }

    /// Locks the file that has the name now, and keeps the lock until it is closed.
    fn lock(&self) -> Result<(PathBuf, File), KeyringError> {
        for _ in 0..LOCK_TRIES {
            let target = self.target()?;
            let file = self.open(&target)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(LOCK_PAUSE);
                    continue;
                }
                Err(TryLockError::Error(error)) => return Err(self.io(error)),
            }
            // Whoever held the lock before may have given the name to another file.
            let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
            let held = file.metadata().map(inode).map_err(|error| self.io(error))?;
            let named = fs::metadata(&target).map(inode);
            if named.map_err(|error| self.io(error))? == held {
                return Ok((target, file));
            }
        }
        Err(KeyringError::Busy(self.shown()))
    }

    /// Gives the name to a file with this keyring.
    fn write(
        &self,
        target: &Path,
        keyring: &Keyring,
        old: Option<&File>,
    ) -> Result<(), KeyringError> {
        let json = keyring.to_json()?;
        let written = || -> Result<(), Error> {
            let output = Output::create(target, old.is_some())?;
            output.file().write_all(&json)?;
            let permissions = old.map(File::metadata).transpose()?;
            output.publish(permissions.map(|metadata| metadata.permissions()))
        };
        written().map_err(|error| self.failed(error))
    }

    fn failed(&self, error: Error) -> KeyringError {
        match error {
            Error::Io(error) => self.io(error),
            Error::OutputExists(_) => KeyringError::Exists(self.shown()),
            other => self.io(io::Error::other(other)),
        }
    }

    fn io(&self, source: io::Error) -> KeyringError {
        match source.kind() {
            ErrorKind::NotFound => KeyringError::NoKeyring(self.shown()),
            _ => KeyringError::Io {
                place: self.shown(),
                source,
            },
        }
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }
}

impl KeyringStore for FileStore {
    fn place(&self) -> &str {
        &self.name
    }

    fn load(&self) -> Result<Keyring, KeyringError> {
        self.read(&self.open(&self.path)?)
    }

    fn create(&self, keyring: &Keyring) -> Result<(), KeyringError> {
        self.write(&self.path, keyring, None)
    }

    fn save(&self, changes: &[Change]) -> Result<(), KeyringError> {
        self.update(&mut |_| Ok(changes.to_vec())).map(drop)
    }

    /// Under the lock from reading to writing: nobody comes between.
    fn update(&self, plan: &mut Plan<'_>) -> Result<Keyring, KeyringError> {
        let (target, file) = self.lock()?;
        let keyring = self.read(&file)?;
        let changes = plan(&keyring)?;
        if changes.is_empty() {
            return Ok(keyring);
        }
        let next = keyring.with(&changes)?;
        self.write(&target, &next, Some(&file))?;
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::super::row::{DekState, Row};
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn keyring() -> Keyring {
        Keyring::new("payments", "transit/payments".parse().unwrap()).unwrap()
    }

    fn add(number: u32) -> Change {
        Change {
            old: None,
            new: row(number),
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_made_once_and_changed_under_conditions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("payments.keyring");
        let store = FileStore::new(&path);
        assert!(matches!(store.load(), Err(KeyringError::NoKeyring(_))));
        assert!(matches!(
            store.save(&[add(1)]),
            Err(KeyringError::NoKeyring(_))
        ));
        store.create(&keyring()).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(matches!(
            store.create(&keyring()),
            Err(KeyringError::Exists(_))
        ));
        store.save(&[add(1)]).unwrap();
        assert!(matches!(store.save(&[add(1)]), Err(KeyringError::Changed)));
        let old = store.load().unwrap().rows()[0].clone();
        let new = Row {
            state: DekState::Retired,
            ..old.clone()
        };
        let retire = Change {
            old: Some(old),
            new: new.clone(),
        };
        store.save(&[retire.clone(), add(2)]).unwrap();
        // All or nothing: the second condition holds, the first one does not.
        assert!(matches!(
            store.save(&[retire, add(3)]),
            Err(KeyringError::Changed)
        ));
        assert_eq!(store.load().unwrap().rows(), [new, row(2)]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn permissions_stay_and_links_stay_links() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("real"), dir.path().join("link"));
        FileStore::new(&path).create(&keyring()).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let store = FileStore::new(&link);
        store.save(&[add(1)]).unwrap();
        assert_eq!(mode(&path), 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(FileStore::new(&path).load().unwrap().rows().len(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(store.load(), Err(KeyringError::Exposed(_))));
        assert!(matches!(
            store.save(&[add(2)]),
            Err(KeyringError::Exposed(_))
        ));
    }

    #[test]
    fn threads_that_update_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::new(&dir.path().join("k"));
        store.create(&keyring()).unwrap();
        store.save(&[add(1)]).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let counted = store.update(&mut |keyring| {
                            let old = keyring.rows()[0].clone();
                            let new = Row {
                                uses: old.uses + 1,
                                ..old.clone()
                            };
                            Ok(vec![Change {
                                old: Some(old),
                                new,
                            }])
                        });
                        counted.unwrap();
                    }
                });
            }
        });
        assert_eq!(store.load().unwrap().rows()[0].uses, row(1).uses + 100);
    }
}
