//! Finds files below the paths that a command was given, and reads their headers.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use walkdir::{DirEntry, WalkDir};

use crate::error::Error;
use crate::header::{HEADER_LEN, Header, looks_like_envelope};
use crate::output::is_part;
use crate::store::{Content, Found, Unreadable};
use crate::stream;

/// A file that was listed.
#[derive(Clone, Debug)]
pub struct Spot {
    pub(super) path: PathBuf,
    /// The path was given by name.
    is_named: bool,
    /// The directory says that it is a plain file: no link, no pipe, no device.
    is_plain: bool,
}

impl Spot {
    /// A file that was given by its name.
    #[must_use]
    pub fn named(path: PathBuf) -> Self {
        Self {
            path,
            is_named: true,
            is_plain: true,
        }
    }

    fn of(entry: DirEntry) -> Self {
        Self {
            is_named: entry.depth() == 0,
            is_plain: entry.file_type().is_file(),
            path: entry.into_path(),
        }
    }
}

/// Everything at or below `roots` that is no directory. Nothing is opened but directories.
pub(super) fn list(roots: &[PathBuf]) -> impl Iterator<Item = Result<Spot, Unreadable>> + Send {
    roots.iter().flat_map(|root| {
        let entries = WalkDir::new(root).into_iter();
        entries.filter_map(move |entry| match entry {
            Ok(entry) if entry.file_type().is_dir() => None,
            Ok(entry) => Some(Ok(Spot::of(entry))),
            Err(error) => Some(Err(Unreadable {
                path: error.path().unwrap_or(root).to_owned(),
                error: Error::Io(error.into()),
            })),
        })
    })
}

/// Reads the first 4 KiB. `None` where a file among others is no envelope.
pub(super) fn read(spot: &Spot) -> Result<Option<Found>, Error> {
    if !spot.is_named && !spot.is_plain {
        return Ok(None);
    }
    // An output that is being made, or was when its run was killed.
    if !spot.is_named && spot.path.file_name().is_some_and(is_part) {
        return Ok(None);
    }
    let mut file = open(&spot.path, spot.is_named)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return match spot.is_named {
            true => Err(Error::NotAnEnvelope),
            false => Ok(None),
        };
    }
    let mut bytes = [0u8; HEADER_LEN];
    let len = stream::fill(&mut file, &mut bytes)?;
    let start = bytes.get(..len).unwrap_or_default();
    if !spot.is_named && !looks_like_envelope(start) {
        return Ok(None);
    }
    Ok(Some(Found {
        content: Content::Header(Box::new(Header::parse_prefix(start)?)),
        len: metadata.len(),
    }))
}

/// Opens for reading without waiting for anybody: what was a file when it was listed may be a pipe
/// by now. Links are followed where they were given by name.
fn open(path: &Path, is_named: bool) -> Result<File, Error> {
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if !is_named {
        flags |= OFlags::NOFOLLOW;
    }
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from)?;
    Ok(File::from(opened))
}
