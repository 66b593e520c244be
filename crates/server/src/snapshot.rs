//! Snapshot files: written under their name only when they are whole, and looked into without a
//! server.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use keyfold_core::snapshot::{Fault, Inspection};
pub use keyfold_core::snapshot::{Folder, Summary};

/// Bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// Why a file is no good snapshot, or became none.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// What is in it.
    #[error("{}: {fault}", path.display())]
    Fault {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
}

/// Looks into a file: what is in it, where it is a whole snapshot.
///
/// # Errors
///
/// It can't be read, or is no whole snapshot.
pub fn inspect(path: &Path) -> Result<Summary, FileError> {
    let mut file = BufReader::with_capacity(PIECE, File::open(path).map_err(io_of(path))?);
    let mut inspection = Inspection::default();
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).map_err(io_of(path))?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return inspection.finish().map_err(fault_of(path));
        };
        inspection.push(bytes).map_err(fault_of(path))?;
    }
}

/// A snapshot that is being written, beside the name that it will have.
///
/// Its bytes are checked as they come, so that what is kept has been read once.
pub struct Draft {
    path: PathBuf,
    part: PathBuf,
    file: File,
    inspection: Option<Inspection>,
    kept: bool,
}

impl Draft {
    /// Begins one that is to become `path`, for the owner's eyes only.
    ///
    /// # Errors
    ///
    /// The folder takes no file.
    pub fn begin(path: &Path) -> Result<Self, FileError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let part = PathBuf::from(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&part).map_err(io_of(&part))?;
        Ok(Self {
            path: path.to_owned(),
            part,
            file,
            inspection: Some(Inspection::default()),
            kept: false,
        })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// They do not fit on the disk. What is wrong with them is told at the end.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(inspection) = &mut self.inspection
            && inspection.push(bytes).is_err()
        {
            self.inspection = None;
        }
        self.file.write_all(bytes)
    }

    /// Gives it its name, once it is whole, right and on the disk.
    ///
    /// # Errors
    ///
    /// It is not: then there is no file of that name, or still the one that was there.
    pub fn keep(mut self) -> Result<Summary, FileError> {
        let summary = match self.inspection.take() {
            Some(inspection) => inspection.finish().map_err(fault_of(&self.path))?,
            // The first fault says the most, so it is looked for again.
            None => inspect(&self.part)?,
        };
        self.file.sync_all().map_err(io_of(&self.part))?;
        fs::rename(&self.part, &self.path).map_err(io_of(&self.path))?;
        self.kept = true;
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // The name has to survive as well.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io_of(folder))?;
        Ok(summary)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // What is left of it is named as what it is.
            let _ = fs::remove_file(&self.part);
        }
    }
}

fn io_of(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { path, source }
}

fn fault_of(path: &Path) -> impl FnOnce(Fault) -> FileError {
    let path = path.to_owned();
    move |fault| FileError::Fault { path, fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_gets_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.kfsnap");
        fs::write(&path, "the one before").unwrap();
        let mut draft = Draft::begin(&path).unwrap();
        draft.write(b"\x89KFSN\r\n\x1a\x01").unwrap();
        let error = draft.keep().unwrap_err().to_string();
        assert!(error.ends_with("cut off after 9 bytes: its end is missing"));
        let mut draft = Draft::begin(&path).unwrap();
        draft.write(b"something else, ").unwrap();
        draft.write(b"and more of it").unwrap();
        let error = draft.keep().unwrap_err().to_string();
        assert!(error.ends_with("this is no snapshot of Keyfold"), "{error}");
        drop(Draft::begin(&path).unwrap());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
        assert_eq!(fs::read(&path).unwrap(), b"the one before");
    }
}
