//! Writers of one record take turns.
//!
//! A commit holds against the record that was read, so of many writers at once all but one would
//! have to start over. Within a process they wait instead; other nodes still meet at the commit.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

/// Names share these, by their hash.
const LANES: usize = 256;

pub(super) struct Turns {
    lanes: [Mutex<()>; LANES],
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            lanes: [const { Mutex::const_new(()) }; LANES],
            hasher: RandomState::new(),
        }
    }
}

impl Turns {
    /// Waits until nobody else has the name; ends with the guard.
    #[expect(
        clippy::indexing_slicing,
        reason = "a remainder by the array's own length"
    )]
    pub async fn take(&self, name: &str) -> MutexGuard<'_, ()> {
        let lane = self.hasher.hash_one(name) % LANES as u64;
        self.lanes[lane as usize].lock().await
    }
}
