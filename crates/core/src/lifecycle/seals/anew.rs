//! The wraps of a root key that is new: that of a store that begins, or one in the place of another.

use keyfold_keys::{RootKey, Share};

use super::quorum::{self, Quorum, copy};
use super::settle::put;
use super::slot::Slot;
use super::{FOLDER, Seals, Wraps};
use crate::barrier::json;
use crate::error::Error;
use crate::ports::seal::SealError;
use crate::ports::storage::Batch;

/// What the active seals did with it.
struct Wrapped {
    batch: Batch,
    /// The names of those that have it.
    made: Vec<String>,
    failures: Vec<Failure>,
    /// The split, where several ways have to come together, and the share holders' part of it.
    split: Option<(Quorum, Option<Share>)>,
    /// All its parts.
    parts: Vec<Share>,
}

/// A seal that has it not, and why.
struct Failure {
    name: String,
    why: String,
}

/// The wraps of a root key that is new.
pub(in crate::lifecycle) struct Anew {
    /// Stores them.
    pub batch: Batch,
    /// What is left for the shares, where they are one of several ways.
    pub people: Option<(Quorum, Share)>,
    /// All parts, where several ways have to come together.
    pub parts: Vec<Share>,
    /// Seals that were away: they have no wrap until they work again.
    pub away: Vec<String>,
    /// Enough seals have it, so that it need not stay in memory.
    pub fetchable: bool,
}

impl Seals {
    /// The wraps of a root key that is about to begin a store, in the batch that begins it, and
    /// what is left for the shares. Of seals any one of which opens, one has to be there, and the
    /// others get their wraps when they are; of those that have to come together, all.
    pub(in crate::lifecycle) async fn begin(
        &self,
        root: &RootKey,
        people: bool,
    ) -> Result<Anew, Error> {
        let none = Wraps::default();
        let require = self.wish().require;
        let all = self.wrap_all(root, people, require, &none).await?;
        if !all.failures.is_empty() && (all.made.is_empty() || all.split.is_some()) {
            return Err(all.failed());
        }
        Ok(all.anew(require))
    }

    /// The wraps of a root key that is to take the place of the present one. Enough ways have to be
    /// there to open the store afterwards. The wrap of a seal that is away goes, as it is worth
    /// nothing then, and it gets another like one that joins. `people`: the shares open the store
    /// too, or do their part.
    pub(in crate::lifecycle) async fn wrap_anew(
        &self,
        root: &RootKey,
        people: bool,
        wraps: &Wraps,
    ) -> Result<Anew, Error> {
        let require = wraps.quorum.as_ref().map(|kept| kept.record.require);
        let mut all = self.wrap_all(root, people, require, wraps).await?;
        if all.made.len() + usize::from(people) < wraps.required() {
            return Err(all.failed());
        }
        for (name, kept) in &wraps.seals {
            if !all.made.contains(name) {
                let key = format!("{FOLDER}{name}");
                let batch = all.batch.unchanged(key.clone(), kept.revision);
                all.batch = batch.delete(key);
            }
        }
        Ok(all.anew(require))
    }

    /// Refuses a new root key for want of seals, before anybody gives a share for it, where it is
    /// known that they do not work.
    pub(in crate::lifecycle) fn ready_for_anew(&self, wraps: &Wraps) -> Result<(), Error> {
        let slots = self.slots();
        let active = slots.iter().filter(|slot| slot.is_active());
        let (away, there): (Vec<_>, Vec<_>) = active.partition(|s| s.condition().is_ailing());
        let people = wraps.shares_open() || self.new_shares_open(wraps);
        if there.len() + usize::from(people) >= wraps.required() {
            return Ok(());
        }
        let why = away.iter().map(|slot| {
            let condition = slot.condition();
            let reason = condition.reason().unwrap_or_default();
            format!("{} ({}): {reason}", slot.name, condition.name())
        });
        Err(unable(why.collect()))
    }

    async fn wrap_all(
        &self,
        root: &RootKey,
        people: bool,
        require: Option<u8>,
        wraps: &Wraps,
    ) -> Result<Wrapped, Error> {
        let slots = self.slots();
        let active: Vec<_> = slots.iter().filter(|slot| slot.is_active()).collect();
        let mut all = Wrapped {
            batch: Batch::new(),
            made: Vec::new(),
            failures: Vec::new(),
            split: None,
            parts: Vec::new(),
        };
        let Some(require) = require else {
            for slot in active {
                let went = slot.wrap(root).await?;
                all.note(slot, went, wraps)?;
            }
            return Ok(all);
        };
        let ways = active.len() + usize::from(people);
        let (split, parts) = Quorum::new(root, require, ways)?;
        let left = parts.last().filter(|_| people).and_then(copy);
        for (slot, part) in active.into_iter().zip(&parts) {
            let went = slot.wrap_part(part, split.membership(part)?).await;
            all.note(slot, went, wraps)?;
        }
        let batch = match &wraps.quorum {
            None => all.batch.absent(quorum::KEY),
            Some(kept) => all.batch.unchanged(quorum::KEY, kept.revision),
        };
        all.batch = batch.put(quorum::KEY, json(&split)?);
        (all.split, all.parts) = (Some((split, left)), parts);
        Ok(all)
    }
}

impl Wrapped {
    fn note(
        &mut self,
        slot: &Slot,
        went: Result<super::wrap::SealWrap, SealError>,
        wraps: &Wraps,
    ) -> Result<(), Error> {
        match went {
            Ok(wrap) => {
                let batch = std::mem::take(&mut self.batch);
                self.batch = put(batch, wraps, &slot.name, &wrap)?;
                self.made.push(slot.name.clone());
            }
            Err(error) => {
                let name = slot.name.clone();
                let why = format!("{name} ({}): {error}", error.class());
                self.failures.push(Failure { name, why });
            }
        }
        Ok(())
    }

    fn failed(self) -> Error {
        unable(self.failures.into_iter().map(|seal| seal.why).collect())
    }

    fn anew(self, require: Option<u8>) -> Anew {
        for Failure { why, .. } in &self.failures {
            tracing::warn!(
                why,
                "the seal has no wrap of the new root key until it works again"
            );
        }
        Anew {
            batch: self.batch,
            people: self.split.and_then(|(split, left)| Some((split, left?))),
            parts: self.parts,
            fetchable: self.made.len() >= require.map_or(1, usize::from),
            away: self.failures.into_iter().map(|seal| seal.name).collect(),
        }
    }
}

fn unable(why: Vec<String>) -> Error {
    Error::NoSeal(match why.is_empty() {
        true => "none is configured".to_owned(),
        false => why.join("; "),
    })
}
