//! Whole lines into a medium that may take only part of one.

use std::io::{self, ErrorKind, Write};

/// Where the medium's last line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It ended: the next byte starts a line.
    Whole,
    /// It was cut off: the next line has to begin with a line break.
    Torn,
}

/// Appends lines, with one `write(2)` unless the medium takes them in parts.
///
/// After an error the medium may hold a part of a line; `end` then says so, and the next call
/// starts on a fresh line, so that one lost line never spoils another.
pub(super) fn append(medium: &mut impl Write, end: &mut End, lines: &[u8]) -> io::Result<()> {
    match *end {
        End::Whole => write_all(medium, end, lines),
        End::Torn => write_all(medium, end, &[b"\n", lines].concat()),
    }
}

fn write_all(medium: &mut impl Write, end: &mut End, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let taken = match medium.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let (done, left) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
        *end = if done.ends_with(b"\n") {
            End::Whole
        } else {
            End::Torn
        };
        rest = left;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, at most `step` a call; then it is full.
    struct Small {
        taken: Vec<u8>,
        room: usize,
        step: usize,
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(self.room).min(self.step);
            self.taken.extend_from_slice(&bytes[..taken]);
            self.room -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn short_writes_are_completed() {
        let mut medium = Small {
            taken: Vec::new(),
            room: 1000,
            step: 3,
        };
        let mut end = End::Whole;
        append(&mut medium, &mut end, b"first line\n").unwrap();
        append(&mut medium, &mut end, b"second\n").unwrap();
        assert_eq!(medium.taken, b"first line\nsecond\n");
    }

    /// Full after any number of bytes, then free again: whatever was reported as written is a line
    /// of its own.
    #[test]
    fn a_cut_line_spoils_no_other() {
        for room in 0..40 {
            let mut medium = Small {
                taken: Vec::new(),
                room,
                step: 5,
            };
            let (mut end, mut written) = (End::Whole, Vec::new());
            for n in 0..8 {
                if n >= 5 {
                    medium.room = 1000;
                }
                let line = format!("line number {n}\n");
                if append(&mut medium, &mut end, line.as_bytes()).is_ok() {
                    written.push(line);
                }
            }
            assert!(written.len() >= 3);
            let text = String::from_utf8(medium.taken).unwrap();
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            for line in &written {
                assert_eq!(
                    lines.iter().filter(|l| *l == line).count(),
                    1,
                    "{room}: {text}"
                );
            }
            assert!(end == End::Whole && text.ends_with('\n'));
        }
    }
}
