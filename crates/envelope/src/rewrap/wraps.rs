//! Where a run's new wraps come from, and how they are proven before anything is written.

use super::Verify;
use super::goal::Ask;
use super::queue::{Seal, Task};
use super::report::add;
use super::run::{Run, Tasks, lock};
use crate::cobblestone::PayloadKey;
use crate::error::Error;
use crate::key_service::{RewrapItem, RewrapOutcome, ServiceError};
use crate::locator::Locator;
use crate::store::Store;

impl<S: Store> Run<'_, S> {
    /// New wraps, in as many calls as the service likes; `None` where the run is over.
    pub(super) fn ask(&self, locator: &Locator, wraps: &[Ask]) -> Option<Vec<RewrapOutcome>> {
        let mut answers = Vec::with_capacity(wraps.len());
        for call in wraps.chunks(self.call_size()) {
            self.server_pace.wait(call.len(), || self.is_over());
            if self.is_over() {
                return None;
            }
            let answer = if self.options.dry_run {
                Ok(call
                    .iter()
                    .map(|ask| Ok(ask.item.wrapped.clone()))
                    .collect())
            } else {
                self.rewrap(locator, call)
            };
            {
                let mut report = self.report();
                add(&mut report.server_calls, 1);
                add(&mut report.wraps_sent, call.len() as u64);
            }
            match answer {
                Ok(outcomes) if outcomes.len() == call.len() => {
                    let mut known = lock(&self.answers);
                    for (ask, outcome) in call.iter().zip(&outcomes) {
                        if let Ok(answer) = outcome {
                            known.remember(ask.clone(), answer.clone());
                        }
                    }
                    answers.extend(outcomes);
                }
                Ok(_) => {
                    let error = ServiceError::Other("a batch answer of another length".to_owned());
                    answers.extend(vec![Err(error); call.len()]);
                }
                Err(error) if self.ends_run(&error) => return None,
                Err(error) => {
                    if matches!(error, ServiceError::Denied | ServiceError::NotFound) {
                        // It will be the same for everything under that key.
                        lock(&self.versions).insert(locator.clone(), Err(error.clone()));
                    }
                    answers.extend(vec![Err(error); call.len()]);
                }
            }
        }
        Some(answers)
    }

    fn rewrap(&self, locator: &Locator, asks: &[Ask]) -> Result<Vec<RewrapOutcome>, ServiceError> {
        match self.goal.destination() {
            Some(to) => to.rewrap(self.service, locator, asks),
            None => {
                let items: Vec<_> = asks.iter().map(|ask| ask.item.clone()).collect();
                self.service.rewrap(locator, &items)
            }
        }
    }

    /// Items of a call: what every server likes that is asked.
    pub(super) fn call_size(&self) -> usize {
        let other = self.goal.service(self.service);
        other.batch().min(self.service.batch()).max(1)
    }

    /// `Verify::Commit` and `Verify::Full`, before anything is written: the tasks whose new wrap,
    /// or the wrap that is to stay alone, opens their payload.
    pub(super) fn proven(&self, locator: &Locator, tasks: Tasks<S::Entry>) -> Tasks<S::Entry> {
        let mut proven = Vec::with_capacity(tasks.len());
        let mut tasks = tasks.into_iter();
        loop {
            let batch: Vec<_> = tasks.by_ref().take(self.call_size()).collect();
            if batch.is_empty() || self.is_over() {
                return proven;
            }
            let wraps = batch.iter().map(|(task, wrapped)| match wrapped {
                Some(wrapped) => RewrapItem {
                    wrapped: wrapped.clone(),
                    aad: task.job.ask.aad,
                },
                None => task.job.ask.item.clone(),
            });
            let wraps: Vec<_> = wraps.collect();
            let service = self.goal.service(self.service);
            let to = self.goal.destination().map(|to| &to.target.locator);
            let deks = service.unwrap_many(to.unwrap_or(locator), &wraps);
            let deks = match deks {
                Ok(deks) if deks.len() == batch.len() => deks,
                Err(error) if self.ends_run(&error) => return proven,
                other => {
                    let error = other.err();
                    let error = error.unwrap_or_else(|| {
                        ServiceError::Other("a batch answer of another length".to_owned())
                    });
                    for (task, _) in &batch {
                        self.fail_task(task, Error::Service(error.clone()));
                    }
                    continue;
                }
            };
            for ((task, wrapped), dek) in batch.into_iter().zip(deks) {
                let checked = match (dek, &task.item.seal) {
                    (Err(error), _) => Err(task.job.refused(error)),
                    (Ok(_), None) => Ok(()),
                    (Ok(dek), Some(seal)) => {
                        let context = seal.prelude.payload_context();
                        self.opens(&task, seal, PayloadKey::derive(&dek, &seal.salt, &context))
                    }
                };
                match checked {
                    Ok(()) => proven.push((task, wrapped)),
                    Err(error) => self.fail_task(&task, error),
                }
            }
        }
    }

    fn opens(&self, task: &Task<S::Entry>, seal: &Seal, key: PayloadKey) -> Result<(), Error> {
        if !key.commits_to(&seal.commitment) {
            return Err(Error::WrongKey);
        }
        match self.options.verify {
            Verify::Full => self.store.check_payload(&task.item.entry, &key),
            _ => Ok(()),
        }
    }
}
