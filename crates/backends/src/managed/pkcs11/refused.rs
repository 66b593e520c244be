//! PINs that a token refused: a few more tries would lock it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use keyfold_secret::Secret;

use super::terms::Stored;

/// Those of this process.
#[derive(Default)]
pub(super) struct RefusedPins(Mutex<Vec<RefusedPin>>);

struct RefusedPin {
    library: String,
    slot: Option<u64>,
    token: String,
    pin: Secret<String>,
}

/// So many are remembered; of more the oldest is tried again.
const MOST: usize = 256;

impl RefusedPins {
    /// Whether the PIN of a record was refused.
    pub fn has(&self, stored: &Stored) -> bool {
        self.all().iter().any(|refused| refused.is(stored))
    }

    /// Notes that it was.
    pub fn note(&self, stored: &Stored) {
        let mut all = self.all();
        if all.len() >= MOST {
            all.remove(0);
        }
        all.push(RefusedPin {
            library: stored.library.clone(),
            slot: stored.slot,
            token: stored.token_label.clone(),
            pin: Secret::new(stored.pin.expose().clone()),
        });
    }

    /// It may be tried again.
    pub fn forget(&self, stored: &Stored) {
        self.all().retain(|refused| !refused.is(stored));
    }

    fn all(&self) -> MutexGuard<'_, Vec<RefusedPin>> {
        // A list is whole after every operation.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RefusedPin {
    fn is(&self, stored: &Stored) -> bool {
        self.library == stored.library
            && self.slot == stored.slot
            && self.token == stored.token_label
            && self.pin.ct_eq(stored.pin.expose().as_bytes())
    }
}
