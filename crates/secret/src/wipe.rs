//! Overwriting memory in a way the optimiser may not remove.
#![allow(unsafe_code)]

use std::arch::asm;

/// Sets `len` bytes from `start` to zero.
///
/// A plain `memset` before a `free` is a dead store to the optimiser. The empty assembly after it
/// takes the pointer and may, for all the compiler knows, read the memory: the store has to happen.
/// A `memset` is several times as fast as volatile writes, which go byte by byte.
///
/// # Safety
///
/// `start` must be valid for writes of `len` bytes, and no reference to them may be in use.
pub(crate) unsafe fn wipe(start: *mut u8, len: usize) {
    // SAFETY: the caller guarantees that the range may be written. The assembly is empty; not being
    // marked `nomem` or `readonly` is its whole point.
    unsafe {
        start.write_bytes(0, len);
        asm!("/* {0} */", in(reg) start, options(nostack, preserves_flags));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_range_is_wiped() {
        let mut bytes = [0xAA_u8; 64];
        // SAFETY: 16 + 32 bytes lie inside the array, which nobody else refers to.
        unsafe { wipe(bytes.as_mut_ptr().add(16), 32) };
        assert!(bytes[..16].iter().all(|&b| b == 0xAA));
        assert!(bytes[16..48].iter().all(|&b| b == 0));
        assert!(bytes[48..].iter().all(|&b| b == 0xAA));
    }
}
