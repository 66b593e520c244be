//! Makes envelopes anew in their places: a new DEK, the whole payload sealed again.
//!
//! This is the answer to a DEK or a plaintext that was lost; to a KEK that was, [`rewrap()`] is, which
//! leaves the payload alone. The new envelope is written under a temporary name beside the old one and
//! takes its place when it is whole and durable, so that any error, and a kill at any moment, leaves
//! the old one.
//!
//! [`rewrap()`]: crate::rewrap()

mod one;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::error::Error;
use crate::key_service::{KeyService, ServiceError};
use crate::keyring::ServiceDeks;
use crate::recipient::Identity;
use crate::rewrap::{Done, Outcome, Stopped, Watch};
use crate::store::{Directories, Durability, Pages, Spot, Store as _, Unreadable, in_parallel};

use one::{Job, Made};

/// Failures that a report holds one by one.
const MOST_FAILURES: usize = 10_000;

/// How to make envelopes anew.
#[derive(Clone, Debug, Default)]
pub struct ReencryptOptions {
    /// Only count.
    pub dry_run: bool,
    /// Object ids of envelopes that an earlier run made: they are left as they are.
    pub made: HashSet<[u8; 16]>,
    /// Threads; as many as the machine has cores, and a few at least, where `None`.
    pub workers: Option<NonZeroUsize>,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct ReencryptReport {
    /// Envelopes read.
    pub envelopes: u64,
    /// Files in directories that are no envelopes.
    pub other_files: u64,
    /// Envelopes with a new DEK, or which would get one in a dry run.
    pub reencrypted: u64,
    /// Envelopes that an earlier run made.
    pub already_made: u64,
    /// Bytes of plaintext that were sealed again, or would be.
    pub plaintext_bytes: u64,
    /// Envelopes that were left as they were.
    pub failed: u64,
    /// These: the first ten thousand of them.
    pub failures: Vec<Unreadable>,
    /// Why the run ended early.
    pub stopped: Option<Stopped>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Makes each envelope at or below `paths` anew, under the keys that it has active wraps of, with the
/// labels that it has and the same context, which is that of all of them.
///
/// What is under a DEK of the keyring `deks` comes under its current one. An envelope that is under that
/// already is refused ([`KeyringError::Current`]): the keyring has to begin another one first.
///
/// [`KeyringError::Current`]: crate::keyring::KeyringError::Current
///
/// [`Outcome::Replacing`] is told before a new envelope takes its place, with its object id: whoever
/// keeps these can give them to a later run.
pub fn reencrypt<K: KeyService>(
    service: &K,
    deks: Option<&ServiceDeks>,
    context: &Context,
    paths: &[PathBuf],
    options: &ReencryptOptions,
    watch: &dyn Watch,
) -> ReencryptReport {
    let store = Directories::new(paths.to_vec(), Durability::File);
    let run = Run {
        store: &store,
        job: Job {
            service,
            identities: [service as &dyn Identity]
                .into_iter()
                .chain(deks.map(|deks| deks as &dyn Identity))
                .collect(),
            deks,
            context,
            watch,
        },
        options,
        report: Mutex::new(ReencryptReport::default()),
    };
    let began = Instant::now();
    // One at a time: how long one takes is in its length.
    let pages = Pages::of(&store, 1);
    let count = || {
        let total = watch.watches().then(|| store.count());
        if let Some(items) = total.flatten() {
            watch.total(items);
        }
    };
    in_parallel(options.workers, || run.work(&pages), count);
    let mut report = run
        .report
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    report.elapsed = began.elapsed();
    report
}

struct Run<'a> {
    store: &'a Directories,
    job: Job<'a>,
    options: &'a ReencryptOptions,
    report: Mutex<ReencryptReport>,
}

impl Run<'_> {
    fn work(&self, pages: &Pages<'_, Directories>) {
        while !self.is_over() {
            let Some((mut spots, unreadable)) = pages.next() else {
                return;
            };
            for failure in unreadable {
                self.failed(failure.path, failure.error);
            }
            let found = self.store.read(&mut spots);
            for (spot, found) in spots.iter().zip(found) {
                match found {
                    Ok(Some(_)) => self.one(spot),
                    Ok(None) => self.count(|report| &mut report.other_files, 1),
                    Err(error) => self.failed(self.store.name(spot), error),
                }
                self.job.watch.advance(1);
            }
        }
    }

    fn one(&self, spot: &Spot) {
        self.count(|report| &mut report.envelopes, 1);
        let path = self.store.name(spot);
        match self.job.run(&path, self.options) {
            Ok(Made::Already) => self.count(|report| &mut report.already_made, 1),
            Ok(Made::New { plaintext_len }) => {
                self.count(|report| &mut report.reencrypted, 1);
                self.count(|report| &mut report.plaintext_bytes, plaintext_len);
            }
            Err(Error::Interrupted) => self.stop(Stopped::Interrupted),
            Err(Error::Service(error @ (ServiceError::Unreachable(_) | ServiceError::Sealed))) => {
                self.stop(Stopped::Service(error))
            }
            Err(error) => self.failed(path, error),
        }
    }

    fn failed(&self, path: PathBuf, error: Error) {
        self.job.watch.done(&Done {
            place: &path,
            key: None,
            outcome: Outcome::Failed(&error),
        });
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.failed = report.failed.saturating_add(1);
        if report.failures.len() < MOST_FAILURES {
            report.failures.push(Unreadable { path, error });
        }
    }

    fn stop(&self, why: Stopped) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.stopped.get_or_insert(why);
    }

    fn is_over(&self) -> bool {
        if self.job.watch.stops() {
            self.stop(Stopped::Interrupted);
        }
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.stopped.is_some()
    }

    fn count(&self, counter: impl Fn(&mut ReencryptReport) -> &mut u64, amount: u64) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = counter(&mut report);
        *counter = counter.saturating_add(amount);
    }
}

#[cfg(test)]
mod tests;
