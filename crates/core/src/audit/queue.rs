//! Lines of several requests, handed to a device with one write.
//!
//! ```text
//!   request a ──append──┐
//!   request b ──append──┼──► batch ──► one write ──► each learns how it went
//!   request c ──append──┘
//! ```
//!
//! A request puts its line down and lets the requests that are ready go first: they put theirs
//! beside it. Whoever comes back and finds its line unwritten writes all that are there. No line
//! counts before the device has it, and nothing waits for a clock.

use std::hint;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use tokio::task::yield_now;

use crate::ports::audit::AuditDevice;

/// Looks at a lock before a thread goes to sleep: some microseconds, as long as a write takes.
const LOOKS: usize = 200;

/// The way to one device.
pub(super) struct Queue {
    /// As it is called in the log.
    name: String,
    device: Arc<dyn AuditDevice>,
    batch: Mutex<Batch>,
    /// Held while the device writes, so that batches keep their order.
    writing: Mutex<()>,
    /// The last write failed.
    failing: AtomicBool,
}

/// Lines that no write has taken yet.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    /// Set once: whether the device has them.
    kept: Arc<OnceLock<bool>>,
}

impl Queue {
    pub(super) fn new(name: String, device: Arc<dyn AuditDevice>) -> Self {
        Self {
            name,
            device,
            batch: Mutex::default(),
            writing: Mutex::default(),
            failing: AtomicBool::new(false),
        }
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    pub(super) fn reopen(&self) -> io::Result<()> {
        self.device.reopen()
    }

    /// Whether the device has the line, a whole one with its newline. Why not stands in the log.
    ///
    /// Dropped while it waits, the line is written with the next batch.
    pub(super) async fn append(&self, line: &[u8]) -> bool {
        let kept = {
            let mut batch = lock(&self.batch);
            batch.lines.extend_from_slice(line);
            batch.kept.clone()
        };
        yield_now().await;
        if let Some(kept) = kept.get() {
            return *kept;
        }
        let turn = lock(&self.writing);
        // Whoever held the turn may have taken this line along.
        let kept = match kept.get() {
            Some(kept) => *kept,
            None => self.write(),
        };
        drop(turn);
        kept
    }

    /// Writes what is there.
    fn write(&self) -> bool {
        let Batch { lines, kept } = mem::take(&mut *lock(&self.batch));
        let written = self.device.write(&lines);
        if let Err(error) = &written {
            tracing::error!(device = %self.name, %error, "audit device failed");
        }
        self.failing.store(written.is_err(), Ordering::Relaxed);
        *kept.get_or_init(|| written.is_ok())
    }
}

/// Both locks are held for microseconds, so whoever waits looks again a few times before it goes
/// to sleep: that costs less than to be woken.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    for _ in 0..LOOKS {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(guard)) => return guard.into_inner(),
            Err(TryLockError::WouldBlock) => hint::spin_loop(),
        }
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    /// Keeps each write; refuses one that holds "bad".
    #[derive(Default)]
    struct Memory(Mutex<Vec<String>>);

    impl AuditDevice for Memory {
        fn write(&self, lines: &[u8]) -> io::Result<()> {
            let lines = String::from_utf8(lines.to_vec()).unwrap();
            if lines.contains("bad") {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.lock().unwrap().push(lines);
            Ok(())
        }

        fn reopen(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queue() -> (Arc<Memory>, Queue) {
        let memory = Arc::new(Memory::default());
        (memory.clone(), Queue::new("memory".into(), memory))
    }

    #[tokio::test]
    async fn requests_that_are_ready_share_a_write() {
        let (memory, queue) = queue();
        let lines = ["a\n", "b\n", "c\n"];
        let kept = join_all(lines.map(|line| queue.append(line.as_bytes()))).await;
        assert_eq!(kept, [true; 3]);
        assert_eq!(*memory.0.lock().unwrap(), ["a\nb\nc\n"]);
    }

    #[tokio::test]
    async fn a_failed_write_fails_each_of_its_lines_and_no_other() {
        let (memory, queue) = queue();
        let kept = join_all(["a\n", "bad\n"].map(|line| queue.append(line.as_bytes()))).await;
        assert_eq!(kept, [false; 2]);
        assert!(queue.append(b"later\n").await);
        assert_eq!(*memory.0.lock().unwrap(), ["later\n"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn every_line_is_written_once_and_in_its_callers_order() {
        let (memory, queue) = queue();
        let queue = Arc::new(queue);
        let callers = (0..16).map(|caller| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for n in 0..200 {
                    assert!(queue.append(format!("{caller} {n}\n").as_bytes()).await);
                }
            })
        });
        for caller in join_all(callers).await {
            caller.unwrap();
        }
        let text = memory.0.lock().unwrap().concat();
        let mut next = [0; 16];
        for line in text.lines() {
            let (caller, n) = line.split_once(' ').unwrap();
            let next = &mut next[caller.parse::<usize>().unwrap()];
            assert_eq!(n.parse::<u32>().unwrap(), *next);
            *next += 1;
        }
        assert_eq!(next, [200; 16]);
    }
}
