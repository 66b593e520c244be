//! One question that several callers wait for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::key_service::ServiceError;

/// Told once how the question ended; those who wait then look into the cache.
#[derive(Default)]
pub(super) struct Flight {
    end: Mutex<Option<Result<(), ServiceError>>>,
    ended: Condvar,
}

impl Flight {
    /// Waits for the end.
    pub(super) fn wait(&self) -> Result<(), ServiceError> {
        let mut end = self.end();
        loop {
            if let Some(end) = end.as_ref() {
                return end.clone();
            }
            end = self.ended.wait(end).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells the end. The first one told stays.
    pub(super) fn end_with(&self, result: Result<(), ServiceError>) {
        self.end().get_or_insert(result);
        self.ended.notify_all();
    }

    fn end(&self) -> MutexGuard<'_, Option<Result<(), ServiceError>>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
