//! [`Run`]: one rewrap of everything in a store.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::again::Again;
use super::goal::Goal;
use super::pace::Pace;
use super::plan::{self, Job};
use super::queue::{Answers, Item, Queue, Seal, Source, Task};
use super::report::{RewrapReport, Stopped, add};
use super::watch::{Done, Outcome, Watch};
use super::{RewrapOptions, Verify};
use crate::error::Error;
use crate::key_service::{KeyService, ServiceError, WrappedDek};
use crate::locator::Locator;
use crate::store::{Content, Found, Pages, Store, in_parallel};

/// A run. Its threads share it; each has queues of its own.
pub(super) struct Run<'a, S: Store> {
    pub(super) service: &'a dyn KeyService,
    pub(super) store: &'a S,
    pub(super) goal: Goal<'a>,
    pub(super) options: &'a RewrapOptions,
    pub(super) watch: &'a dyn Watch,
    pub(super) cluster_id: String,
    /// Wraps that a thread sends and changes together.
    pub(super) batch: usize,
    pub(super) server_pace: Pace,
    pub(super) store_pace: Pace,
    /// The newest version of each key met, or why it can't be used.
    pub(super) versions: Mutex<HashMap<Locator, Result<Option<u32>, ServiceError>>>,
    pub(super) answers: Mutex<Answers>,
    report: Mutex<RewrapReport>,
    over: AtomicBool,
    began: Instant,
}

/// What a thread has taken on and not finished.
pub(super) struct Mine<E> {
    queues: BTreeMap<Locator, Queue<E>>,
    pub(super) again: Again<E>,
}

/// Tasks with the new wraps that they got; those without one have left-overs to retire.
pub(super) type Tasks<E> = Vec<(Task<E>, Option<WrappedDek>)>;

impl<'a, S: Store> Run<'a, S> {
    pub(super) fn new(
        service: &'a dyn KeyService,
        store: &'a S,
        goal: Goal<'a>,
        options: &'a RewrapOptions,
        watch: &'a dyn Watch,
    ) -> Result<Self, Error> {
        let server_pace = Pace::new(options.server_rate);
        let store_pace = Pace::new(options.store_rate);
        Ok(Self {
            service,
            store,
            goal,
            options,
            watch,
            cluster_id: service.cluster_id()?,
            batch: store_pace.turn(server_pace.turn(store.batch())),
            server_pace,
            store_pace,
            versions: Mutex::new(HashMap::new()),
            answers: Mutex::new(Answers::default()),
            report: Mutex::new(RewrapReport::default()),
            over: AtomicBool::new(false),
            began: Instant::now(),
        })
    }

    /// Goes through the store.
    pub(super) fn finish(self) -> RewrapReport {
        let pages = Pages::of(self.store, self.batch);
        let count = || {
            let count = self.watch.watches().then(|| self.store.count());
            if let Some(items) = count.flatten() {
                self.watch.total(items);
            }
        };
        in_parallel(self.options.workers, || self.work(&pages), count);
        if let Err(error) = self.settle() {
            // What was written is there, and may be lost with the power.
            self.stop(Stopped::Store(error.to_string()));
        }
        let mut report = self
            .report
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        report.elapsed = self.began.elapsed();
        report
    }

    fn settle(&self) -> Result<(), Error> {
        match self.options.dry_run {
            true => Ok(()),
            false => self.store.settle(),
        }
    }

    /// What each thread does.
    fn work(&self, pages: &Pages<'_, S>) {
        let mut mine = Mine {
            queues: BTreeMap::new(),
            again: Again::new(),
        };
        while !self.is_over() {
            let Some((entries, unreadable)) = pages.next() else {
                break;
            };
            for failure in unreadable {
                self.fail(failure.path, None, failure.error);
            }
            self.look(entries, &mut mine);
        }
        self.flush_all(&mut mine);
        self.try_again(&mut mine);
    }

    /// Reads items and decides about them.
    pub(super) fn look(&self, mut entries: Vec<S::Entry>, mine: &mut Mine<S::Entry>) {
        let found = self.store.read(&mut entries);
        let mut left_overs = Vec::new();
        for (entry, found) in answered(entries, found) {
            left_overs.extend(self.consider(entry, found, mine));
        }
        self.change(left_overs, &mut mine.again);
    }

    pub(super) fn flush_all(&self, mine: &mut Mine<S::Entry>) {
        for (locator, queue) in std::mem::take(&mut mine.queues) {
            self.flush(&locator, queue, &mut mine.again);
        }
    }

