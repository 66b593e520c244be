//! The thread beside a cache: asks again before ages end, and wipes what nobody uses any more.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::dek_cache::{Ask, DekCache};
use super::id::CacheId;

/// A DEK that may not be used any more is wiped after at most so long.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Questions that may wait for the thread. One more is left out: the next use brings it again.
const MOST_JOBS: usize = 64;

/// A DEK to ask for again.
pub(super) struct Job<V> {
    pub(super) id: CacheId,
    pub(super) ask: Ask<V>,
}

/// Starts the thread when there is something in the cache, and lets it go when there is not.
pub(super) struct Worker<V> {
    jobs: Mutex<Option<SyncSender<Job<V>>>>,
}

impl<V: Send + Sync + 'static> Worker<V> {
    pub(super) fn new() -> Self {
        Self {
            jobs: Mutex::new(None),
        }
    }

    /// Makes sure that the thread runs. Where the system gives no thread, DEKs are asked for when
    /// their age has ended, and wiped when they are looked up.
    pub(super) fn start(&self, cache: &Arc<DekCache<V>>) {
        let mut jobs = self.jobs();
        if jobs.is_none() {
            let (sender, receiver) = sync_channel(MOST_JOBS);
            let cache = Arc::downgrade(cache);
            let thread = thread::Builder::new().name("keyfold-deks".to_owned());
            if thread.spawn(move || run(&cache, &receiver)).is_ok() {
                *jobs = Some(sender);
            }
        }
    }

    /// Has the thread ask.
    pub(super) fn push(&self, job: Job<V>) {
        if let Some(jobs) = &*self.jobs() {
            // A full queue: see MOST_JOBS.
            let _ = jobs.try_send(job);
        }
    }

    /// Forgets the thread if `idle` says so; no job is pushed meanwhile.
    fn end_if(&self, idle: impl FnOnce() -> bool) -> bool {
        let mut jobs = self.jobs();
        let end = idle();
        if end {
            *jobs = None;
        }
        end
    }

    fn jobs(&self) -> MutexGuard<'_, Option<SyncSender<Job<V>>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run<V: Send + Sync + 'static>(cache: &Weak<DekCache<V>>, jobs: &Receiver<Job<V>>) {
    loop {
        let job = jobs.recv_timeout(SWEEP_EVERY);
        let Some(cache) = cache.upgrade() else {
            return;
        };
        let idle = matches!(job, Err(RecvTimeoutError::Timeout));
        match job {
            Ok(job) => cache.refresh(job),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        cache.sweep();
        if idle && cache.worker().end_if(|| cache.is_empty()) {
            return;
        }
    }
}
