//! The arena of protected pages: runs of pages between guards, cut into slots of equal size.
//!
//! ```text
//!   guard page │ slot │ slot │ slot │ … 64 KiB … │ guard page
//! ```
//!
//! A run is never given back to the system; its slots are reused.
#![allow(unsafe_code)]

use std::alloc::{Layout, handle_alloc_error};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Slots are powers of two from 16 bytes …
const SMALLEST: usize = 1 << SMALLEST_BITS;
const SMALLEST_BITS: u32 = 4;
/// … to 4 KiB.
pub(crate) const LARGEST: usize = 1 << (SMALLEST_BITS as usize + CLASSES - 1);
const CLASSES: usize = 9;

/// Usable bytes of a run: a small part of the 8 MiB that systems allow a process to lock.
const RUN: usize = 64 * 1024;

static ARENA: Mutex<Arena> = Mutex::new(Arena {
    free: [const { Vec::new() }; CLASSES],
});
static LOCKED: AtomicBool = AtomicBool::new(true);

/// Whether all protected pages made so far are held in memory. `false` when the limit on locked
/// memory (`RLIMIT_MEMLOCK`) forbade it for some: these pages work, but may reach a swap device.
pub fn locked() -> bool {
    LOCKED.load(Ordering::Relaxed)
}

/// Free slots by size class.
struct Arena {
    free: [Vec<FreeSlot>; CLASSES],
}

/// The address of memory that nobody uses.
struct FreeSlot(NonNull<u8>);

// SAFETY: memory that nobody refers to belongs to whoever holds its address.
unsafe impl Send for FreeSlot {}

/// Hands out a slot of at least `len` bytes, aligned to its size and zeroed. `len` is at most
/// [`LARGEST`].
pub(crate) fn take(len: usize) -> NonNull<u8> {
    let class = class(len);
    let mut arena = ARENA.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(free) = arena.free.get_mut(class) else {
        handle_alloc_error(Layout::new::<[u8; LARGEST]>());
    };
    if free.is_empty() {
        let run = map_run();
        free.extend((0..RUN).step_by(size(class)).rev().map(|offset| {
            // SAFETY: `offset` is less than the length of the run.
            FreeSlot(unsafe { run.add(offset) })
        }));
    }
    match free.pop() {
        Some(slot) => slot.0,
        None => handle_alloc_error(Layout::new::<[u8; RUN]>()),
    }
}

/// Takes a slot back.
///
/// # Safety
///
/// `start` must come from [`take`] with the same `len`, must be zeroed, and nobody may use it any
/// more.
pub(crate) unsafe fn give_back(start: NonNull<u8>, len: usize) {
    let mut arena = ARENA.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(free) = arena.free.get_mut(class(len)) {
        free.push(FreeSlot(start));
    }
}

/// The bytes a slot for `len` bytes has.
pub(crate) const fn slot_size(len: usize) -> usize {
    size(class(len))
}

const fn class(len: usize) -> usize {
    let size = if len < SMALLEST {
        SMALLEST
    } else {
        len.next_power_of_two()
    };
    (size.trailing_zeros() - SMALLEST_BITS) as usize
}

const fn size(class: usize) -> usize {
    SMALLEST << class
}

/// Maps a run with its guards and returns the first usable byte. Memory that can't be locked is
/// taken all the same and noted in [`LOCKED`]; no memory at all ends the process, as it does for
/// any allocation.
fn map_run() -> NonNull<u8> {
    let guard = page_size();
    let total = RUN + 2 * guard;
    let run = secret_memory(total, guard).or_else(|| ordinary_memory(total, guard));
    match run {
        Some(run) => run,
        None => handle_alloc_error(Layout::new::<[u8; RUN]>()),
    }
}

/// Memory from `memfd_secret(2)`: locked, and mapped nowhere but here, so that neither another
/// process, nor a debugger, nor a read of the kernel's own memory gets at it. A child process does
/// not inherit it.
fn secret_memory(total: usize, guard: usize) -> Option<NonNull<u8>> {
    let len = libc::off_t::try_from(total).ok()?;
    // SAFETY: the descriptor is ours from the call that makes it to the one that closes it; the
    // mapping outlives the descriptor. The kernel chooses an address that is free.
    let start = unsafe {
        let made = libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC);
        let file = libc::c_int::try_from(made).ok().filter(|&file| file >= 0)?;
        let start = if libc::ftruncate(file, len) == 0 {
            map(total, libc::MAP_SHARED, file)
        } else {
            None
        };
        libc::close(file);
        start?
    };
    fence(start, total, guard, libc::MADV_DONTFORK)
}

/// Memory of the ordinary kind: locked where the limit allows, left out of core dumps, empty in a
/// child process.
fn ordinary_memory(total: usize, guard: usize) -> Option<NonNull<u8>> {
    let start = map(total, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)?;
    let run = fence(start, total, guard, libc::MADV_WIPEONFORK)?;
    // SAFETY: locking `RUN` bytes that `fence` found inside the mapping.
    if unsafe { libc::mlock(run.as_ptr().cast(), RUN) } != 0 {
        LOCKED.store(false, Ordering::Relaxed);
    }
    Some(run)
}

