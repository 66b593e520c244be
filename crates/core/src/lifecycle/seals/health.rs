//! Whether a seal works, as its last use showed.

use std::sync::{Mutex, PoisonError};

use crate::clock::Time;
use crate::ports::seal::SealError;

/// What is known of a seal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// It has not been used yet.
    #[default]
    Unknown,
    /// It did what it was asked.
    Healthy,
    /// It did not.
    Ailing {
        /// Why, the last time.
        error: SealError,
        /// The first time in a row.
        since: Time,
    },
}

impl Condition {
    /// `unknown`, `healthy`, `down`, `refused` or `foreign`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Ailing { error, .. } => error.class(),
        }
    }

    /// Why it failed, where it did.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Ailing { error, .. } => Some(error.to_string()),
            Self::Unknown | Self::Healthy => None,
        }
    }

    /// It failed last.
    pub fn is_ailing(&self) -> bool {
        matches!(self, Self::Ailing { .. })
    }
}

/// The condition of one seal.
#[derive(Default)]
pub(super) struct Health(Mutex<Condition>);

impl Health {
    pub(super) fn of(condition: Condition) -> Self {
        Self(Mutex::new(condition))
    }

    pub(super) fn read(&self) -> Condition {
        self.lock().clone()
    }

    /// It worked. True when it did not before.
    pub(super) fn works(&self) -> bool {
        std::mem::replace(&mut *self.lock(), Condition::Healthy).is_ailing()
    }

    /// It failed. True when that is news: the first time, or another reason.
    pub(super) fn fails(&self, error: SealError, now: Time) -> bool {
        let mut condition = self.lock();
        let (since, news) = match &*condition {
            Condition::Ailing { error: last, since } => (*since, *last != error),
            Condition::Unknown | Condition::Healthy => (now, true),
        };
        *condition = Condition::Ailing { error, since };
        news
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Condition> {
        // A condition is whole after every operation.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_begins_once_and_its_reason_may_change() {
        let health = Health::default();
        let down = || SealError::Down("no answer".into());
        assert!(health.fails(down(), Time(1)));
        assert!(!health.fails(down(), Time(2)));
        assert!(health.fails(SealError::Refused("no".into()), Time(3)));
        let Condition::Ailing { since, .. } = health.read() else {
            panic!("it fails")
        };
        assert_eq!((since, health.read().name()), (Time(1), "refused"));
        assert!(health.works() && !health.works());
    }
}
