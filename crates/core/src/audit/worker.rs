//! A device that waits for others, on a thread of its own.
//!
//! ```text
//!   request ──offer──► lines ──► thread ──write──► device
//!      ▲                           │
//!      └──── Word: kept or not ────┘
//! ```
//!
//! No request touches the device. A line is put down; whoever has to know how it went waits for
//! the word of its batch, up to the device's own bound. After a failure, or when that bound has
//! passed, the device is down: lines are not taken, nobody waits, and the thread tries to get it
//! back, at growing intervals.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::SetOnce;
use tokio::time::timeout;

use crate::ports::audit::AuditDevice;

/// Bytes that wait for a device at most.
const ROOM: usize = 4 * 1024 * 1024;
/// The first pause before a device that failed is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The way to a device that waits for others.
pub(super) struct Worker(Arc<Shared>);

struct Shared {
    /// As it is called in the log.
    name: String,
    device: Arc<dyn AuditDevice>,
    patience: Duration,
    desk: Mutex<Desk>,
    wake: Condvar,
    /// Lines that the device did not get since the log last said so.
    lost: AtomicU64,
}

/// What lies between the requests and the thread.
struct Desk {
    lines: Vec<u8>,
    kept: Arc<SetOnce<bool>>,
    up: bool,
    reopen: bool,
    /// Somebody waits for the word, though there may be no line.
    asked: bool,
    stop: bool,
}

/// How the batch of a line will have gone.
pub(super) struct Word {
    kept: Arc<SetOnce<bool>>,
    of: Arc<Shared>,
}

impl Worker {
    pub(super) fn new(name: String, device: Arc<dyn AuditDevice>, patience: Duration) -> Self {
        let shared = Arc::new(Shared {
            name,
            device,
            patience,
            desk: Mutex::new(Desk {
                lines: Vec::new(),
                kept: Arc::default(),
                up: true,
                reopen: false,
                asked: false,
                stop: false,
            }),
            wake: Condvar::new(),
            lost: AtomicU64::new(0),
        });
        let thread = shared.clone();
        let spawned = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || thread.serve());
        if let Err(error) = spawned {
            tracing::error!(device = %shared.name, %error, "audit device has no thread");
            shared.desk().up = false;
        }
        Self(shared)
    }

    /// Takes a line, a whole one with its newline; nothing where the device is down or too far
    /// behind, or can't take a line so long.
    pub(super) fn offer(&self, line: &[u8]) -> Option<Word> {
        if line.len() > self.0.device.longest() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let mut desk = self.0.desk();
        let full = !desk.lines.is_empty() && desk.lines.len() + line.len() > ROOM;
        if full || !desk.up {
            drop(desk);
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        desk.lines.extend_from_slice(line);
        let kept = desk.kept.clone();
        drop(desk);
        self.0.wake.notify_one();
        let of = self.0.clone();
        Some(Word { kept, of })
    }

    /// The word for all that was taken up to now; nothing where the device is down.
    pub(super) fn last(&self) -> Option<Word> {
        let mut desk = self.0.desk();
        if !desk.up {
            return None;
        }
        desk.asked = true;
        let kept = desk.kept.clone();
        drop(desk);
        self.0.wake.notify_one();
        let of = self.0.clone();
        Some(Word { kept, of })
    }

    /// The last that is known of it is a failure.
    pub(super) fn is_failing(&self) -> bool {
        !self.0.desk().up
    }

    /// Has the thread open the device anew.
    pub(super) fn reopen(&self) {
        self.0.desk().reopen = true;
        self.0.wake.notify_one();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.desk().stop = true;
        self.0.wake.notify_one();
    }
}

impl Word {
    /// Whether one of these devices has its line. The first that has is enough.
    pub(super) async fn any(words: Vec<Self>) -> bool {
        let mut words: FuturesUnordered<_> = words.into_iter().map(Self::heard).collect();
        while let Some(kept) = words.next().await {
            if kept {
                return true;
            }
        }
        false
    }

    /// Waits for each of them.
    pub(super) async fn all(words: Vec<Self>) {
        let words: FuturesUnordered<_> = words.into_iter().map(Self::heard).collect();
        let _kept_or_not: Vec<bool> = words.collect().await;
    }

