//! Settings of the process itself that keep its memory to itself.
#![allow(unsafe_code)]

use std::io;

/// Makes the process undumpable: no core file, no `ptrace` or reading of `/proc/<pid>/mem` by other
/// processes of the same user.
///
/// Call it first thing in `main`. It lasts until the process executes another program.
///
/// # Errors
///
/// What the kernel answered, where it refused either setting.
pub fn harden() -> io::Result<()> {
    let no_core = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `prctl` takes plain numbers here; `setrlimit` reads a struct that outlives the call.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) != 0
            || libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core) != 0
    };
    if refused {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Blocks from here on are mapped each on its own, bytes. Those of a request whose body is a
/// mebibyte are smaller: mapped anew for each request, they cost it a fault for each page.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 4 << 20;

/// So much free memory at its end an arena keeps for the next request, bytes.
#[cfg(target_env = "gnu")]
const KEPT: libc::c_int = 8 << 20;

/// Has large blocks of memory go back to the system when they are freed.
///
/// glibc would do so only until it meets the first one: from then on it keeps blocks of up to 32 MiB
/// for later, for each of its arenas. The memory of a few password hashes or large bodies at a time
/// then stays for ever.
pub fn return_large_blocks() {
    // SAFETY: `mallopt` takes plain numbers. Where it refuses, all stays as it was.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardened_process_says_so() {
        harden().unwrap();
        let mut limit = libc::rlimit {
            rlim_cur: 1,
            rlim_max: 1,
        };
        // SAFETY: plain numbers, and a struct that outlives the call.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
            assert_eq!(libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit), 0);
        }
        assert_eq!((limit.rlim_cur, limit.rlim_max), (0, 0));
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn large_blocks_are_mapped_apart_again_and_again() {
        return_large_blocks();
        // SAFETY: `mallinfo2` takes nothing and returns numbers.
        let mapped = || unsafe { libc::mallinfo2() }.hblks;
        let large = || std::hint::black_box(vec![1_u8; 8 << 20]);
        // After the first one glibc would keep such blocks.
        drop(large());
        let before = mapped();
        let block = large();
        assert!(mapped() > before);
        drop(block);
        assert_eq!(mapped(), before);
    }
}
