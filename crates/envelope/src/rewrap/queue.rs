//! Wraps that wait for one call of the key service, each of them once.

use std::collections::HashMap;
use std::path::PathBuf;

use super::plan::Job;
use crate::header::Prelude;
use crate::key_service::RewrapItem;

/// Distinct wraps a call.
const MAX_ITEMS: usize = 256;
/// Envelopes that may wait for one call: bounds the memory where many share a wrap.
const MAX_TASKS: usize = 4096;

/// One envelope and what to do about it.
pub(super) struct Task {
    pub(super) path: PathBuf,
    pub(super) prelude: Prelude,
    pub(super) payload_len: u64,
    pub(super) job: Job,
}

/// Envelopes under one KEK.
#[derive(Default)]
pub(super) struct Queue {
    items: Vec<RewrapItem>,
    numbers: HashMap<RewrapItem, usize>,
    tasks: Vec<(usize, Task)>,
}

impl Queue {
    /// Adds an envelope. Copies of one envelope share their item.
    pub(super) fn push(&mut self, task: Task) {
        let next = self.items.len();
        let number = *self.numbers.entry(task.job.item.clone()).or_insert(next);
        if number == next {
            self.items.push(task.job.item.clone());
        }
        self.tasks.push((number, task));
    }

    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= MAX_ITEMS || self.tasks.len() >= MAX_TASKS
    }

    /// The items, and the envelopes with the number of their item.
    pub(super) fn into_parts(self) -> (Vec<RewrapItem>, Vec<(usize, Task)>) {
        (self.items, self.tasks)
    }
}