    async fn heard(self) -> bool {
        match timeout(self.of.patience, self.kept.wait()).await {
            Ok(kept) => *kept,
            Err(_) => self.of.overdue(&self.kept),
        }
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // The desk is whole after every operation.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's whole life.
    fn serve(&self) {
        while let Some(order) = self.next() {
            match order {
                Order::Reopen => {
                    if let Err(error) = self.device.reopen() {
                        self.failed(&error);
                        if !self.recover() {
                            return;
                        }
                    }
                }
                Order::Write(lines, kept) => {
                    let written = match lines.is_empty() {
                        true => Ok(()),
                        false => self.device.write(&lines),
                    };
                    // A word is given once, here.
                    let _ = kept.set(written.is_ok());
                    match written {
                        Ok(()) => self.is_up(),
                        Err(error) => {
                            self.failed(&error);
                            if !self.recover() {
                                return;
                            }
                        }
                    }
                }
            }
        }
    }

    /// Waits for work; none when the device is given up. What was taken is written first.
    fn next(&self) -> Option<Order> {
        let mut desk = self.desk();
        loop {
            if desk.reopen {
                desk.reopen = false;
                return Some(Order::Reopen);
            }
            if std::mem::take(&mut desk.asked) || !desk.lines.is_empty() {
                let lines = std::mem::take(&mut desk.lines);
                let kept = std::mem::take(&mut desk.kept);
                return Some(Order::Write(lines, kept));
            }
            if desk.stop {
                return None;
            }
            desk = self.wake.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// From here on nobody waits; who does already is told.
    fn failed(&self, error: &io::Error) {
        let mut desk = self.desk();
        desk.up = false;
        desk.lines = Vec::new();
        let kept = std::mem::take(&mut desk.kept);
        drop(desk);
        let _ = kept.set(false);
        tracing::error!(device = %self.name, %error, "audit device failed");
    }

    /// Tries until the device is back; false when it is given up.
    fn recover(&self) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            let desk = self.desk();
            let quiet = |desk: &mut Desk| !desk.stop && !desk.reopen;
            let (mut desk, _) = self
                .wake
                .wait_timeout_while(desk, pause, quiet)
                .unwrap_or_else(PoisonError::into_inner);
            if desk.stop {
                return false;
            }
            desk.reopen = false;
            drop(desk);
            match self.device.reopen() {
                Ok(()) => {
                    self.is_up();
                    return true;
                }
                Err(error) => {
                    tracing::debug!(device = %self.name, %error, "audit device still fails");
                }
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    fn is_up(&self) {
        let was_up = std::mem::replace(&mut self.desk().up, true);
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if !was_up || lost > 0 {
            tracing::warn!(device = %self.name, lost, "audit device is back; it misses lines");
        }
    }

    /// The device took longer than anybody has to wait, unless its word has come just now. The word
    /// is given before the device is up again, so one that is still awaited is followed by that.
    fn overdue(&self, kept: &SetOnce<bool>) -> bool {
        let mut desk = self.desk();
        if let Some(kept) = kept.get() {
            return *kept;
        }
        let was_up = std::mem::replace(&mut desk.up, false);
        drop(desk);
        if was_up {
            tracing::error!(device = %self.name, "audit device failed: no answer in time");
        }
        false
    }
}

/// What the thread does next.
enum Order {
    Reopen,
    Write(Vec<u8>, Arc<SetOnce<bool>>),
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Keeps what is written while the gate is open; waits for it else.
    struct Gated {
        open: Mutex<bool>,
        opened: Condvar,
        lines: Mutex<Vec<u8>>,
        broken: Mutex<bool>,
        reopened: Mutex<mpsc::Sender<()>>,
    }

    impl Gated {
        fn new(open: bool) -> (Arc<Self>, mpsc::Receiver<()>) {
            let (reopened, receiver) = mpsc::channel();
            let gated = Self {
                open: Mutex::new(open),
                opened: Condvar::new(),
                lines: Mutex::default(),
                broken: Mutex::default(),
                reopened: Mutex::new(reopened),
            };
            (Arc::new(gated), receiver)
        }

        fn open(&self) {
            *self.open.lock().unwrap() = true;
            self.opened.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.lines.lock().unwrap().clone()).unwrap()
        }
    }

    impl AuditDevice for Gated {
        fn write(&self, lines: &[u8]) -> io::Result<()> {
            let open = self.open.lock().unwrap();
            drop(self.opened.wait_while(open, |open| !*open).unwrap());
            if *self.broken.lock().unwrap() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.lines.lock().unwrap().extend_from_slice(lines);
            Ok(())
        }

        fn reopen(&self) -> io::Result<()> {
            let broken = *self.broken.lock().unwrap();
            let _ = self.reopened.lock().unwrap().send(());
            if broken {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Ok(())
        }
    }

    fn worker(device: Arc<Gated>, patience: Duration) -> Worker {
        Worker::new("gated".into(), device, patience)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_line_counts_when_the_device_has_it() {
        let (device, _) = Gated::new(true);
        let worker = worker(device.clone(), LONG);
        let words = ["a\n", "b\n"].map(|line| worker.offer(line.as_bytes()).unwrap());
        for word in words {
            assert!(Word::any(vec![word]).await);
        }
        assert_eq!(device.text(), "a\nb\n");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_device_that_hung_once() {
        let (device, _) = Gated::new(false);
        let worker = worker(device.clone(), Duration::from_millis(20));
        let word = worker.offer(b"a\n").unwrap();
        assert!(!Word::any(vec![word]).await);
        assert!(worker.is_failing());
        assert!(worker.offer(b"b\n").is_none());
        device.open();
        while worker.is_failing() {
            tokio::task::yield_now().await;
        }
        let word = worker.offer(b"c\n").unwrap();
        assert!(Word::any(vec![word]).await);
        assert_eq!(device.text(), "a\nc\n");
    }

    #[tokio::test]
    async fn a_word_at_the_last_moment_leaves_the_device_up() {
        let (device, _) = Gated::new(true);
        let worker = worker(device, LONG);
        let word = worker.offer(b"a\n").unwrap();
        let kept = word.kept.clone();
        assert!(Word::any(vec![word]).await);
        // Whoever stopped waiting at that moment says so now.
        assert!(worker.0.overdue(&kept));
        assert!(!worker.is_failing());
    }

    #[tokio::test]
    async fn a_device_that_broke_is_tried_until_it_is_back() {
        let (device, reopened) = Gated::new(true);
        *device.broken.lock().unwrap() = true;
        let worker = worker(device.clone(), LONG);
        let word = worker.offer(b"a\n").unwrap();
        assert!(!Word::any(vec![word]).await);
        for _ in 0..3 {
            reopened.recv_timeout(LONG).unwrap();
        }
        assert!(worker.offer(b"b\n").is_none());
        *device.broken.lock().unwrap() = false;
        while worker.is_failing() {
            tokio::task::yield_now().await;
        }
        let word = worker.offer(b"c\n").unwrap();
        assert!(Word::any(vec![word]).await);
        assert_eq!(device.text(), "c\n");
    }

    #[tokio::test]
    async fn one_good_device_is_enough() {
        let (hung, _) = Gated::new(false);
        let (good, _) = Gated::new(true);
        let (hung, good) = (worker(hung.clone(), LONG), worker(good, LONG));
        let words = [&hung, &good].map(|worker| worker.offer(b"a\n").unwrap());
        assert!(Word::any(words.into()).await);
        assert!(!Word::any(Vec::new()).await);
    }

    #[tokio::test]
    async fn what_waits_is_bounded() {
        let (device, _) = Gated::new(false);
        let worker = worker(device.clone(), LONG);
        let line = [b'x'; 64 * 1024];
        let taken = (0..1000).filter(|_| worker.offer(&line).is_some()).count();
        // One batch is with the device, one lies on the desk.
        assert!(taken * line.len() <= 2 * ROOM, "{taken}");
        device.open();
    }

    #[tokio::test]
    async fn the_last_word_comes_after_every_line_and_within_the_bound() {
        let (device, _) = Gated::new(false);
        let slow = worker(device.clone(), LONG);
        slow.offer(b"a\n").unwrap();
        slow.offer(b"b\n").unwrap();
        let word = slow.last().unwrap();
        thread::spawn({
            let device = device.clone();
            move || device.open()
        });
        Word::all(vec![word]).await;
        assert_eq!(device.text(), "a\nb\n");
        // With nothing to write there is nothing to wait for.
        Word::all(slow.last().into_iter().collect()).await;

        let (hung, _) = Gated::new(false);
        let hung = worker(hung, Duration::from_millis(20));
        hung.offer(b"a\n").unwrap();
        Word::all(hung.last().into_iter().collect()).await;
        assert!(hung.last().is_none());
    }

    #[test]
    fn what_was_taken_is_written_before_the_end() {
        let (device, _) = Gated::new(false);
        let worker = worker(device.clone(), LONG);
        worker.offer(b"a\n").unwrap();
        drop(worker);
        device.open();
        // The thread and this test are the last that hold the device.
        while Arc::strong_count(&device) > 1 {
            thread::yield_now();
        }
        assert_eq!(device.text(), "a\n");
    }
}
