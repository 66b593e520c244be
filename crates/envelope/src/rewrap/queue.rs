//! Wraps that wait for calls of the key service, each of them once.

use std::collections::HashMap;
use std::rc::Rc;

use super::goal::Ask;
use super::plan::Job;
use crate::cobblestone::{COMMITMENT_LEN, SALT_LEN};
use crate::header::Prelude;
use crate::key_service::WrappedDek;

/// Items that may wait for each wrap of a call: bounds the memory where many share one.
const TASKS_A_WRAP: usize = 4;
/// Answers that are remembered, twice: where thousands of files share a DEK, one wrap is sent.
const MOST_ANSWERS: usize = 8192;

/// One item of a store.
pub(super) struct Item<E> {
    pub(super) entry: E,
    /// What a DEK has to open; `None` for a wrap that stands alone.
    pub(super) seal: Option<Seal>,
    pub(super) payload_len: u64,
}

/// The part of a header that does not change, and that a DEK is checked by.
pub(super) struct Seal {
    pub(super) prelude: Prelude,
    pub(super) salt: [u8; SALT_LEN],
    pub(super) commitment: [u8; COMMITMENT_LEN],
}

/// What to do about one item under one KEK. An item with wraps under several keys has several.
pub(super) struct Task<E> {
    pub(super) item: Rc<Item<E>>,
    pub(super) job: Job,
}

/// Where a task's new wrap comes from.
pub(super) enum Source {
    /// The answer of that number.
    Answer(usize),
    /// It was asked for before.
    Known(WrappedDek),
}

/// Items under one KEK.
pub(super) struct Queue<E> {
    asks: Vec<Ask>,
    numbers: HashMap<Ask, usize>,
    tasks: Vec<(Source, Task<E>)>,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        Self {
            asks: Vec::new(),
            numbers: HashMap::new(),
            tasks: Vec::new(),
        }
    }

    /// Adds a task. Copies of one envelope share their wrap.
    pub(super) fn push(&mut self, task: Task<E>, known: Option<WrappedDek>) {
        if let Some(known) = known {
            self.tasks.push((Source::Known(known), task));
            return;
        }
        let next = self.asks.len();
        let number = *self.numbers.entry(task.job.ask.clone()).or_insert(next);
        if number == next {
            self.asks.push(task.job.ask.clone());
        }
        self.tasks.push((Source::Answer(number), task));
    }

    /// True where it should be worked on: it has `batch` wraps, or many more tasks.
    pub(super) fn is_full(&self, batch: usize) -> bool {
        self.asks.len() >= batch || self.tasks.len() >= batch.saturating_mul(TASKS_A_WRAP)
    }

    /// The wraps, and the tasks with the source of theirs.
    pub(super) fn into_parts(self) -> (Vec<Ask>, Vec<(Source, Task<E>)>) {
        (self.asks, self.tasks)
    }
}

/// The last answers of the key service.
#[derive(Default)]
pub(super) struct Answers {
    young: HashMap<Ask, WrappedDek>,
    old: HashMap<Ask, WrappedDek>,
}

impl Answers {
    pub(super) fn known(&self, ask: &Ask) -> Option<WrappedDek> {
        let known = self.young.get(ask).or_else(|| self.old.get(ask));
        known.cloned()
    }

    pub(super) fn remember(&mut self, ask: Ask, answer: WrappedDek) {
        if self.young.len() >= MOST_ANSWERS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(ask, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_service::RewrapItem;

    fn wrap(number: usize) -> Ask {
        let wrapped = WrappedDek {
            version: 1,
            blob: number.to_be_bytes().to_vec(),
        };
        Ask {
            item: RewrapItem { wrapped, aad: None },
            aad: None,
        }
    }

    #[test]
    fn the_last_answers_are_known() {
        let mut answers = Answers::default();
        for number in 0..3 * MOST_ANSWERS {
            answers.remember(wrap(number), wrap(number).item.wrapped);
        }
        let last = wrap(3 * MOST_ANSWERS - 1);
        assert_eq!(answers.known(&last), Some(last.item.wrapped.clone()));
        assert_eq!(answers.known(&wrap(0)), None);
        assert!(answers.young.len() + answers.old.len() <= 2 * MOST_ANSWERS);
    }
}
