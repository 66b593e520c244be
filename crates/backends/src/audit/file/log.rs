//! A file that audit lines are appended to.
//!
//! Lines are one `write(2)` on the caller's thread: they end in the kernel's page cache, which takes
//! microseconds, less than handing them to another thread would. Nothing is kept back in the
//! process, so a line that was reported as written survives its death.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use keyfold_core::ports::audit::AuditDevice;

use super::super::line::{self, End};

/// Permissions of a new file.
const MODE: u32 = 0o600;
/// How often the path is compared with the open file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A file that is opened again when it is not at its path any more.
pub(super) struct LogFile {
    path: PathBuf,
    /// As configured: then an existing file gets it too.
    mode: Option<u32>,
    log: Mutex<Log>,
}

struct Log {
    file: File,
    end: End,
    looked: Instant,
}

impl LogFile {
    pub(super) fn open(path: PathBuf, mode: Option<u32>) -> io::Result<Self> {
        let log = Log::open(&path, mode)?;
        Ok(Self {
            path,
            mode,
            log: Mutex::new(log),
        })
    }

    fn write_at(&self, lines: &[u8], now: Instant) -> io::Result<()> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(log.looked) >= LOOK_EVERY {
            if !log.is_at(&self.path) {
                // Lines in a deleted file are lost: without a new one, this line has failed.
                *log = Log::open(&self.path, self.mode)?;
                tracing::warn!(path = %self.path.display(), "the audit file was gone: new one");
            }
            log.looked = now;
        }
        let Log { file, end, .. } = &mut *log;
        line::append(file, end, lines)
    }
}

impl AuditDevice for LogFile {
    fn write(&self, lines: &[u8]) -> io::Result<()> {
        self.write_at(lines, Instant::now())
    }

    fn reopen(&self) -> io::Result<()> {
        let new = Log::open(&self.path, self.mode)?;
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl Log {
    /// Opens for appending; makes what is missing, for the owner only.
    fn open(path: &Path, mode: Option<u32>) -> io::Result<Self> {
        if let Some(parent) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)?;
        }
        let old = fs::metadata(path).ok();
        if let Some(old) = &old {
            check_kind(old)?;
        }
        let new_mode = mode.unwrap_or(MODE);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(new_mode)
            .open(path)?;
        if old.is_none() || mode.is_some() {
            // The process's umask may have taken bits that were asked for.
            file.set_permissions(Permissions::from_mode(new_mode))?;
        }
        Ok(Self {
            file,
            end: end_of(path),
            looked: Instant::now(),
        })
    }

    fn is_at(&self, path: &Path) -> bool {
        let (Ok(open), Ok(there)) = (self.file.metadata(), fs::metadata(path)) else {
            return false;
        };
        (open.dev(), open.ino()) == (there.dev(), there.ino())
    }
}

/// What may be written to. Asked before the file is opened: that can hang on a pipe.
fn check_kind(old: &Metadata) -> io::Result<()> {
    let fault = if !old.is_file() {
        "not a regular file"
    } else if old.mode() & 0o111 != 0 {
        "an executable file"
    } else {
        return Ok(());
    };
    Err(io::Error::new(ErrorKind::InvalidInput, fault))
}

/// Whether what an earlier process left ends in a whole line; what cannot be read counts as whole.
fn end_of(path: &Path) -> End {
    let mut last = [b'\n'];
    if let Ok(file) = File::open(path)
        && let Some(at) = file
            .metadata()
            .ok()
            .and_then(|meta| meta.len().checked_sub(1))
    {
        let _ = file.read_at(&mut last, at);
    }
    if last == *b"\n" {
        End::Whole
    } else {
        End::Torn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_its_owners_and_an_old_one_keeps_its_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/audit.log");
        LogFile::open(path.clone(), None)
            .unwrap()
            .write(b"one\n")
            .unwrap();
        assert_eq!(
            (mode_of(&path), mode_of(path.parent().unwrap())),
            (0o600, 0o700)
        );
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        LogFile::open(path.clone(), None)
            .unwrap()
            .write(b"two\n")
            .unwrap();
        assert_eq!(mode_of(&path), 0o644);
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn programs_directories_and_pipes_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(LogFile::open(directory.path().into(), None).is_err());
        assert!(LogFile::open("/dev/null".into(), None).is_err());
        let program = directory.path().join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        assert!(LogFile::open(program, None).is_err());
    }

    #[test]
    fn a_line_that_an_earlier_process_left_unfinished_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        fs::write(&path, "whole\ncut o").unwrap();
        LogFile::open(path.clone(), None)
            .unwrap()
            .write(b"next\n")
            .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\ncut o\nnext\n");
    }

    #[test]
    fn rotation_and_removal_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let device = LogFile::open(path.clone(), None).unwrap();
        device.write(b"1\n").unwrap();
        let moved = directory.path().join("audit.log.1");
        fs::rename(&path, &moved).unwrap();
        device.reopen().unwrap();
        device.write(b"2\n").unwrap();
        assert_eq!(fs::read(&moved).unwrap(), b"1\n");
        assert_eq!(fs::read(&path).unwrap(), b"2\n");

        fs::remove_file(&path).unwrap();
        let later = Instant::now() + LOOK_EVERY;
        device.write_at(b"3\n", later).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"3\n");

        fs::remove_file(&path).unwrap();
        fs::write(&path, "somebody else's\n").unwrap();
        device.write_at(b"4\n", later + LOOK_EVERY).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"somebody else's\n4\n");

        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let latest = later + LOOK_EVERY * 2;
        assert!(
            device.write_at(b"5\n", latest).is_err(),
            "a line with no place is not written"
        );
        fs::remove_dir(&path).unwrap();
        device.write_at(b"6\n", latest).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"6\n");
    }

    #[test]
    fn lines_of_many_threads_stay_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let device = LogFile::open(path.clone(), None).unwrap();
        std::thread::scope(|scope| {
            for id in 0..8 {
                let device = &device;
                scope.spawn(move || {
                    for n in 0..200 {
                        let line = format!("{id} {n} {}\n", "x".repeat(n * 10));
                        device.write(line.as_bytes()).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        let mut next = [0; 8];
        for line in text.lines() {
            let mut words = line.split(' ');
            let id: usize = words.next().unwrap().parse().unwrap();
            let n: usize = words.next().unwrap().parse().unwrap();
            assert_eq!((n, words.next().unwrap().len()), (next[id], n * 10));
            next[id] += 1;
        }
        assert_eq!(next, [200; 8]);
    }
}