fn map(total: usize, flags: libc::c_int, file: libc::c_int) -> Option<NonNull<u8>> {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a mapping at an address of the kernel's choice changes no memory in use.
    let start = unsafe { libc::mmap(ptr::null_mut(), total, rights, flags, file, 0) };
    if start == libc::MAP_FAILED {
        None
    } else {
        NonNull::new(start.cast())
    }
}

/// Makes the first and the last page inaccessible and returns what lies between. Undoes the mapping
/// where that can't be done: a run without guards is not handed out.
fn fence(
    start: NonNull<u8>,
    total: usize,
    guard: usize,
    on_fork: libc::c_int,
) -> Option<NonNull<u8>> {
    // SAFETY: all ranges are whole pages of a mapping of `total` bytes which nobody else knows yet.
    // The two `madvise` calls are hints: a kernel that doesn't know one keeps the memory usable.
    unsafe {
        let last = start.add(total - guard);
        let fenced = libc::mprotect(start.as_ptr().cast(), guard, libc::PROT_NONE) == 0
            && libc::mprotect(last.as_ptr().cast(), guard, libc::PROT_NONE) == 0;
        if !fenced {
            libc::munmap(start.as_ptr().cast(), total);
            return None;
        }
        libc::madvise(start.as_ptr().cast(), total, libc::MADV_DONTDUMP);
        libc::madvise(start.as_ptr().cast(), total, on_fork);
        Some(start.add(guard))
    }
}

fn page_size() -> usize {
    // SAFETY: asks for a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(RUN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    /// The rights (`rw-s`, `---s`, …) of the mapping that holds `address`.
    fn rights(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let hex = |text: &str| usize::from_str_radix(text, 16).unwrap();
        let line = maps.lines().find(|line| {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            (hex(from)..hex(to)).contains(&address)
        });
        line.unwrap().split(' ').nth(1).unwrap().to_owned()
    }

    #[test]
    fn guards_stand_before_and_after() {
        for run in [
            map_run(),
            ordinary_memory(RUN + 2 * page_size(), page_size()).unwrap(),
        ] {
            let first = run.addr().get();
            for inside in [first, first + RUN - 1] {
                assert!(rights(inside).starts_with("rw-"), "{}", rights(inside));
            }
            for outside in [
                first - 1,
                first - page_size(),
                first + RUN,
                first + RUN + page_size() - 1,
            ] {
                assert!(rights(outside).starts_with("---"), "{}", rights(outside));
            }
        }
    }

    /// The test starts itself again as a child, which the fault has to end.
    #[test]
    fn touching_a_guard_ends_the_process() {
        const CHILD: &str = "KEYFOLD_TEST_TOUCHES_GUARD";
        if std::env::var_os(CHILD).is_some() {
            let past_the_end = map_run().as_ptr().wrapping_add(RUN);
            // SAFETY: none; the fault is what the parent waits for.
            unsafe { past_the_end.write_volatile(1) };
            return;
        }
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "pages::tests::touching_a_guard_ends_the_process"])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(libc::SIGSEGV), "{status}");
    }

    /// In a child as well, which first gives up the right to lock memory.
    #[test]
    fn memory_that_can_not_be_locked_works_and_is_told() {
        const CHILD: &str = "KEYFOLD_TEST_LOCKS_NOTHING";
        const DONE: i32 = 42;
        if std::env::var_os(CHILD).is_some() {
            let nothing = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            // SAFETY: plain numbers, and a struct that outlives the call. The limit does not bind
            // root, so the child becomes somebody else; where it is not root it can't, and need not.
            unsafe {
                assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const nothing), 0);
                libc::setuid(65_534);
            }
            assert!(locked(), "nothing has failed so far");
            let slot = take(LARGEST);
            // SAFETY: the slot is `LARGEST` bytes long and ours.
            unsafe { slot.write_bytes(0xA5, LARGEST) };
            assert!(!locked());
            std::process::exit(DONE);
        }
        let status = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "pages::tests::memory_that_can_not_be_locked_works_and_is_told",
            ])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(DONE), "{status}");
    }

    #[test]
    fn sizes_and_classes() {
        for (len, expected) in [(0, 16), (1, 16), (16, 16), (17, 32), (33, 64), (4096, 4096)] {
            assert_eq!(slot_size(len), expected);
        }
        assert_eq!(class(LARGEST), CLASSES - 1);
        assert_eq!(RUN % LARGEST, 0);
    }

    #[test]
    fn slots_are_aligned_apart_and_reused() {
        const LEN: usize = 2048; // A class no other test of this crate uses.
        let first = take(LEN);
        let second = take(LEN);
        assert_ne!(first, second);
        for slot in [first, second] {
            assert_eq!(slot.addr().get() % LEN, 0);
        }
        assert!(first.addr().get().abs_diff(second.addr().get()) >= LEN);
        // SAFETY: both come from `take(LEN)`, were never written, and are not used any more.
        unsafe {
            give_back(first, LEN);
            assert_eq!(take(LEN), first);
            give_back(first, LEN);
            give_back(second, LEN);
        }
    }

    #[test]
    fn the_arena_grows_beyond_one_run() {
        const LEN: usize = 1024;
        let slots: Vec<_> = (0..2 * RUN / LEN + 1).map(|_| take(LEN)).collect();
        let mut distinct = slots.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), slots.len());
        for slot in slots {
            // SAFETY: from `take(LEN)`, never written.
            unsafe { give_back(slot, LEN) };
        }
    }
}
