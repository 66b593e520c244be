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
