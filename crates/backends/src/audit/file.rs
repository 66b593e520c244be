//! Audit lines in a file, on standard output, or nowhere.
//!
//! Lines are one `write(2)` on the caller's thread: they end in the kernel's page cache, which takes
//! microseconds, less than handing them to another thread would. Nothing is kept back in the
//! process, so a line that was reported as written survives its death.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use keyfold_core::ports::audit::{AuditDevice, AuditKind};

use super::line::{self, End};

/// `file`: options `file_path` (a path, `stdout`, or `discard`) and `mode` (octal, default 0600).
pub const KIND: AuditKind = AuditKind { name: "file", open };

/// Other options that people have in their configurations, and the only value they may have here.
const FIXED: [(&str, &str); 5] = [
    ("format", "json"),
    ("log_raw", "false"),
    ("hmac_accessor", "true"),
    ("elide_list_responses", "false"),
    ("prefix", ""),
];
/// Permissions of a new file.
const MODE: u32 = 0o600;
/// How often the path is compared with the open file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

fn open(options: &BTreeMap<String, String>) -> Result<Arc<dyn AuditDevice>, String> {
    let (mut path, mut mode) = (None, None);
    for (name, value) in options {
        match name.as_str() {
            "file_path" | "path" => path = Some(value.as_str()),
            "mode" => mode = Some(parse_mode(value)?),
            name => match FIXED.iter().find(|(fixed, _)| *fixed == name) {
                Some((_, only)) if value == only => {}
                Some((name, only)) => return Err(format!("{name}: only {only:?} is supported")),
                None => return Err(format!("{name}: not an option of file devices")),
            },
        }
    }
    match path {
        None | Some("") => Err("file_path: missing".into()),
        Some("discard" | "/dev/null") => Ok(Arc::new(Discard)),
        Some("stdout" | "/dev/stdout") => {
            let device = Stdout::open().map_err(|error| format!("file_path: stdout: {error}"))?;
            Ok(Arc::new(device))
        }
        Some(path) => {
            let device = LogFile::open(path.into(), mode)
                .map_err(|error| format!("file_path: {path}: {error}"))?;
            Ok(Arc::new(device))
        }
    }
}

fn parse_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777);
    let mode = mode.ok_or("mode: not an octal file mode of at most 0777")?;
    if mode & 0o111 != 0 {
        return Err("mode: an audit file must not be executable".into());
    }
    Ok(mode)
}

/// A file that is opened again when it is not at its path any more.
struct LogFile {
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
    fn open(path: PathBuf, mode: Option<u32>) -> io::Result<Self> {
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

/// Standard output, past the buffer of the standard library.
struct Stdout(Mutex<(File, End)>);

impl Stdout {
    fn open() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self(Mutex::new((file, End::Whole))))
    }
}

impl AuditDevice for Stdout {
    fn write(&self, lines: &[u8]) -> io::Result<()> {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, end) = &mut *out;
        line::append(file, end, lines)
    }

    fn reopen(&self) -> io::Result<()> {
        Ok(())
    }
}

/// For measurements: audited, and thrown away.
struct Discard;

impl AuditDevice for Discard {
    fn write(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn reopen(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    fn refusal(pairs: &[(&str, &str)]) -> String {
        open(&options(pairs))
            .err()
            .expect("these options are refused")
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn options_are_checked_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let path = path.to_str().unwrap();
        assert!(refusal(&[]).starts_with("file_path:"));
        assert!(refusal(&[("file_path", "")]).starts_with("file_path:"));
        for mode in ["0777", "0601", "rw", "10600", "-1"] {
            assert!(
                refusal(&[("file_path", path), ("mode", mode)]).starts_with("mode:"),
                "{mode}"
            );
        }
        assert!(refusal(&[("file_path", path), ("prefix", "#!")]).starts_with("prefix:"));
        assert!(refusal(&[("file_path", path), ("log_raw", "true")]).starts_with("log_raw:"));
        assert!(refusal(&[("file_path", path), ("colour", "1")]).starts_with("colour:"));
        assert!(!Path::new(path).exists(), "a refused device leaves nothing");
        open(&options(&[
            ("file_path", path),
            ("format", "json"),
            ("mode", "0640"),
        ]))
        .unwrap();
        assert_eq!(mode_of(Path::new(path)), 0o640);
        for sink in ["stdout", "/dev/stdout", "discard", "/dev/null"] {
            let device = open(&options(&[("file_path", sink)])).unwrap();
            device.reopen().unwrap();
            device.write(b"").unwrap();
        }
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
