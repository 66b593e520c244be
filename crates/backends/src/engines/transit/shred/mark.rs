//! How far the destruction of a key is, and what the key may do meanwhile.

use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use serde::{Deserialize, Serialize};

use super::super::census::second;
use super::super::key::Settings;
use super::{Actor, Grave};

/// What stands in the settings of a key that is to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum Mark {
    /// Somebody asked for it.
    Tombstoned(Tombstone),
    /// Somebody else has agreed.
    Approved(Tombstone, Step),
    /// It was destroyed, and a snapshot brought it back.
    Revived(Grave),
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Tombstone {
    pub reason: String,
    pub requested: Step,
    /// Seconds that it was to wait.
    pub delay: u64,
    /// The second from which on it may be destroyed.
    pub until: u64,
}

/// A step, and who took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Step {
    /// RFC 3339.
    pub time: String,
    pub by: Actor,
}

impl Step {
    /// Taken now.
    pub fn new(now: Time, by: Actor) -> Self {
        Self {
            time: now.rfc3339(),
            by,
        }
    }
}

impl Mark {
    /// The name of the state.
    pub fn state(&self) -> &'static str {
        match self {
            Self::Tombstoned(_) => "tombstoned",
            Self::Approved(..) => "approved",
            Self::Revived(_) => "revived",
        }
    }

    /// What was asked for, where it was not done yet.
    pub fn tombstone(&self) -> Option<&Tombstone> {
        match self {
            Self::Tombstoned(tombstone) | Self::Approved(tombstone, _) => Some(tombstone),
            Self::Revived(_) => None,
        }
    }

    /// Who agreed.
    pub fn approved(&self) -> Option<&Step> {
        match self {
            Self::Approved(_, step) => Some(step),
            Self::Tombstoned(_) | Self::Revived(_) => None,
        }
    }

    /// For who has to account for the key.
    pub fn remark(&self) -> String {
        match self {
            Self::Tombstoned(tombstone) => format!(
                "it is to be destroyed from {} on, and nobody else has approved that yet",
                shown(tombstone.until)
            ),
            Self::Approved(tombstone, _) => {
                format!("it may be destroyed from {} on", shown(tombstone.until))
            }
            Self::Revived(grave) => grave.revived().to_string(),
        }
    }

    /// Refuses what comes too early.
    pub fn ripe(&self, now: Time) -> Result<(), Error> {
        let mut missing = Vec::new();
        if matches!(self, Self::Tombstoned(_)) {
            missing.push("nobody else has approved it".to_owned());
        }
        let until = self.tombstone().map_or(0, |tombstone| tombstone.until);
        if now.secs() < until {
            missing.push(format!("it waits until {}", shown(until)));
        }
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Error::bad(format!(
                "the key is not destroyed yet: {}",
                missing.join(", and ")
            ))),
        }
    }
}

impl Settings {
    /// Refuses to make something with a key that is to go.
    pub fn makes(&self) -> Result<(), Error> {
        match self.shred.as_ref().and_then(Mark::tombstone) {
            None => Ok(()),
            Some(tombstone) => Err(Error::bad(format!(
                "the key is to be destroyed, from {} on: it opens what it made, and makes nothing more",
                shown(tombstone.until)
            ))),
        }
    }

    /// Refuses what a key that is to go is kept from: to be copied, or destroyed beside the steps.
    pub fn unmarked(&self) -> Result<(), Error> {
        match &self.shred {
            None => Ok(()),
            Some(Mark::Revived(grave)) => Err(grave.revived()),
            Some(mark) => Err(Error::bad(format!(
                "the key is to be destroyed ({}): that is cancelled first, with shred/cancel",
                mark.state()
            ))),
        }
    }

    /// Refuses a key that was destroyed and came back.
    pub fn buried(&self) -> Result<(), Error> {
        match &self.shred {
            Some(Mark::Revived(grave)) => Err(grave.revived()),
            _ => Ok(()),
        }
    }
}

/// A second in RFC 3339.
pub(super) fn shown(secs: u64) -> String {
    second(secs).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use keyfold_keys::transit::KeyType;
    use proptest::prelude::*;

    use super::*;

    fn actor(name: &str) -> Actor {
        serde_json::from_value(serde_json::json!({"caller": name})).unwrap()
    }

    fn tombstone(until: u64) -> Tombstone {
        Tombstone {
            reason: "it ended".to_owned(),
            requested: Step::new(Time::default(), actor("a")),
            delay: 1,
            until,
        }
    }

    proptest! {
        /// Nothing goes without a second person, and nothing before its time.
        #[test]
        fn what_is_ripe(until in 0u64..1 << 34, now in 0u64..1 << 34, approved: bool) {
            let asked = tombstone(until);
            let mark = match approved {
                true => Mark::Approved(asked, Step::new(Time::default(), actor("b"))),
                false => Mark::Tombstoned(asked),
            };
            let now = Time(now * 1_000_000_000);
            let ripe = mark.ripe(now);
            prop_assert_eq!(ripe.is_ok(), approved && now.secs() >= until);
            if let Err(error) = ripe {
                let text = error.to_string();
                prop_assert_eq!(text.contains("nobody else"), !approved, "{}", text);
                prop_assert_eq!(text.contains("waits until"), now.secs() < until, "{}", text);
            }
        }
    }

    #[test]
    fn marks_are_read_as_they_were_written() {
        let step = Step::new(Time(1_000_000_000), actor("b"));
        for mark in [
            Mark::Tombstoned(tombstone(5)),
            Mark::Approved(tombstone(5), step),
            Mark::Revived(Grave::default()),
        ] {
            let settings = Settings {
                shred: Some(mark),
                ..Settings::new(KeyType::default())
            };
            let text = serde_json::to_string(&settings).unwrap();
            assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
            assert!(settings.unmarked().is_err());
        }
        let plain = Settings::new(KeyType::default());
        assert!(!serde_json::to_string(&plain).unwrap().contains("shred"));
        assert!(plain.unmarked().is_ok() && plain.makes().is_ok());
    }
}
