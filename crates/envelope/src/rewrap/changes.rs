//! What a run writes: new wraps in their places, left-overs retired.

use super::again::Again;
use super::goal::Goal;
use super::plan::Job;
use super::queue::Task;
use super::report::add;
use super::run::{Run, Tasks, answered};
use super::watch::{Done, Outcome};
use crate::error::Error;
use crate::key_service::WrappedDek;
use crate::slot::{Slot, SlotState, kek_id, now};
use crate::store::{Change, Store, Written};

impl<S: Store> Run<'_, S> {
    /// Puts new wraps in their places, or only retires what they replaced.
    pub(super) fn change(&self, tasks: Tasks<S::Entry>, again: &mut Again<S::Entry>) {
        let mut changes = Vec::with_capacity(tasks.len());
        for (task, wrapped) in tasks {
            if self.options.dry_run {
                let new_wrap = wrapped.is_some();
                let mut report = self.report();
                match new_wrap {
                    true => report.count(Written { bytes: 0, new_wrap }, task.item.payload_len),
                    false => add(&mut report.finished, 1),
                }
                self.watch.advance(1);
                continue;
            }
            // The server may answer with the version that the item has: nothing to replace.
            let moves = matches!(self.goal, Goal::Move(_));
            let wrapped = wrapped.filter(|new| moves || !task.job.is_newest(Some(new.version)));
            if wrapped.is_none() && task.job.superseded.is_empty() {
                self.nothing_to_do();
                continue;
            }
            let change = self.change_of(&task, wrapped);
            changes.push((task, change));
        }
        if changes.is_empty() {
            return;
        }
        self.store_pace.wait(changes.len(), || self.is_over());
        if self.is_over() {
            return;
        }
        let pairs: Vec<_> = changes
            .iter()
            .map(|(task, change)| (&task.item.entry, change))
            .collect();
        let written = self.store.change(&pairs);
        for ((task, change), written) in answered(changes, written) {
            self.record(task, &change, written, again);
        }
    }

    fn change_of(&self, task: &Task<S::Entry>, wrapped: Option<WrappedDek>) -> Change {
        let job = &task.job;
        Change {
            prelude: task.item.seal.as_ref().map(|seal| seal.prelude.clone()),
            source: (job.index, job.slot.clone()),
            superseded: job.superseded.clone(),
            new: wrapped.map(|wrapped| self.new_slot(job, wrapped)),
            keeps_source: job.keeps_source,
        }
    }

    fn new_slot(&self, job: &Job, wrapped: WrappedDek) -> Slot {
        let slot = Slot {
            state: SlotState::Active,
            version: wrapped.version,
            blob: wrapped.blob,
            wrapped_at: now(),
            ..job.slot.clone()
        };
        match self.goal.destination() {
            Some(to) => to.slot(job.ask.aad, slot),
            None => Slot {
                kek_id: kek_id(&self.cluster_id, &job.locator),
                ..slot
            },
        }
    }

    fn record(
        &self,
        task: Task<S::Entry>,
        change: &Change,
        written: Result<Written, Error>,
        again: &mut Again<S::Entry>,
    ) {
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                if let Some((task, error)) = again.keep(task, change.new_wrap(), error) {
                    self.fail_task(&task, error);
                }
                return;
            }
        };
        self.report().count(written, task.item.payload_len);
        let old = change.old_wrap();
        let outcome = match &change.new {
            Some(new) if written.new_wrap => Some(Outcome::Rewrapped {
                old: &old,
                version: new.version,
            }),
            _ if written.bytes > 0 => Some(Outcome::Retired),
            _ => None,
        };
        if let Some(outcome) = outcome {
            self.watch.done(&Done {
                place: &self.store.name(&task.item.entry),
                key: Some(&task.job.locator),
                outcome,
            });
        }
        self.watch.advance(1);
    }
}
