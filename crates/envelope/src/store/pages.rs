//! [`Pages`]: a store's list, shared by the threads of a job.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::{Store, Unreadable};

/// Threads of a job, at least: most of the time they wait for a disk or a server.
const WORKERS: usize = 4;

/// A list that several threads take from.
pub(crate) struct Pages<'a, S: Store> {
    listing: Mutex<Listing<'a, S>>,
    size: usize,
}

type Listing<'a, S> = Box<dyn Iterator<Item = Result<<S as Store>::Entry, Unreadable>> + Send + 'a>;

impl<'a, S: Store> Pages<'a, S> {
    pub(crate) fn of(store: &'a S, size: usize) -> Self {
        Self {
            listing: Mutex::new(store.list()),
            size: size.max(1),
        }
    }

    /// What comes next: what could be listed, and what could not. `None` at the end.
    pub(crate) fn next(&self) -> Option<(Vec<S::Entry>, Vec<Unreadable>)> {
        let mut entries = Vec::new();
        let mut unreadable = Vec::new();
        let mut listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        for listed in listing.by_ref().take(self.size) {
            match listed {
                Ok(entry) => entries.push(entry),
                Err(error) => unreadable.push(error),
            }
        }
        let ended = entries.is_empty() && unreadable.is_empty();
        (!ended).then_some((entries, unreadable))
    }
}

/// Runs `work` in as many threads as were asked for, else in [`WORKERS`] or one a core, and `aside`
/// in one more.
pub(crate) fn in_parallel(
    workers: Option<NonZeroUsize>,
    work: impl Fn() + Sync,
    aside: impl FnOnce() + Send,
) {
    let workers = workers.map_or_else(
        || thread::available_parallelism().map_or(WORKERS, |cores| cores.get().max(WORKERS)),
        NonZeroUsize::get,
    );
    thread::scope(|scope| {
        scope.spawn(aside);
        for _ in 1..workers {
            scope.spawn(&work);
        }
        work();
    });
}
