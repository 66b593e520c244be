//! The census: what each version of a key was used for, how often, when, and by whom.
//!
//! ```text
//!   a call ─ Uses ─┐ once a call                      settle: once a minute, before sealing
//!                  ▼                                                 │
//!   LoadedVersion ─ Tally ─ sheet (atomics) ──closed──► Books (sums) ┴─► census/<id>/<version>
//! ```
//!
//! A call counts its items by itself and adds them to the sheet of the version, with a handful of
//! atomic additions: no lock, no clock and, once the sheet is open, no allocation. A sheet is read
//! when it was taken away from its version and nobody writes on it any more, so no use is counted
//! twice or for another. What is in memory alone is lost when the process is killed: at most what
//! came since the last turn of the chores, a minute.

mod books;
mod callers;
mod kind;
mod record;
mod sheet;
mod show;
mod tally;
mod uses;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use keyfold_core::ports::engine::Call;

use self::books::Books;
pub(super) use self::books::Sums;
use self::callers::Salt;
pub(super) use self::callers::User;
pub(super) use self::kind::Kind;
#[cfg(test)]
pub(super) use self::record::Done;
pub(super) use self::record::{FOLDER, Record, sum};
pub(super) use self::show::{Caller, caller, callers, operations, read, second};
pub(super) use self::tally::Tally;
pub(super) use self::uses::Uses;
use super::key::Settings;

/// The census of a mount, as far as it is in memory.
#[derive(Default)]
pub(super) struct Census {
    /// Versions with an open sheet.
    open: Arc<Open>,
    /// What was read from closed sheets and is not stored yet.
    books: tokio::sync::Mutex<Books>,
    salt: OnceLock<Salt>,
}

impl Census {
    /// The place where uses of a version are counted; `version` is one of `settings`.
    pub fn tally(&self, name: &str, settings: &Settings, version: u32) -> Arc<Tally> {
        Arc::new(Tally::new(name, &settings.id, version, &self.open))
    }

    /// Whoever calls, as the census tells callers apart.
    pub fn user(&self, call: &Call<'_>) -> User {
        let salt = self.salt.get_or_init(|| Salt::of(call.mount));
        User::of(call, salt)
    }

    /// What a token with this accessor is called in the censuses of the mount.
    pub fn caller(&self, call: &Call<'_>, accessor: &str) -> String {
        let salt = self.salt.get_or_init(|| Salt::of(call.mount));
        salt.hash(accessor).to_string()
    }
}

/// Versions whose sheets are open: each stands here once a sheet.
#[derive(Default)]
struct Open(Mutex<Vec<Arc<Tally>>>);

impl Open {
    fn push(&self, tally: Arc<Tally>) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.push(tally);
    }

    fn take(&self) -> Vec<Arc<Tally>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
