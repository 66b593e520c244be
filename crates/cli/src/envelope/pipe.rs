//! Pipes with room for a batch.
//!
//! A pipe holds 64 KiB when it is made, and each time that it runs full or empty its two ends wait for each other: half
//! the time of `cat FILE | keyfold encrypt -` went there.

use std::os::fd::AsFd;

use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};

/// The most that Linux gives without privileges, unless `fs.pipe-max-size` says otherwise.
const ROOM: usize = 1 << 20;

/// Gives a pipe that is an end of ours more room. What is no pipe, and a pipe that the kernel gives no more (a user may
/// have so many pages), stays as it is: only slower.
pub(super) fn widen(end: impl AsFd) {
    if fcntl_getpipe_size(&end).is_ok_and(|room| room < ROOM) {
        let _ = fcntl_setpipe_size(&end, ROOM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_has_more_room_afterwards_and_a_file_is_left_alone() {
        let (reader, writer) = std::io::pipe().unwrap();
        widen(&reader);
        assert!(fcntl_getpipe_size(&writer).unwrap() >= ROOM);
        let file = std::fs::File::open("/dev/null").unwrap();
        widen(&file);
    }
}
