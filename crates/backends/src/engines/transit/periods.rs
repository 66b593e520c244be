//! Crypto-periods of a key: `originator_usage_period` and `recipient_usage_period`.

use keyfold_api::Seconds;
use keyfold_core::barrier::View;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::period::{CryptoPeriod, Role};
use serde::{Deserialize, Serialize};

use super::key::Settings;
use super::times;

/// Seconds; 0 for none. See [`keyfold_core::ports::period`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Periods {
    /// How long a version makes something.
    pub originator: u64,
    /// How long it opens that; counted from when it was made, too.
    pub recipient: u64,
}

impl Periods {
    /// None are set.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// With what was asked for; what was left out stays.
    pub fn with(
        self,
        originator: Option<Seconds>,
        recipient: Option<Seconds>,
    ) -> Result<Self, Error> {
        let secs = |name: &str, asked: Option<Seconds>, old: u64| match asked {
            None => Ok(old),
            Some(asked) => u64::try_from(asked.0)
                .map_err(|_| Error::field(name, "must be 0, for none, or more")),
        };
        let new = Self {
            originator: secs("originator_usage_period", originator, self.originator)?,
            recipient: secs("recipient_usage_period", recipient, self.recipient)?,
        };
        match new.recipient > 0 && new.recipient < new.originator {
            true => Err(Error::field(
                "recipient_usage_period",
                "must not be shorter than originator_usage_period: both begin when a version is made",
            )),
            false => Ok(new),
        }
    }
}

/// The periods of a key that are set: that of its newest version, and that of its oldest. Unknown
/// where it is not known when these were made.
pub(super) async fn of(view: &View, settings: &Settings) -> Result<Vec<CryptoPeriod>, Error> {
    let asked = [
        (
            Role::Originator,
            settings.latest_version,
            settings.periods.originator,
        ),
        (
            Role::Recipient,
            settings.oldest(),
            settings.periods.recipient,
        ),
    ];
    let mut periods = Vec::new();
    for (role, version, secs) in asked {
        if secs == 0 {
            continue;
        }
        let made = times::known(view, &settings.id, version..=version).await?;
        let made = made.get(&version).copied().filter(|made| *made > 0);
        periods.extend(made.map(|made| CryptoPeriod {
            role,
            version,
            began: Time(made.saturating_mul(1_000_000_000)),
            secs,
        }));
    }
    Ok(periods)
}

/// What is to be said of the periods of a key now.
pub(super) async fn remarks(
    view: &View,
    settings: &Settings,
    now: Time,
) -> Result<Vec<String>, Error> {
    if settings.periods.is_none() {
        return Ok(Vec::new());
    }
    let periods = of(view, settings).await?;
    Ok(periods
        .iter()
        .filter_map(|period| period.remark(now))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_set() {
        let set = |originator: Option<i64>, recipient: Option<i64>| {
            let old = Periods {
                originator: 100,
                recipient: 200,
            };
            old.with(originator.map(Seconds), recipient.map(Seconds))
        };
        let periods = |originator, recipient| Periods {
            originator,
            recipient,
        };
        assert_eq!(set(None, None).unwrap(), periods(100, 200));
        assert_eq!(set(Some(0), None).unwrap(), periods(0, 200));
        assert_eq!(set(Some(200), Some(200)).unwrap(), periods(200, 200));
        assert_eq!(set(None, Some(0)).unwrap(), periods(100, 0));
        assert!(set(Some(0), Some(0)).unwrap().is_none());
        for (originator, recipient) in [(Some(201), None), (None, Some(99)), (Some(-1), None)] {
            assert!(set(originator, recipient).is_err());
        }
    }
}
