//! All that the store has below `core/seal/`: the wraps of one root key.

use std::collections::BTreeMap;

use keyfold_keys::Share;

use super::quorum::{self, Quorum};
use super::shares::{self, ShamirSeal};
use super::wrap::SealWrap;
use crate::error::Error;
use crate::ports::storage::{Revision, Storage};

/// Below this, a record for each seal, by its name.
pub const FOLDER: &str = "core/seal/";
/// More seals than this are no configuration.
const MOST: usize = 256;

/// A record and the commit that stored it.
#[derive(Clone)]
pub(crate) struct Stored<T> {
    pub record: T,
    pub revision: Revision,
}

/// Which shares are meant, while there are two sets of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// Those that there always are.
    Today,
    /// Those of a rekey whose answer may not have reached anybody.
    Next,
}

impl Set {
    pub(in crate::lifecycle) fn other(self) -> Self {
        match self {
            Self::Today => Self::Next,
            Self::Next => Self::Today,
        }
    }
}

/// Every wrap.
#[derive(Clone, Default)]
pub(crate) struct Wraps {
    /// That of the shares, where there are any.
    pub shares: Option<Stored<ShamirSeal>>,
    /// That of the shares of a rekey whose answer may not have reached anybody: they open too.
    pub next: Option<Stored<ShamirSeal>>,
    /// Those of seals, by name.
    pub seals: BTreeMap<String, Stored<SealWrap>>,
    /// Says that several of them have to come together.
    pub quorum: Option<Stored<Quorum>>,
    /// Records that are none.
    pub damaged: BTreeMap<String, Revision>,
}

impl Wraps {
    /// Reads them. One that is damaged keeps nobody from the others.
    pub(crate) async fn load(storage: &dyn Storage) -> Result<Self, Error> {
        let mut wraps = Self::default();
        for name in storage.list(FOLDER, "", MOST).await?.names {
            let Some(entry) = storage.get(&format!("{FOLDER}{name}")).await? else {
                continue;
            };
            let revision = entry.revision;
            if name == shares::NAME {
                if let Some(record) = ShamirSeal::parse(&entry.value) {
                    wraps.shares = Some(Stored { record, revision });
                    continue;
                }
            } else if let Ok(record) = serde_json::from_slice(&entry.value) {
                wraps.seals.insert(name, Stored { record, revision });
                continue;
            }
            wraps.damaged.insert(name, revision);
        }
        // One that is damaged opens nothing; the other set does.
        if let Some(entry) = storage.get(shares::NEXT).await?
            && let Some(record) = ShamirSeal::parse(&entry.value)
        {
            let revision = entry.revision;
            wraps.next = Some(Stored { record, revision });
        }
        if let Some(entry) = storage.get(quorum::KEY).await? {
            let damaged = || Error::corrupt(quorum::KEY);
            let record = Quorum::parse(&entry.value).ok_or_else(damaged)?;
            let revision = entry.revision;
            wraps.quorum = Some(Stored { record, revision });
        }
        if wraps.shares.is_none() && wraps.seals.is_empty() {
            return Err(Error::corrupt(match wraps.damaged.keys().next() {
                Some(name) => format!("{FOLDER}{name}"),
                None => FOLDER.to_owned(),
            }));
        }
        Ok(wraps)
    }

    /// A set of shares.
    pub(crate) fn set(&self, set: Set) -> Option<&Stored<ShamirSeal>> {
        match set {
            Set::Today => self.shares.as_ref(),
            Set::Next => self.next.as_ref(),
        }
    }

    /// The set that a share is of, as far as its check tells; `None` for a foreign one. The shares
    /// of an old store have no checks: what they give is tried together.
    pub(crate) fn set_of(&self, share: &Share) -> Option<Set> {
        let of = |set: Set| self.set(set).and_then(|kept| kept.record.knows(share));
        match (of(Set::Next), of(Set::Today)) {
            (Some(true), _) => Some(Set::Next),
            (_, Some(false)) => None,
            (_, Some(true) | None) => Some(Set::Today),
        }
    }

    /// Shares handed out and shares that open, where there are any.
    pub(crate) fn split(&self) -> (u8, u8) {
        let numbers = |kept: &Stored<ShamirSeal>| (kept.record.shares, kept.record.threshold);
        self.shares.as_ref().map_or((0, 0), numbers)
    }

    /// Whether the shares open the store, or are one of the ways that do together.
    pub(crate) fn shares_open(&self) -> bool {
        let Some(shares) = self.shares.as_ref().map(|kept| &kept.record) else {
            return false;
        };
        let quorum = self.quorum.as_ref().map(|kept| &kept.record.id);
        // A part of another split is none.
        shares.opens() && shares.membership().map(|of| &of.quorum) == quorum
    }

    /// Ways that have to come together.
    pub(crate) fn required(&self) -> usize {
        self.quorum
            .as_ref()
            .map_or(1, |kept| kept.record.require.into())
    }

    /// Numbers of parts that are given away.
    pub(super) fn numbers(&self) -> Vec<u8> {
        let seals = self
            .seals
            .values()
            .filter_map(|kept| kept.record.part.as_ref());
        let people = self
            .shares
            .as_ref()
            .and_then(|kept| kept.record.membership());
        seals.chain(people).map(|part| part.number).collect()
    }

    /// The stored record of a name, whatever it is worth.
    pub(crate) fn revision(&self, name: &str) -> Option<Revision> {
        let sound = self.seals.get(name).map(|kept| kept.revision);
        sound.or_else(|| self.damaged.get(name).copied())
    }
}
