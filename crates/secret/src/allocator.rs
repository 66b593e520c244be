//! [`WipingAllocator`]: the system's allocator, which forgets what it held.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cmp::min;
use std::ptr;

use crate::wipe::wipe;

/// The system's allocator, wiping every block before it is freed.
///
/// Strings and buffers copy themselves as they grow and are freed by code that knows nothing of
/// secrets. Under this allocator none of these copies outlives its owner.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: keyfold_secret::WipingAllocator = keyfold_secret::WipingAllocator;
/// # fn main() {}
/// ```
pub struct WipingAllocator;

// SAFETY: every block comes from `System` and goes back to it with the layout it was asked for with;
// all that is added is a write to the block while it is still ours.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those `System` asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is `layout.size()` bytes, and the caller has no more use for it.
        unsafe {
            wipe(block, layout.size());
            System.dealloc(block, layout);
        }
    }

    /// Always by way of a new block: `System.realloc` may move a block, and frees the old one as it
    /// is.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that `new_size`, rounded up to the alignment, is a valid
        // size; the alignment is that of a layout.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: `new_size` is not zero, the caller guarantees it. The copy fits both blocks, which
        // are different allocations. Where there is no memory the old block stays as it was.
        unsafe {
            let new_block = System.alloc(new_layout);
            if !new_block.is_null() {
                ptr::copy_nonoverlapping(block, new_block, min(layout.size(), new_size));
                self.dealloc(block, layout);
            }
            new_block
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 4096;
    /// glibc keeps its list pointers in the first bytes of a free block.
    const LIST_POINTERS: usize = 32;

    fn filled(layout: Layout, fill: u8) -> *mut u8 {
        // SAFETY: the layout is not of size zero, and the block is as long as the fill.
        unsafe {
            let block = WipingAllocator.alloc(layout);
            assert!(!block.is_null());
            block.write_bytes(fill, layout.size());
            block
        }
    }

    /// What stands in freed memory: read with `process_vm_readv`, which fails where a plain read
    /// would be undefined. Into a buffer on the stack, as one on the heap would be given the very
    /// block.
    fn read_freed(block: *mut u8) -> Option<[u8; SIZE]> {
        let mut bytes = [0xFF_u8; SIZE];
        let local = libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: SIZE,
        };
        let remote = libc::iovec {
            iov_base: block.cast(),
            iov_len: SIZE,
        };
        // SAFETY: `local` describes our own buffer; the kernel checks `remote` itself.
        let read = unsafe {
            libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
        };
        (usize::try_from(read) == Ok(SIZE)).then_some(bytes)
    }

    /// Each test fills with a byte of its own, as another one may be given the block meanwhile.
    fn assert_no_trace(block: *mut u8, fill: u8) {
        // An unmapped block shows nothing at all.
        if let Some(bytes) = read_freed(block) {
            let kept = bytes[LIST_POINTERS..]
                .iter()
                .filter(|&&b| b == fill)
                .count();
            assert!(kept < 16, "{kept} bytes outlived their block");
        }
    }

    #[test]
    fn a_freed_block_is_wiped() {
        let layout = Layout::from_size_align(SIZE, 16).unwrap();
        let block = filled(layout, 0xA5);
        assert_eq!(
            read_freed(block),
            Some([0xA5; SIZE]),
            "the probe must be able to see"
        );
        // SAFETY: allocated above with this layout.
        unsafe { WipingAllocator.dealloc(block, layout) };
        assert_no_trace(block, 0xA5);
    }

    #[test]
    fn a_moved_block_is_wiped_and_its_content_kept() {
        let layout = Layout::from_size_align(SIZE, 16).unwrap();
        for new_size in [SIZE * 3, SIZE / 2] {
            let block = filled(layout, 0x5C);
            // SAFETY: allocated with `layout`; the new block is freed with its own.
            unsafe {
                let moved = WipingAllocator.realloc(block, layout, new_size);
                assert_ne!(moved, block);
                let kept = std::slice::from_raw_parts(moved, min(SIZE, new_size));
                assert!(kept.iter().all(|&b| b == 0x5C));
                assert_no_trace(block, 0x5C);
                WipingAllocator.dealloc(moved, Layout::from_size_align(new_size, 16).unwrap());
            }
        }
    }

    #[test]
    fn zeroed_and_over_aligned_blocks_work() {
        let layout = Layout::from_size_align(300, 256).unwrap();
        // SAFETY: allocated and freed with one layout.
        unsafe {
            let block = WipingAllocator.alloc_zeroed(layout);
            assert_eq!(block.addr() % 256, 0);
            assert!(
                std::slice::from_raw_parts(block, 300)
                    .iter()
                    .all(|&b| b == 0)
            );
            WipingAllocator.dealloc(block, layout);
        }
    }
}
