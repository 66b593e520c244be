//! The wraps of a root key that is new: that of a store that begins, or one in the place of another.

use keyfold_keys::{RootKey, Share};

use super::quorum::{self, Quorum};
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
    made: usize,
    failures: Vec<String>,
    /// The split, where several ways have to come together, and the share holders' part of it.
    split: Option<(Quorum, Option<Share>)>,
}

/// A batch with wraps, and what is left for the shares where they are one of several ways.
type Anew = (Batch, Option<(Quorum, Share)>);

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
        let all = self.wrap_all(root, people, self.require, &none).await?;
        if !all.failures.is_empty() && (all.made == 0 || all.split.is_some()) {
            return Err(Error::NoSeal(all.failures.join("; ")));
        }
        Ok(all.anew())
    }

    /// The wraps of a root key that is to take the place of the present one. Every seal has to be
    /// there: a wrap of the old root key is worth nothing afterwards. `people`: the shares open the
    /// store too, or do their part.
    pub(in crate::lifecycle) async fn wrap_anew(
        &self,
        root: &RootKey,
        people: bool,
        wraps: &Wraps,
    ) -> Result<Anew, Error> {
        let require = wraps.quorum.as_ref().map(|kept| kept.record.require);
        let mut all = self.wrap_all(root, people, require, wraps).await?;
        if !all.failures.is_empty() {
            return Err(Error::NoSeal(all.failures.join("; ")));
        }
        if all.made == 0 && !people {
            return Err(Error::NoSeal("none is configured".to_owned()));
        }
        for name in wraps.seals.keys().filter(|name| !self.has(name)) {
            if let Some(revision) = wraps.revision(name) {
                let key = format!("{FOLDER}{name}");
                all.batch = all.batch.unchanged(key.clone(), revision).delete(key);
            }
        }
        Ok(all.anew())
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
            made: 0,
            failures: Vec::new(),
            split: None,
        };
        let Some(require) = require else {
            for slot in active {
                let went = slot.wrap(root).await?;
                all.note(slot, went, wraps)?;
            }
            return Ok(all);
        };
        let ways = active.len() + usize::from(people);
        let (split, mut parts) = Quorum::new(root, require, ways)?;
        let left = if people { parts.pop() } else { None };
        for (slot, part) in active.into_iter().zip(&parts) {
            let went = slot.wrap_part(part, split.membership(part)?).await;
            all.note(slot, went, wraps)?;
        }
        let batch = match &wraps.quorum {
            None => all.batch.absent(quorum::KEY),
            Some(kept) => all.batch.unchanged(quorum::KEY, kept.revision),
        };
        all.batch = batch.put(quorum::KEY, json(&split)?);
        all.split = Some((split, left));
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
                self.made += 1;
            }
            Err(error) => {
                let (name, class) = (&slot.name, error.class());
                self.failures.push(format!("{name} ({class}): {error}"));
            }
        }
        Ok(())
    }

    fn anew(self) -> Anew {
        let left = self.split.and_then(|(split, left)| Some((split, left?)));
        (self.batch, left)
    }
}
