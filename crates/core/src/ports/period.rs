//! Crypto-periods of the keys that engines keep for services (NIST SP 800-57 Part 1, 5.3).
//!
//! ```text
//!   made ──── originator usage ────┐
//!     └────────────── recipient usage ───────────┐
//!            it makes ciphertexts   it opens them  nobody should need it
//! ```
//!
//! Both begin when a version is made. They end with a warning, and forbid nothing: a key that stops
//! at midnight does more harm than one that is a day too old.

use std::time::Duration;

use crate::clock::Time;

/// The longest time before an end in which that is told: thirty days.
const LONGEST_NOTICE: u64 = 30 * 24 * 3600;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The newest version makes ciphertexts, signatures and tags.
    Originator,
    /// The oldest version that is used opens and verifies them.
    Recipient,
}

impl Role {
    /// Its word in answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Originator => "originator",
            Self::Recipient => "recipient",
        }
    }
}

/// How far a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its end is far.
    Running,
    /// Its last tenth, of thirty days at most.
    Ending,
    /// It is over.
    Ended,
}

/// A period of one version of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CryptoPeriod {
    /// Which of the two.
    pub role: Role,
    /// The version.
    pub version: u32,
    /// When it was made.
    pub began: Time,
    /// How long the period is, seconds.
    pub secs: u64,
}

impl CryptoPeriod {
    /// When it ends.
    pub fn ends(&self) -> Time {
        self.began.plus(Duration::from_secs(self.secs))
    }

    /// How far it is.
    pub fn standing(&self, now: Time) -> Standing {
        let left = self.ends().secs().saturating_sub(now.secs());
        match left {
            0 => Standing::Ended,
            left if left <= (self.secs / 10).min(LONGEST_NOTICE) => Standing::Ending,
            _ => Standing::Running,
        }
    }

    /// What to say of it, and to do about it; nothing while its end is far.
    pub fn remark(&self, now: Time) -> Option<String> {
        let verb = match self.standing(now) {
            Standing::Running => return None,
            Standing::Ending => "ends",
            Standing::Ended => "ended",
        };
        let cure = match self.role {
            Role::Originator => "rotate the key",
            Role::Recipient => "rewrap what it made, and retire it",
        };
        let (role, version) = (self.role.name(), self.version);
        let at = self.ends().rfc3339();
        Some(format!(
            "the {role} usage period of version {version} {verb} at {at}: {cure}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn at(secs: u64) -> Time {
        Time(secs * 1_000_000_000)
    }

    #[test]
    fn the_last_tenth_is_told_of() {
        let period = |secs| CryptoPeriod {
            role: Role::Originator,
            version: 3,
            began: at(1_000),
            secs,
        };
        let short = period(100);
        for (now, standing) in [
            (1_000, Standing::Running),
            (1_089, Standing::Running),
            (1_090, Standing::Ending),
            (1_099, Standing::Ending),
            (1_100, Standing::Ended),
            (9_999, Standing::Ended),
        ] {
            assert_eq!(short.standing(at(now)), standing, "{now}");
        }
        let years = period(1_000 * DAY);
        assert_eq!(years.standing(at(1_000 + 969 * DAY)), Standing::Running);
        assert_eq!(years.standing(at(1_000 + 970 * DAY)), Standing::Ending);
        assert_eq!(period(u64::MAX).standing(at(1)), Standing::Running);
        assert_eq!(short.remark(at(1_000)), None);
        let remark = short.remark(at(1_095)).unwrap();
        assert!(
            remark.contains("originator usage period of version 3 ends at 1970"),
            "{remark}"
        );
    }
}