    /// Decides about one item. What needs a new wrap goes to the queues; what only needs a
    /// left-over retired is returned.
    fn consider(
        &self,
        entry: S::Entry,
        found: Result<Option<Found>, Error>,
        mine: &mut Mine<S::Entry>,
    ) -> Tasks<S::Entry> {
        let mut left_overs = Vec::new();
        let found = match found {
            Ok(Some(found)) => found,
            Ok(None) => {
                add(&mut self.report().other_files, 1);
                self.watch.advance(1);
                return left_overs;
            }
            Err(error) => {
                self.fail(self.store.name(&entry), None, error);
                return left_overs;
            }
        };
        if mine.again.is_first() {
            add(&mut self.report().envelopes, 1);
        }
        let jobs = match self.jobs(&found.content) {
            Ok(jobs) => jobs,
            Err(error) => {
                self.fail(self.store.name(&entry), None, error);
                return left_overs;
            }
        };
        if jobs.is_empty() {
            self.nothing_to_do();
            return left_overs;
        }
        let item = Rc::new(Item {
            entry,
            payload_len: found.payload_len(),
            seal: seal_of(found.content),
        });
        for job in jobs {
            let item = Rc::clone(&item);
            let task = Task { item, job };
            let newest = match self.newest(&task.job.locator) {
                Ok(newest) => newest,
                Err(error) if self.ends_run(&error) => return left_overs,
                Err(error) => {
                    self.fail_task(&task, error.into());
                    continue;
                }
            };
            if !matches!(self.goal, Goal::Newest) || !task.job.is_newest(newest) {
                self.enqueue(task, mine);
            } else if task.job.superseded.is_empty() {
                self.nothing_to_do();
            } else {
                left_overs.push((task, None));
            }
        }
        left_overs
    }

    /// What there is to do about one item.
    fn jobs(&self, content: &Content) -> Result<Vec<Job>, Error> {
        let job = match &self.goal {
            Goal::Newest => return plan::newest(content, &self.cluster_id),
            Goal::Move(to) => plan::moving(content, &self.cluster_id, to)?,
            Goal::Retire(to) => plan::retiring(content, &self.cluster_id, to)?,
        };
        Ok(job.into_iter().collect())
    }

    fn enqueue(&self, task: Task<S::Entry>, mine: &mut Mine<S::Entry>) {
        let known = lock(&self.answers).known(&task.job.ask);
        let locator = task.job.locator.clone();
        let queue = mine
            .queues
            .entry(locator.clone())
            .or_insert_with(Queue::new);
        queue.push(task, known);
        if queue.is_full(self.batch) {
            let full = std::mem::replace(queue, Queue::new());
            self.flush(&locator, full, &mut mine.again);
        }
    }

    /// Calls of the key service, then the changes.
    fn flush(&self, locator: &Locator, queue: Queue<S::Entry>, again: &mut Again<S::Entry>) {
        let (wraps, tasks) = queue.into_parts();
        if self.is_over() {
            return;
        }
        if let Goal::Retire(_) = self.goal {
            let tasks = tasks.into_iter().map(|(_, task)| (task, None));
            let tasks = self.proven(locator, tasks.collect());
            return self.change(tasks, again);
        }
        let Some(answers) = self.ask(locator, &wraps) else {
            return;
        };
        let missing = Err(ServiceError::Other("no answer for an item".to_owned()));
        let mut good = Vec::with_capacity(tasks.len());
        let mut refused = Vec::new();
        for (source, task) in tasks {
            let answer = match source {
                Source::Known(wrapped) => Ok(wrapped),
                Source::Answer(number) => answers.get(number).unwrap_or(&missing).clone(),
            };
            match answer {
                Ok(wrapped) => good.push((task, Some(wrapped))),
                Err(error) => refused.push((task, error)),
            }
        }
        self.refuse(refused);
        if !self.options.dry_run && self.options.verify >= Verify::Commit {
            good = self.proven(locator, good);
        }
        self.change(good, again);
    }

