//! What is no file: standard output, and nothing at all.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keyfold_core::ports::audit::{AuditDevice, WRITE_DEADLINE};

use super::super::line::{self, End};

/// Standard output, past the buffer of the standard library.
pub(super) struct Stdout(Mutex<(File, End)>);

impl Stdout {
    pub(super) fn open() -> io::Result<Self> {
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

    /// It may be a pipe that nobody reads.
    fn waits(&self) -> Option<Duration> {
        Some(WRITE_DEADLINE)
    }
}

/// For measurements: audited, and thrown away.
pub(super) struct Discard;

impl AuditDevice for Discard {
    fn write(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn reopen(&self) -> io::Result<()> {
        Ok(())
    }
}
