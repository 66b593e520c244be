//! Overwriting what a finished call left on the stack.

use std::hint::black_box;

/// More than the frames of a key setup take: measured, those of AES-256 reach a little below 4 KiB.
const DEPTH: usize = 16 * 1024;

/// Overwrites the 16 KiB of stack below the caller's frame.
///
/// A constructor that returns a key by value leaves copies in frames that are no longer in use, where
/// nobody's `Drop` reaches them. Call this right after it, from the same function. It is a second
/// line of defence: the compiler promises nothing about what a frame below holds.
#[inline(never)]
pub fn scrub_stack() {
    let mut area = [0_u8; DEPTH];
    black_box(&mut area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    const LEN: usize = 8192;

    /// Fills a frame of its own, and says where that was.
    #[inline(never)]
    fn leave_a_trace() -> usize {
        let mut frame = [0x5A_u8; LEN];
        black_box(&mut frame).as_ptr().addr()
    }

    #[test]
    fn what_a_call_left_is_gone() {
        let memory = File::open("/proc/self/mem").unwrap();
        let mut seen = vec![0; LEN];
        let mut trace = |scrub: fn()| {
            let address = leave_a_trace();
            scrub();
            memory.read_exact_at(&mut seen, address as u64).unwrap();
            seen.iter().filter(|&&byte| byte == 0x5A).count()
        };
        assert!(trace(|| ()) > LEN / 2, "without scrubbing it is there");
        assert!(trace(scrub_stack) < LEN / 64);
    }
}
