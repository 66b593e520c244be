//! Files with secrets: read only where nobody else can read them, made so that nobody else can.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use keyfold_secret::Secret;

use crate::error::CliError;

/// The longest file that is taken for one, in bytes.
const LONGEST: u64 = 1 << 20;
/// What others than the owner may do with a file.
const OTHERS: u32 = 0o077;

/// The text of a file. A regular one that its group or others may touch is refused: who else read it
/// is not known then. Pipes, as shells make them for `<(command)`, are taken.
pub(crate) fn read(path: &Path) -> Result<Secret<String>, CliError> {
    let failed = || CliError::io(format!("can't read {}", path.display()));
    let mut file = File::open(path).map_err(failed())?;
    let metadata = file.metadata().map_err(failed())?;
    if metadata.is_file() && metadata.mode() & OTHERS != 0 {
        return Err(CliError::Usage(format!(
            "{} is open to others than its owner (mode {:04o}): make it yours alone with \
             `chmod 600`, and consider whether somebody has read it",
            path.display(),
            metadata.mode() & 0o7777
        )));
    }
    if metadata.len() > LONGEST {
        return Err(too_long(path));
    }
    let capacity = usize::try_from(metadata.len().max(4096)).unwrap_or_default();
    // Room for all of it and the end, so that it is not moved.
    let mut bytes = Secret::new(Vec::with_capacity(capacity.saturating_add(1)));
    let len = (&mut file)
        .take(LONGEST.saturating_add(1))
        .read_to_end(bytes.expose_mut())
        .map_err(failed())?;
    if len as u64 > LONGEST {
        return Err(too_long(path));
    }
    match String::from_utf8(bytes.into_inner()) {
        Ok(text) => Ok(Secret::new(text)),
        Err(error) => {
            // Wiped: it may be a secret all the same.
            drop(Secret::new(error.into_bytes()));
            Err(CliError::Usage(format!("{} is no text", path.display())))
        }
    }
}

/// Makes a file that its owner alone may read. One that is there is left alone.
pub(crate) fn create(path: &Path, text: &Secret<String>) -> Result<(), CliError> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => CliError::Usage(format!(
            "{} exists already; what lies in it may be the only key to something",
            path.display()
        )),
        _ => CliError::io(format!("can't make {}", path.display()))(error),
    })?;
    let written = file
        .write_all(text.expose().as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|error| {
        // The error that led here is the one worth reporting.
        let _ = std::fs::remove_file(path);
        CliError::io(format!("can't write {}", path.display()))(error)
    })
}

fn too_long(path: &Path) -> CliError {
    CliError::Usage(format!("{} is too long for a key file", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_made_is_read_again_unless_it_was_opened_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id");
        create(&path, &Secret::new("text\n".to_owned())).unwrap();
        assert!(read(&path).unwrap().ct_eq(b"text\n"));
        let again = create(&path, &Secret::new("other".to_owned())).err();
        assert!(again.unwrap().to_string().contains("exists already"));
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read(&path).err().unwrap().to_string();
            assert!(
                error.contains("chmod 600") && error.contains("id"),
                "{error}"
            );
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert!(read(&path).is_ok());
    }

    #[test]
    fn what_is_no_text_or_too_long_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let make = |bytes: &[u8]| {
            let path = folder.path().join("f");
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            read(&path).err().unwrap().to_string()
        };
        assert!(make(&[0xff]).contains("no text"));
        assert!(make(&vec![b'x'; (1 << 20) + 1]).contains("too long"));
    }
}
