//! [`Folder`]: a folder of this process alone, which goes with it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use keyfold_core::id;

/// Removed with what is in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes one among the system's temporary files, which only this user can read. Its name
    /// begins with `purpose`.
    pub(crate) fn make(purpose: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("{purpose}-{}", id::uuid()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a temporary folder remains");
        }
    }
}
