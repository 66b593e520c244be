//! One record of core's that is asked for by every request: parsed once, kept until it changes.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::barrier::{View, json};
use crate::error::Error;
use crate::ports::storage::Batch;

/// A record, or its default where none is stored.
pub(crate) struct Kept<T> {
    view: View,
    key: &'static str,
    value: ArcSwapOption<T>,
    /// Grows when the record changes: what was read before is not kept after.
    changes: Mutex<u64>,
}

impl<T: Serialize + DeserializeOwned + Default> Kept<T> {
    pub fn new(view: View, key: &'static str) -> Self {
        Self {
            view,
            key,
            value: ArcSwapOption::empty(),
            changes: Mutex::new(0),
        }
    }

    /// As it is now.
    pub async fn current(&self) -> Result<Arc<T>, Error> {
        if let Some(value) = self.value.load_full() {
            return Ok(value);
        }
        let before = *self.changes();
        let stored = self.view.read::<T>(self.key).await?;
        let value = Arc::new(stored.map(|(value, _)| value).unwrap_or_default());
        let now = self.changes();
        if *now == before {
            self.value.store(Some(value.clone()));
        }
        Ok(value)
    }

    /// Stores a value.
    pub async fn put(&self, value: &T) -> Result<(), Error> {
        let batch = Batch::new().put(self.key, json(value)?);
        let done = self.view.commit(batch).await;
        // Whatever became of it: the next one looks.
        self.forget();
        done.map(|_| ())
    }

    /// Back to the default.
    pub async fn reset(&self) -> Result<(), Error> {
        let done = self.view.commit(Batch::new().delete(self.key)).await;
        self.forget();
        done.map(|_| ())
    }

    /// A key of the system view changed.
    pub fn invalidate(&self, key: &str) {
        if key == self.key {
            self.forget();
        }
    }

    /// It may have changed.
    pub fn forget(&self) {
        let mut changes = self.changes();
        *changes += 1;
        self.value.store(None);
    }

    fn changes(&self) -> std::sync::MutexGuard<'_, u64> {
        // A count is whole after every operation.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
