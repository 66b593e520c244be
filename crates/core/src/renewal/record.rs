//! How far a rotation of a dek is, as it is stored.

use serde::{Deserialize, Serialize};

use crate::clock::Time;

/// Below this, a record for each mount whose dek has been rotated, by the mount's uuid.
pub(crate) const FOLDER: &str = "renewal/";
/// Records a second, where nobody says otherwise.
pub const RATE: u64 = 5_000;
/// The most that can be asked for.
pub const FASTEST: u64 = 1_000_000;

/// Where it is stored among core's records.
pub(crate) fn key(uuid: &str) -> String {
    format!("{FOLDER}{uuid}")
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The mount's records are counted.
    Counting,
    /// They are sealed under the new version.
    Rewriting,
    /// All are looked at again: only when none is under the old version may it go.
    Verifying,
    /// The old version is destroyed.
    Done,
}

/// The last rotation of a mount's dek.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// What is being done.
    pub phase: Phase,
    /// The version that was there before.
    pub from: u32,
    /// The version that all records are to be under.
    pub to: u32,
    /// When the version before was made, where that is known.
    pub before: Option<Time>,
    /// When the new version was made.
    pub started: Time,
    /// When the old version was destroyed.
    pub finished: Option<Time>,
    /// Records that were counted.
    pub records: u64,
    /// Records that this phase has passed.
    pub passed: u64,
    /// Records sealed anew.
    pub rewritten: u64,
    /// Records under the old version that this look at all of them found.
    pub stale: u64,
    /// Records that open under no key; what is left of them stays as it is.
    pub damaged: u64,
    /// The last key that this phase has passed.
    pub after: String,
    /// Records a second.
    pub rate: u64,
}

impl Renewal {
    /// One that begins.
    pub(super) fn new((from, to): (u32, u32), started: Time, rate: u64) -> Self {
        Self {
            phase: Phase::Counting,
            from,
            to,
            before: None,
            started,
            finished: None,
            records: 0,
            passed: 0,
            rewritten: 0,
            stale: 0,
            damaged: 0,
            after: String::new(),
            rate,
        }
    }

    /// The old version is gone.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// All records were passed: what comes next.
    pub(super) fn turn(&mut self) {
        self.phase = match self.phase {
            Phase::Counting => {
                self.records = self.passed;
                Phase::Rewriting
            }
            Phase::Rewriting | Phase::Verifying => Phase::Verifying,
            Phase::Done => Phase::Done,
        };
        (self.passed, self.stale, self.damaged) = (0, 0, 0);
        self.after.clear();
    }
}
