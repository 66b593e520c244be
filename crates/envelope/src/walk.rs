//! Finds envelopes below the paths that a command was given.

use std::fs::File;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::error::Error;
use crate::header::{HEADER_LEN, Header, looks_like_envelope};
use crate::stream;

/// A path that could not be read as an envelope.
#[derive(Debug)]
pub struct Unreadable {
    /// The path as it was reached.
    pub path: PathBuf,
    /// Why not.
    pub error: Error,
}

/// What was met.
pub(crate) enum Visit {
    Envelope(Box<Found>),
    /// A file in a directory that is no envelope.
    Other,
    Unreadable(Unreadable),
}

/// An envelope's header and where it is.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
    pub(crate) file_len: u64,
}

/// Visits each file at or below `paths`: 4 KiB of each are read. Links below a path are not
/// followed. A path given by name must be an envelope; what lies in a directory may be anything.
/// Ends early when `each` returns false.
pub(crate) fn walk(paths: &[PathBuf], mut each: impl FnMut(Visit) -> bool) {
    for root in paths {
        for entry in WalkDir::new(root) {
            let visit = match entry {
                Ok(entry) if entry.file_type().is_dir() => continue,
                Ok(entry) => visit(entry.path(), entry.depth() == 0),
                Err(error) => Visit::Unreadable(Unreadable {
                    path: error.path().unwrap_or(root).to_owned(),
                    error: Error::Io(error.into()),
                }),
            };
            if !each(visit) {
                return;
            }
        }
    }
}

/// How many files [`walk`] will visit, for a progress bar. Opens none of them.
pub(crate) fn count(paths: &[PathBuf]) -> u64 {
    let entries = paths.iter().flat_map(WalkDir::new);
    entries
        .filter(|entry| entry.as_ref().is_ok_and(|e| !e.file_type().is_dir()))
        .count() as u64
}

fn visit(path: &Path, is_named: bool) -> Visit {
    match read(path, is_named) {
        Ok(Some(found)) => Visit::Envelope(Box::new(found)),
        Ok(None) => Visit::Other,
        Err(error) => Visit::Unreadable(Unreadable {
            path: path.to_owned(),
            error,
        }),
    }
}

fn read(path: &Path, is_named: bool) -> Result<Option<Found>, Error> {
    // Opening a pipe would block until somebody writes to it.
    let kind = if is_named {
        path.metadata()?
    } else {
        path.symlink_metadata()?
    };
    if !kind.is_file() {
        return if is_named {
            Err(Error::NotAnEnvelope)
        } else {
            Ok(None)
        };
    }
    let mut file = File::open(path)?;
    let mut bytes = [0u8; HEADER_LEN];
    let len = stream::fill(&mut file, &mut bytes)?;
    let start = bytes.get(..len).unwrap_or_default();
    if !is_named && !looks_like_envelope(start) {
        return Ok(None);
    }
    let header = Header::parse_prefix(start)?;
    Ok(Some(Found {
        path: path.to_owned(),
        header,
        file_len: file.metadata()?.len(),
    }))
}
