//! Items that somebody else changes at the same time: looked at again when a thread has done the rest.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use super::queue::Task;
use super::run::{Mine, Run, Tasks};
use crate::error::Error;
use crate::key_service::WrappedDek;
use crate::store::Store;

/// Items of either kind that a thread keeps for the end; further ones fail at once.
const MOST: usize = 10_000;
/// Times before each further try at what somebody holds.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(600),
];

/// What a thread keeps for the end.
pub(super) struct Again<E> {
    /// Held by somebody else, with the new wraps they are to get.
    busy: Tasks<E>,
    /// Changed since they were read.
    changed: Vec<Task<E>>,
    /// This is the end: what changes now fails.
    is_last: bool,
}

impl<E> Again<E> {
    pub(super) fn new() -> Self {
        Self {
            busy: Vec::new(),
            changed: Vec::new(),
            is_last: false,
        }
    }

    /// True while items are looked at for the first time.
    pub(super) fn is_first(&self) -> bool {
        !self.is_last
    }

    /// Keeps a task whose change was refused, where another try may help; else gives it back with the
    /// error.
    pub(super) fn keep(
        &mut self,
        task: Task<E>,
        new: Option<WrappedDek>,
        error: Error,
    ) -> Option<(Task<E>, Error)> {
        match error {
            Error::Busy if self.busy.len() < MOST => self.busy.push((task, new)),
            Error::SlotsChanged if !self.is_last && self.changed.len() < MOST => {
                self.changed.push(task);
            }
            error => return Some((task, error)),
        }
        None
    }
}

impl<S: Store> Run<'_, S> {
    /// The end of a thread: what was changed meanwhile is read again, and decided about anew; what
    /// was held is tried a few times more.
    pub(super) fn try_again(&self, mine: &mut Mine<S::Entry>) {
        mine.again.is_last = true;
        let changed = std::mem::take(&mut mine.again.changed);
        let mut entries = self.entries(changed);
        while !entries.is_empty() && !self.is_over() {
            let rest = entries.split_off(entries.len().min(self.batch));
            self.look(entries, mine);
            entries = rest;
        }
        self.flush_all(mine);
        for pause in PAUSES {
            if mine.again.busy.is_empty() || self.is_over() {
                break;
            }
            thread::sleep(pause);
            let busy = std::mem::take(&mut mine.again.busy);
            self.change(busy, &mut mine.again);
        }
        for (task, _) in mine.again.busy.drain(..) {
            self.fail_task(&task, Error::Busy);
        }
    }

    /// The items of some tasks, each once.
    fn entries(&self, tasks: Vec<Task<S::Entry>>) -> Vec<S::Entry> {
        let by_item = tasks.into_iter().map(|task| (Rc::as_ptr(&task.item), task));
        let by_item: BTreeMap<_, _> = by_item.collect();
        let mut entries = Vec::with_capacity(by_item.len());
        for Task { item, job } in by_item.into_values() {
            match Rc::try_unwrap(item) {
                Ok(item) => entries.push(item.entry),
                // Its wrap under another key waits for somebody.
                Err(item) => self.fail_task(&Task { item, job }, Error::SlotsChanged),
            }
        }
        entries
    }
}
