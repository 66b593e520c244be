//! Moves envelopes under the newest version of their KEK, without a DEK and without the payload.
//!
//! The run is a stream: headers are read, those with an old wrap queue up by key, a full queue
//! becomes one call of the key service, and each new wrap is written with the two-sector protocol
//! of [`apply`]. Nothing is kept about a run: a second one finds what the first left undone.

pub(crate) mod apply;
mod plan;
mod queue;

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::Error;
use crate::file;
use crate::header::{HEADER_LEN, Header};
use crate::key_service::{KeyService, RewrapOutcome, ServiceError, WrappedDek};
use crate::locator::Locator;
use crate::progress::{NoProgress, Progress};
use crate::slot::{Slot, SlotState, kek_id, now};
use crate::unlock::open_slot;
use crate::walk::{self, Found, Unreadable, Visit};

use apply::{Change, Sectors, Written};
use plan::{Job, jobs};
use queue::{Queue, Task};

/// Threads that write slots. They wait for the disk most of the time.
const WRITERS: usize = 4;

/// How to rewrap.
#[derive(Clone, Copy, Debug, Default)]
pub struct RewrapOptions {
    /// Only count: no wrap is asked for and nothing is written.
    pub dry_run: bool,
    /// What to check of each envelope.
    pub verify: Verify,
}

/// How much to check of each envelope that gets a new wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verify {
    /// Nothing beyond the protocol.
    #[default]
    None,
    /// The new slot reads back before the old one is retired.
    Slot,
    /// Before anything is written, the new wrap is unwrapped and opens this payload's commitment.
    /// Needs the right to decrypt.
    Commit,
    /// As `Commit`, and the whole payload authenticates.
    Full,
}

/// What a run did. An envelope with wraps under several keys counts once for each of them.
#[derive(Debug, Default)]
pub struct RewrapReport {
    /// Envelopes read, each once.
    pub envelopes: u64,
    /// Files in directories that are no envelopes.
    pub other_files: u64,
    /// Envelopes that got a new wrap, or would get one in a dry run.
    pub rewrapped: u64,
    /// Envelopes that had nothing to do.
    pub already_newest: u64,
    /// Envelopes of which only a left-over old slot was retired: an earlier run was interrupted.
    pub finished: u64,
    /// Bytes written to envelopes.
    pub bytes_written: u64,
    /// Bytes of payload behind the changed headers, which were not touched.
    pub payload_bytes: u64,
    /// Calls of the key service that rewrap.
    pub server_calls: u64,
    /// Distinct wraps sent in these calls.
    pub wraps_sent: u64,
    /// The newest version of each key met, where the token may read it.
    pub newest: BTreeMap<Locator, u32>,
    /// Envelopes that were left as they were.
    pub failures: Vec<FileFailure>,
    /// Why the run ended early: the server cannot be reached or is sealed. Envelopes that waited for
    /// it are in no other count; a second run finds them.
    pub stopped: Option<ServiceError>,
}

/// One envelope that was left as it was.
pub type FileFailure = Unreadable;

/// Rewraps each envelope at or below `paths`. Errors of single files are in the report; `Err` means
/// that the run could not start.
pub fn rewrap(
    service: &dyn KeyService,
    paths: &[PathBuf],
    options: RewrapOptions,
    progress: &dyn Progress,
) -> Result<RewrapReport, Error> {
    progress.total(walk::count(paths));
    let mut run = Run {
        service,
        options,
        progress,
        cluster_id: service.cluster_id()?,
        versions: HashMap::new(),
        queues: BTreeMap::new(),
        report: RewrapReport::default(),
    };
    walk::walk(paths, |visit| {
        run.visit(visit);
        run.report.stopped.is_none()
    });
    for (locator, queue) in std::mem::take(&mut run.queues) {
        run.flush(&locator, queue);
    }
    Ok(run.report)
}

