//! Connections that take bytes until a deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A connected stream.
pub(super) trait Stream: Read + Write {
    /// How long one `write(2)` may take.
    fn write_within(&self, time: Duration) -> io::Result<()>;

    /// Whether calls return at once.
    fn nonblocking(&self, yes: bool) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn write_within(&self, time: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(time))
    }

    fn nonblocking(&self, yes: bool) -> io::Result<()> {
        self.set_nonblocking(yes)
    }
}

impl Stream for UnixStream {
    fn write_within(&self, time: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(time))
    }

    fn nonblocking(&self, yes: bool) -> io::Result<()> {
        self.set_nonblocking(yes)
    }
}

/// Sends all bytes before the deadline. After an error some of them may be gone.
pub(super) fn send(stream: &mut dyn Stream, bytes: &[u8], deadline: Instant) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        stream.write_within(left(deadline)?)?;
        match stream.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The kernel's word for a write that took too long.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The time that is left, never zero.
pub(super) fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// Whether the other end has closed: a write to it would seem to succeed once more. What it sends
/// is read and dropped.
pub(super) fn is_closed(stream: &mut dyn Stream) -> bool {
    let mut dropped = [0; 512];
    if stream.nonblocking(true).is_err() {
        return true;
    }
    let read = stream.read(&mut dropped);
    let blocking = stream.nonblocking(false);
    match read {
        Ok(0) => true,
        Ok(_) => blocking.is_err(),
        Err(error) => blocking.is_err() || error.kind() != ErrorKind::WouldBlock,
    }
}

/// Whether the other end went away, so that another connection may do better.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::NotConnected
    )
}