    /// Fails what the service refused, but for wraps that stand alone and open where they move to: an
    /// earlier run has moved them, and nothing else about them says so.
    fn refuse(&self, refused: Vec<(Task<S::Entry>, ServiceError)>) {
        let (alone, rest): (Vec<_>, Vec<_>) = refused.into_iter().partition(|(task, error)| {
            let moves = matches!(self.goal, Goal::Move(_)) && !self.options.dry_run;
            moves && task.item.seal.is_none() && !self.ends_run(error)
        });
        for (task, error) in rest {
            self.fail_task(&task, task.job.refused(error));
        }
        let Some(to) = self.goal.destination().filter(|_| !alone.is_empty()) else {
            return;
        };
        for refused in alone.chunks(self.call_size()) {
            self.server_pace.wait(refused.len(), || self.is_over());
            if self.is_over() {
                return;
            }
            let items = refused.iter().map(|(task, _)| task.job.ask.item.clone());
            let opened = match to.opens(self.service, &items.collect::<Vec<_>>()) {
                Ok(opened) => opened,
                Err(error) if self.ends_run(&error) => return,
                // Whether they have moved is not known then, and why.
                Err(error) => vec![Err(error); refused.len()],
            };
            {
                let mut report = self.report();
                add(&mut report.server_calls, 1);
                add(&mut report.wraps_sent, refused.len() as u64);
            }
            let missing = || Err(ServiceError::Other("no answer for an item".to_owned()));
            let opened = opened.into_iter().chain(std::iter::repeat_with(missing));
            for ((task, error), opened) in refused.iter().zip(opened) {
                match opened {
                    Ok(_) => self.nothing_to_do(),
                    Err(denied @ (ServiceError::Denied | ServiceError::NotFound)) => {
                        self.fail_task(task, denied.into());
                    }
                    Err(_) => self.fail_task(task, task.job.refused(error.clone())),
                }
            }
        }
    }

    /// The newest version of a key, asked for once a run; `None` where the token may not read it, and
    /// where it does not matter.
    fn newest(&self, locator: &Locator) -> Result<Option<u32>, ServiceError> {
        // Held while the server is asked: the other threads want to know the same.
        let mut versions = lock(&self.versions);
        if let Some(known) = versions.get(locator) {
            return known.clone();
        }
        if !matches!(self.goal, Goal::Newest) {
            return Ok(None);
        }
        let answer = self.service.versions(locator);
        let newest = answer.map(|versions| versions.map(|versions| versions.latest));
        if let Ok(Some(newest)) = newest {
            self.report().newest.insert(locator.clone(), newest);
        }
        versions.insert(locator.clone(), newest.clone());
        newest
    }

    /// Counts an item that is as it should be.
    pub(super) fn nothing_to_do(&self) {
        add(&mut self.report().already_newest, 1);
        self.watch.advance(1);
    }

    pub(super) fn fail_task(&self, task: &Task<S::Entry>, error: Error) {
        let name = self.store.name(&task.item.entry);
        self.fail(name, Some(&task.job.locator), error);
    }

    pub(super) fn fail(&self, place: PathBuf, key: Option<&Locator>, error: Error) {
        if let Error::Unavailable(why) = &error {
            self.stop(Stopped::Store(why.clone()));
        }
        self.watch.done(&Done {
            place: &place,
            key,
            outcome: Outcome::Failed(&error),
        });
        self.report().fail(place, error);
        self.watch.advance(1);
    }

    /// Ends the run where no further call can succeed; what waited for it stays as it is, and is
    /// not counted.
    pub(super) fn ends_run(&self, error: &ServiceError) -> bool {
        let ends = matches!(error, ServiceError::Unreachable(_) | ServiceError::Sealed);
        if ends {
            self.stop(Stopped::Service(error.clone()));
        }
        ends
    }

    fn stop(&self, why: Stopped) {
        self.report().stopped.get_or_insert(why);
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        if !self.over.load(Ordering::Relaxed) && self.watch.stops() {
            self.stop(Stopped::Interrupted);
        }
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn report(&self) -> MutexGuard<'_, RewrapReport> {
        lock(&self.report)
    }
}

/// Each with its answer; one that got none is told so.
pub(super) fn answered<T, A>(
    asked: Vec<T>,
    answers: Vec<Result<A, Error>>,
) -> impl Iterator<Item = (T, Result<A, Error>)> {
    let missing = || {
        Err(Error::Unsupported(
            "an answer for fewer items than were asked for",
        ))
    };
    let answers = answers.into_iter().chain(std::iter::repeat_with(missing));
    asked.into_iter().zip(answers)
}

fn seal_of(content: Content) -> Option<Seal> {
    match content {
        Content::Header(header) => Some(Seal {
            prelude: header.prelude,
            salt: header.salt,
            commitment: header.commitment,
        }),
        Content::Wrap { .. } => None,
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
