//! When a service DEK is replaced by a new one.

use std::time::Duration;

use super::row::Row;
use crate::cache::Load;
use crate::locator::Locator;

/// How a program uses a keyring.
#[derive(Clone, Debug, Default)]
pub struct DekOptions {
    /// When a DEK is replaced.
    pub limits: DekLimits,
    /// The only key that DEKs may be wrapped by; any where `None`.
    pub key: Option<Locator>,
}

/// Limits of a DEK that encrypts; it decrypts for as long as its row is there. Whichever is reached
/// first makes the next object take a new DEK.
///
/// Objects and bytes are counted in the keyring in blocks, before they are used: a process that is
/// killed has counted too much, never too little. No object is begun above a limit; one alone may be
/// longer than `bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DekLimits {
    /// Age.
    pub age: Duration,
    /// Objects.
    pub uses: u64,
    /// Bytes of these objects.
    pub bytes: u64,
    /// Objects that a process counts ahead.
    pub block_uses: u64,
    /// Bytes that it counts ahead.
    pub block_bytes: u64,
}

impl Default for DekLimits {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(24 * 60 * 60),
            uses: 1_000_000,
            bytes: 1 << 40,
            block_uses: 10_000,
            block_bytes: 10 << 30,
        }
    }
}

impl DekLimits {
    /// The same limits for a program that ends after one object: it counts nothing ahead.
    #[must_use]
    pub fn one_object(self) -> Self {
        Self {
            block_uses: 0,
            block_bytes: 0,
            ..self
        }
    }

    /// Whether a DEK is too old at `now`, seconds since 1970. A row from the far future is, too: its
    /// age would not end.
    pub(super) fn is_old(&self, row: &Row, now: u64) -> bool {
        now.abs_diff(row.created) >= self.age.as_secs()
    }

    /// How much to count where `lacking` is not counted yet; `None` where the DEK has not so much
    /// left.
    pub(super) fn block(&self, row: &Row, lacking: Load) -> Option<Load> {
        let unused = row.uses == 0 && row.bytes == 0;
        let share = |limit: u64, spent: u64, block: u64, wanted: u64| {
            let left = limit.saturating_sub(spent);
            match wanted {
                0 => Some(0),
                _ if wanted > left => unused.then_some(wanted),
                _ => Some(block.max(wanted).min(left)),
            }
        };
        Some(Load {
            uses: share(self.uses, row.uses, self.block_uses, lacking.uses)?,
            bytes: share(self.bytes, row.bytes, self.block_bytes, lacking.bytes)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    fn load(uses: u64, bytes: u64) -> Load {
        Load { uses, bytes }
    }

    #[test]
    fn blocks_end_at_the_limits() {
        let limits = DekLimits {
            uses: 100,
            bytes: 1000,
            block_uses: 40,
            block_bytes: 500,
            ..DekLimits::default()
        };
        let spent = |uses, bytes| Row {
            uses,
            bytes,
            ..row(1)
        };
        assert_eq!(limits.block(&spent(0, 0), load(1, 1)), Some(load(40, 500)));
        assert_eq!(limits.block(&spent(0, 0), load(0, 1)), Some(load(0, 500)));
        assert_eq!(
            limits.block(&spent(80, 0), load(1, 600)),
            Some(load(20, 600))
        );
        assert_eq!(limits.block(&spent(100, 0), load(1, 0)), None);
        assert_eq!(limits.block(&spent(1, 900), load(1, 101)), None);
        assert_eq!(limits.block(&spent(1, 1000), load(1, 0)), Some(load(40, 0)));
        // A new DEK takes any one object.
        assert_eq!(
            limits.block(&spent(0, 0), load(1, 5000)),
            Some(load(40, 5000))
        );
        let alone = limits.one_object();
        assert_eq!(alone.block(&spent(3, 7), load(1, 9)), Some(load(1, 9)));
    }

    #[test]
    fn a_day_is_over_in_both_directions() {
        let limits = DekLimits::default();
        let made = Row {
            created: 1_000_000,
            ..row(1)
        };
        assert!(!limits.is_old(&made, 1_000_000 + 86_399));
        assert!(limits.is_old(&made, 1_000_000 + 86_400));
        assert!(!limits.is_old(&made, 1_000_000 - 86_399));
        assert!(limits.is_old(&made, 0));
    }
}