struct Run<'a> {
    service: &'a dyn KeyService,
    options: RewrapOptions,
    progress: &'a dyn Progress,
    cluster_id: String,
    /// The newest version of each key met, or why it is not known.
    versions: HashMap<Locator, Result<Option<u32>, ServiceError>>,
    queues: BTreeMap<Locator, Queue>,
    report: RewrapReport,
}

impl Run<'_> {
    fn visit(&mut self, visit: Visit) {
        match visit {
            Visit::Other => add(&mut self.report.other_files, 1),
            Visit::Unreadable(failure) => self.report.failures.push(failure),
            Visit::Envelope(found) => {
                add(&mut self.report.envelopes, 1);
                return self.consider(*found);
            }
        }
        self.progress.advance(1);
    }

    /// Decides about one envelope. One with wraps under several keys is several tasks, of which
    /// each is read, checked and written on its own.
    fn consider(&mut self, found: Found) {
        let jobs = jobs(&found.header, &self.cluster_id);
        if jobs.is_empty() {
            let damaged = found.header.slots.damaged() > 0;
            let error = if damaged {
                Error::TornSlot
            } else {
                Error::NoUsableSlot
            };
            return self.fail(found.path, error);
        }
        for job in jobs {
            let newest = match self.newest(&job.locator) {
                Ok(newest) => newest,
                Err(error) => {
                    self.stop_on(&error);
                    return self.fail(found.path, error.into());
                }
            };
            let is_newest = job.is_newest(newest);
            if is_newest && job.superseded.is_empty() {
                add(&mut self.report.already_newest, 1);
                self.progress.advance(1);
                continue;
            }
            let task = Task {
                path: found.path.clone(),
                prelude: found.header.prelude.clone(),
                payload_len: found.file_len.saturating_sub(HEADER_LEN as u64),
                job,
            };
            if is_newest {
                self.retire_left_over(task);
            } else {
                self.enqueue(task);
            }
        }
    }

    /// An earlier run wrote the new slot and was interrupted before it retired the old one.
    fn retire_left_over(&mut self, task: Task) {
        if self.options.dry_run {
            add(&mut self.report.finished, 1);
            return self.progress.advance(1);
        }
        let result = self.write(&task, None);
        self.record(task, result);
    }

    fn enqueue(&mut self, task: Task) {
        if self.options.dry_run {
            add(&mut self.report.rewrapped, 1);
            add(&mut self.report.payload_bytes, task.payload_len);
            return self.progress.advance(1);
        }
        let locator = task.job.locator.clone();
        let queue = self.queues.entry(locator.clone()).or_default();
        queue.push(task);
        if queue.is_full() {
            let full = std::mem::take(queue);
            self.flush(&locator, full);
        }
    }

    /// One call of the key service, then the writes.
    fn flush(&mut self, locator: &Locator, queue: Queue) {
        let (items, tasks) = queue.into_parts();
        if items.is_empty() || self.report.stopped.is_some() {
            return;
        }
        add(&mut self.report.server_calls, 1);
        add(&mut self.report.wraps_sent, items.len() as u64);
        let outcomes: Vec<RewrapOutcome> = match self.service.rewrap(locator, &items) {
            Ok(outcomes) if outcomes.len() == items.len() => outcomes,
            Ok(_) => {
                let error = ServiceError::Other("a batch answer of another length".to_owned());
                vec![Err(error); items.len()]
            }
            Err(error) => {
                self.stop_on(&error);
                vec![Err(error); items.len()]
            }
        };
        let missing = Err(ServiceError::Other("no answer for an item".to_owned()));
        let work = tasks.into_iter().map(|(item, task)| {
            let outcome = outcomes.get(item).unwrap_or(&missing).clone();
            (task, outcome)
        });
        let done = self.write_all(work.collect());
        for (task, result) in done {
            self.record(task, result);
        }
    }

    /// Writes the new wraps, several envelopes at a time.
    fn write_all(&self, work: Vec<(Task, RewrapOutcome)>) -> Vec<(Task, Result<Written, Error>)> {
        let work = Mutex::new(work.into_iter());
        let done = Mutex::new(Vec::new());
        let run = || {
            loop {
                let next = work.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((task, outcome)) = next else { return };
                let result = match outcome {
                    Ok(wrapped) => self.write(&task, Some(wrapped)),
                    Err(error) => Err(task.job.refused(error)),
                };
                done.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((task, result));
            }
        };
        thread::scope(|scope| {
            for _ in 1..WRITERS {
                scope.spawn(run);
            }
            run();
        });
        done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a new wrap in its place, or only retires what it replaced.
    fn write(&self, task: &Task, wrapped: Option<WrappedDek>) -> Result<Written, Error> {
        let job = &task.job;
        // The server answered with the version the envelope has: nothing to replace.
        let wrapped = wrapped.filter(|new| !job.is_newest(Some(new.version)));
        let new = wrapped.map(|wrapped| self.new_slot(job, wrapped));
        if new.is_none() && job.superseded.is_empty() {
            return Ok(Written::default());
        }
        let file = OpenOptions::new().read(true).write(true).open(&task.path)?;
        if let Some(slot) = &new {
            self.verify_key(&file, slot)?;
        }
        let change = Change {
            prelude: &task.prelude,
            source: (job.index, &job.slot),
            superseded: &job.superseded,
            new,
            read_back: self.options.verify >= Verify::Slot,
        };
        apply::lock(&file)?;
        apply::apply(&file, change)
    }

    fn new_slot(&self, job: &Job, wrapped: WrappedDek) -> Slot {
        Slot {
            state: SlotState::Active,
            version: wrapped.version,
            blob: wrapped.blob,
            wrapped_at: now(),
            kek_id: kek_id(&self.cluster_id, &job.locator),
            ..job.slot.clone()
        }
    }

    /// `Verify::Commit` and `Verify::Full`, before anything is written.
    fn verify_key(&self, file: &File, slot: &Slot) -> Result<(), Error> {
        if self.options.verify < Verify::Commit {
            return Ok(());
        }
        let header = Header::parse(&file.read()?)?;
        let opened = open_slot(self.service, &header, slot);
        let (_, key) = opened.ok_or(Error::NoUsableSlot)??;
        if self.options.verify == Verify::Full {
            let sealed_len = file.metadata()?.len().saturating_sub(HEADER_LEN as u64);
            file::decrypt(&key, file, None, sealed_len, 1, &NoProgress)?;
        }
        Ok(())
    }

    /// The newest version of a key, asked for once a run; `None` where the token may not read it.
    fn newest(&mut self, locator: &Locator) -> Result<Option<u32>, ServiceError> {
        if let Some(known) = self.versions.get(locator) {
            return known.clone();
        }
        let answer = self.service.versions(locator);
        let newest = answer.map(|versions| versions.map(|versions| versions.latest));
        if let Ok(Some(newest)) = newest {
            self.report.newest.insert(locator.clone(), newest);
        }
        self.versions.insert(locator.clone(), newest.clone());
        newest
    }

    fn record(&mut self, task: Task, result: Result<Written, Error>) {
        match result {
            Err(error) => return self.fail(task.path, error),
            Ok(Written { bytes: 0, .. }) => add(&mut self.report.already_newest, 1),
            Ok(Written { bytes, new_slot }) => {
                add(&mut self.report.bytes_written, bytes);
                if new_slot {
                    add(&mut self.report.rewrapped, 1);
                    add(&mut self.report.payload_bytes, task.payload_len);
                } else {
                    add(&mut self.report.finished, 1);
                }
            }
        }
        self.progress.advance(1);
    }

    fn fail(&mut self, path: PathBuf, error: Error) {
        self.report.failures.push(FileFailure { path, error });
        self.progress.advance(1);
    }

    /// Ends the run where no further call can succeed.
    fn stop_on(&mut self, error: &ServiceError) {
        if matches!(error, ServiceError::Unreachable(_) | ServiceError::Sealed) {
            self.report.stopped.get_or_insert_with(|| error.clone());
        }
    }
}

fn add(counter: &mut u64, amount: u64) {
    *counter = counter.saturating_add(amount);
}

#[cfg(test)]
mod tests;
