//! How long a token lives: what was asked for, within what is allowed.

use std::time::Duration;

use super::record::Token;
use super::role::Role;
use crate::clock::Time;

/// The bounds of a mount, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What one gets who asks for nothing.
    pub default_ttl: u64,
    /// What nobody gets more than, counted from creation.
    pub max_ttl: u64,
}

/// A time to live, and what to tell about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Seconds from now.
    pub ttl: u64,
    /// It was cut: why.
    pub warning: Option<String>,
}

/// The wishes of whoever makes or renews a token, seconds; zero stands for none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// How long.
    pub ttl: u64,
    /// Each renewal gives just this.
    pub period: u64,
    /// Bound on the whole life.
    pub explicit_max_ttl: u64,
}

impl Limits {
    /// What to tell whoever lets tokens live longer than anybody gets; in the words of the wire.
    pub fn truncates(self, max_ttl: u64) -> Option<String> {
        let text = "token_max_ttl is greater than the backend mount's maximum TTL value; issued \
                    tokens' max TTL value will be truncated";
        (max_ttl > self.max_ttl).then(|| text.to_owned())
    }

    /// The time to live that a wish gets `age` seconds after creation.
    pub fn grant(self, wish: Wish, age: u64) -> Granted {
        let asked = match wish {
            Wish { period: 1.., .. } => wish.period,
            Wish { ttl: 1.., .. } => wish.ttl,
            _ => self.default_ttl,
        };
        let max = match wish.explicit_max_ttl {
            0 => self.max_ttl,
            explicit => explicit.min(self.max_ttl),
        };
        if wish.period > 0 {
            return Self::periodic(wish, max, age);
        }
        let left = max.saturating_sub(age);
        if asked <= left {
            return Granted {
                ttl: asked,
                warning: None,
            };
        }
        let warning = (asked > max).then(|| {
            format!(
                "TTL of \"{}\" exceeded the effective max_ttl of \"{}\"; TTL value is capped \
                 accordingly",
                compact(asked),
                compact(max)
            )
        });
        Granted { ttl: left, warning }
    }

    /// A periodic token lives on as long as it is renewed; only its own bound ends it. No period is
    /// longer than `max`.
    fn periodic(wish: Wish, max: u64, age: u64) -> Granted {
        let warning = (wish.period > max).then(|| {
            format!(
                "period of \"{}\" exceeded the effective max_ttl of \"{}\"; period value is capped \
                 accordingly",
                compact(wish.period),
                compact(max)
            )
        });
        let left = match wish.explicit_max_ttl {
            0 => u64::MAX,
            explicit => explicit.saturating_sub(age),
        };
        Granted {
            ttl: wish.period.min(max).min(left),
            warning,
        }
    }
}

impl Token {
    /// The time to live that a renewal gives; `increment` zero asks for as much as before. The role
    /// is the token's, as it is now.
    pub fn renewal(
        &self,
        limits: Limits,
        role: Option<&Role>,
        increment: u64,
        now: Time,
    ) -> Granted {
        let ttl = if increment > 0 {
            increment
        } else {
            self.granted_ttl
        };
        let wish = Wish {
            ttl,
            period: lesser(self.period, role.map_or(0, |r| r.period)),
            explicit_max_ttl: lesser(
                self.explicit_max_ttl,
                role.map_or(0, |r| r.explicit_max_ttl),
            ),
        };
        limits.grant(wish, now.since(self.created).as_secs())
    }

    pub(super) fn renew(&mut self, granted: &Granted, now: Time) {
        self.granted_ttl = granted.ttl;
        self.expires = Some(now.plus(Duration::from_secs(granted.ttl)));
        self.renewed = Some(now);
    }
}

/// The lesser of two bounds, of which zero is none.
pub(super) fn lesser(a: u64, b: u64) -> u64 {
    match (a, b) {
        (0, bound) | (bound, 0) => bound,
        (a, b) => a.min(b),
    }
}

/// `768h`, `1h30m`, `5s`: as operators write it.
fn compact(secs: u64) -> String {
    let parts = [
        (secs / 3600, 'h'),
        (secs % 3600 / 60, 'm'),
        (secs % 60, 's'),
    ];
    let text: String = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        default_ttl: 768 * 3600,
        max_ttl: 768 * 3600,
    };

    #[test]
    fn nothing_asked_is_the_default() {
        assert_eq!(LIMITS.grant(Wish::default(), 0).ttl, 768 * 3600);
    }

    #[test]
    fn over_the_maximum_is_cut_and_told() {
        let granted = LIMITS.grant(
            Wish {
                ttl: 1000 * 3600,
                ..Wish::default()
            },
            0,
        );
        assert_eq!(granted.ttl, 768 * 3600);
        assert_eq!(
            granted.warning.unwrap(),
            "TTL of \"1000h\" exceeded the effective max_ttl of \"768h\"; TTL value is capped \
             accordingly"
        );
    }

    #[test]
    fn the_explicit_maximum_counts_from_creation() {
        let wish = Wish {
            ttl: 3600,
            explicit_max_ttl: 1200,
            ..Wish::default()
        };
        assert_eq!(LIMITS.grant(wish, 0).ttl, 1200);
        assert_eq!(LIMITS.grant(wish, 1000).ttl, 200);
        assert_eq!(LIMITS.grant(wish, 5000).ttl, 0);
    }

    #[test]
    fn a_period_outlives_the_mount_but_not_its_own_bound() {
        let wish = Wish {
            period: 600,
            ..Wish::default()
        };
        assert_eq!(
            LIMITS.grant(wish, 10_000_000),
            Granted {
                ttl: 600,
                warning: None
            }
        );
        let long = LIMITS.grant(
            Wish {
                period: 1000 * 3600,
                ..Wish::default()
            },
            10_000_000,
        );
        assert_eq!(long.ttl, 768 * 3600);
        assert!(long.warning.unwrap().starts_with("period of \"1000h\""));
        let wish = Wish {
            explicit_max_ttl: 900,
            ..wish
        };
        assert_eq!(LIMITS.grant(wish, 500).ttl, 400);
    }

    #[test]
    fn lives_beyond_the_mounts_are_told() {
        let max = LIMITS.max_ttl;
        assert!(LIMITS.truncates(max).is_none() && LIMITS.truncates(max + 1).is_some());
    }

    #[test]
    fn compact_forms() {
        assert_eq!(compact(5400), "1h30m");
        assert_eq!(compact(300), "5m");
        assert_eq!(compact(0), "0s");
    }
}
