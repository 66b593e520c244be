//! Keys that are rotated by themselves, `auto_rotate_period` after their newest version was made.
//!
//! Each has a mark at `due/<second>-<name>`, in hex and so in the order of time: what is due is
//! found without a look at the other keys. A mark counts where the settings have the same second;
//! others are swept when their time comes, so that a change of settings needs none of the old ones.

use std::time::Duration;

use keyfold_api::Seconds;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Chore;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Json;
use serde::{Deserialize, Serialize};

use super::Transit;
use super::key::{Settings, policy_key};

/// Folder of the marks.
const DUE: &str = "due/";
/// The shortest period, seconds.
const SHORTEST: u64 = 3600;

/// The member that a rotation by itself has.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub(super) struct Rotate {
    /// Nothing is to be done where the period is not over: somebody was faster.
    pub if_due: bool,
}

/// Checks a period, and gives its seconds; 0 is none.
pub(super) fn period(asked: Seconds) -> Result<u64, Error> {
    match u64::try_from(asked.0) {
        Ok(secs @ (0 | SHORTEST..)) => Ok(secs),
        _ => Err(Error::bad(
            "auto rotate period must be 0 to disable or at least an hour",
        )),
    }
}

impl Settings {
    /// With the second at which a key is due whose newest version was made then.
    pub fn scheduled(mut self, made: u64) -> Self {
        self.rotate_at = match self.auto_rotate_period {
            0 => 0,
            period => made.saturating_add(period),
        };
        self
    }

    /// When it is to be rotated by itself, where it is.
    pub fn next_rotation(&self) -> Option<Time> {
        (self.rotate_at > 0 && self.rotates())
            .then(|| Time::default().plus(Duration::from_secs(self.rotate_at)))
    }

    /// It is to be rotated now.
    pub fn is_due(&self, now: Time) -> bool {
        self.next_rotation()
            .is_some_and(|at| at.secs() <= now.secs())
    }

    /// A new version can be made here.
    pub fn rotates(&self) -> bool {
        // A managed key is rotated to another that somebody names.
        let here = !self.soft_deleted && !self.is_managed() && self.shred.is_none();
        here && (!self.imported || self.allow_imported_rotation)
    }
}

/// Adds the mark of a key to a batch that stores its settings.
pub(super) fn mark(settings: &Settings, name: &str, batch: Batch) -> Batch {
    match settings.rotate_at {
        0 => batch,
        at => batch.put(place(at, name), Vec::new()),
    }
}

/// The rotations that are due, the oldest first, at most from so many marks.
pub(super) async fn chores(
    transit: &Transit,
    now: Time,
    limit: usize,
) -> Result<Vec<Chore>, Error> {
    let mut chores = Vec::new();
    for mark in transit.view.list(DUE, "", limit).await?.names {
        let Some((at, name)) = parse(&mark) else {
            return Err(Error::corrupt(format!("{DUE}{mark}")));
        };
        if at > now.secs() {
            break;
        }
        let stored = transit.stored(name).await?;
        let counts = |settings: &Settings| settings.rotate_at == at && settings.rotates();
        if stored
            .as_ref()
            .is_some_and(|(settings, _)| counts(settings))
        {
            chores.push(Chore {
                path: format!("keys/{name}/rotate"),
                body: Json::of(&Rotate { if_due: true })?,
            });
            continue;
        }
        // Only if nobody makes it count meanwhile; then it is looked at again.
        let batch = match stored {
            Some((_, revision)) => Batch::new().unchanged(policy_key(name), revision),
            None => Batch::new().absent(policy_key(name)),
        };
        match transit.view.commit(batch.delete(place(at, name))).await {
            Err(error) if !error.is_conflict() => return Err(error),
            _ => {}
        }
    }
    Ok(chores)
}

fn place(at: u64, name: &str) -> String {
    format!("{DUE}{at:016x}-{name}")
}

fn parse(mark: &str) -> Option<(u64, &str)> {
    let (at, name) = mark.split_once('-')?;
    Some((u64::from_str_radix(at, 16).ok()?, name))
}

#[cfg(test)]
mod tests {
    use keyfold_keys::transit::KeyType;

    use super::*;

    #[test]
    fn marks_stand_in_the_order_of_time() {
        let marks = [1, 9, 10, 4096, u64::MAX].map(|at| place(at, "a-b.c"));
        assert!(marks.is_sorted());
        let mark = marks[3].strip_prefix(DUE).unwrap();
        assert_eq!(parse(mark), Some((4096, "a-b.c")));
        assert_eq!(parse("x-a"), None);
        assert_eq!(parse("a"), None);
    }

    #[test]
    fn periods() {
        for (asked, fits) in [
            (0, true),
            (1, false),
            (-3600, false),
            (3599, false),
            (3600, true),
        ] {
            assert_eq!(period(Seconds(asked)).is_ok(), fits, "{asked}");
        }
        let settings = Settings {
            auto_rotate_period: 3600,
            ..Settings::new(KeyType::default())
        };
        let scheduled = settings.clone().scheduled(100);
        assert_eq!(scheduled.rotate_at, 3700);
        assert!(scheduled.is_due(Time(3_700_000_000_000)));
        assert!(!scheduled.is_due(Time(3_699_999_999_999)));
        assert!(!settings.is_due(Time(u64::MAX)));
        let shelved = Settings {
            soft_deleted: true,
            ..scheduled
        };
        assert!(!shelved.is_due(Time(u64::MAX)));
    }
}
