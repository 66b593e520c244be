//! Brings the stored wraps in line with the configured seals, and looks whether these work.

use std::sync::Arc;

use keyfold_keys::{RootKey, Share, UnsealKey};

use super::quorum::Quorum;
use super::slot::{Finding, Slot};
use super::wrap::{Given, SealWrap};
use super::{FOLDER, SealConfig, Seals, Wraps, prove, shares_key};
use crate::barrier::{json, overtaken};
use crate::error::Error;
use crate::lifecycle::Core;
use crate::lifecycle::unsealed::{HeldRoot, Unsealed};
use crate::ports::storage::{Batch, Storage};

/// What the examination of all seals led to.
#[derive(Default)]
struct Plan {
    /// The root key, where a seal gave the right one.
    root: Option<RootKey>,
    /// Parts that seals gave.
    parts: Vec<Share>,
    /// Seals that open the store as it is, or do their part.
    good: usize,
    /// Seals whose wrap is to be made; the part that they have already.
    wanting: Vec<(Arc<Slot>, Option<Share>)>,
}

impl Core {
    /// Examines every seal of an open vault. A seal without a wrap, or with one of an older key,
    /// gets a new one; a wrap whose seal is gone or disabled goes: one commit. Once seals are known
    /// to give the root key, it leaves memory.
    ///
    /// Nothing happens while the root key is not at hand, and no wrap goes while there is no other
    /// way to open the store.
    pub async fn settle(&self) -> Result<(), Error> {
        let seals = &*self.seals;
        let _alone = seals.changing.lock().await;
        let vault = self.unsealed()?;
        let storage = &*self.storage;
        let wraps = Wraps::load(storage).await?;
        let mut plan = seals.examine(storage, &wraps).await?;
        let (held, held_parts) = (vault.held_root(), vault.held_parts());
        let mut batch = Batch::new();
        let mut made = 0;
        for (slot, part) in std::mem::take(&mut plan.wanting) {
            let wrap = match &wraps.quorum {
                None => match held.as_deref().or(plan.root.as_ref()) {
                    Some(root) => slot.wrap(root).await?.ok(),
                    None => {
                        slot.try_out().await?;
                        None
                    }
                },
                Some(quorum) => {
                    let quorum = &quorum.record;
                    let part = match part {
                        Some(own) => Some(own),
                        None => {
                            let taken = [wraps.numbers(), numbers(&held_parts), plan.numbers()];
                            join(quorum, [&plan.parts, &held_parts], &taken.concat())?
                        }
                    };
                    match part {
                        None => {
                            slot.try_out().await?;
                            None
                        }
                        Some(part) => {
                            let of = quorum.membership(&part)?;
                            let wrap = slot.wrap_part(&part, of).await.ok();
                            plan.parts.push(part);
                            wrap
                        }
                    }
                }
            };
            if let Some(wrap) = wrap {
                batch = put(batch, &wraps, &slot.name, &wrap)?;
                made += 1;
            }
        }
        let ways = plan.good + made + usize::from(wraps.shares_open());
        // What goes may have been the last machine that gives the root key.
        let at_hand = plan.good + made >= wraps.required() || vault.hold_root().await.is_ok();
        let batch = match at_hand {
            true => self.without_owners(batch, &wraps, ways),
            false => batch,
        };
        let batch = match plan.good + made >= wraps.required() {
            true => seals.idle_shares(batch, &wraps)?,
            false => batch,
        };
        if batch.is_empty() {
            seals.note(wraps.clone());
        } else {
            let touched: Vec<_> = batch.touched().map(str::to_owned).collect();
            storage.commit(batch).await.map_err(overtaken)?;
            tracing::info!(?touched, "the wraps of the root key were brought in line");
            seals.note(Wraps::load(storage).await?);
        }
        if plan.good + made >= wraps.required() {
            vault.drop_root();
        }
        Ok(())
    }

    /// Takes up other seals: see [`Core::settle`] for what becomes of the wraps. The root key stays
    /// at hand meanwhile, where the old ones can still give it.
    pub async fn reseal(&self, config: SealConfig) {
        // A root key that is fetched beside a rotation of it would be held as the one of today.
        let _alone = self.seals.changing.lock().await;
        if let Ok(vault) = self.unsealed()
            && let Err(error) = vault.hold_root().await
        {
            tracing::warn!(%error, "the seals change while none of them gives the root key");
        }
        self.seals.replace(config);
        self.seals.remark();
    }

    /// Adds the removal of wraps that no active seal stands behind.
    fn without_owners(&self, mut batch: Batch, wraps: &Wraps, ways: usize) -> Batch {
        for name in wraps.seals.keys().filter(|name| !self.seals.has(name)) {
            if ways < wraps.required() {
                tracing::error!(
                    seal = name,
                    "the seal is not configured any more, and nothing else opens the store: its \
                     wrap is kept"
                );
                continue;
            }
            if let Some(revision) = wraps.revision(name) {
                let key = format!("{FOLDER}{name}");
                batch = batch.unchanged(key.clone(), revision).delete(key);
            }
        }
        batch
    }
}

impl Plan {
    fn numbers(&self) -> Vec<u8> {
        numbers(&self.parts)
    }
}

impl Seals {
    /// Has the shares open the store no more, where that is wished and seals do. Those of a second
    /// set, which may not have been told, are waited for; where several ways have to come together
    /// it stays as it was begun.
    fn idle_shares(&self, batch: Batch, wraps: &Wraps) -> Result<Batch, Error> {
        if self.shares_are_to_open() || wraps.quorum.is_some() || wraps.next.is_some() {
            return Ok(batch);
        }
        let Some(kept) = wraps.shares.as_ref().filter(|kept| kept.record.opens()) else {
            return Ok(batch);
        };
        let Some(idle) = kept.record.idle() else {
            return Ok(batch);
        };
        tracing::warn!("the shares open this store no more: shares_unseal = false is configured");
        let batch = batch.unchanged(shares_key(), kept.revision);
        Ok(batch.put(shares_key(), json(&idle)?))
    }

    /// Asks every active seal for what its wrap holds.
    async fn examine(&self, storage: &dyn Storage, wraps: &Wraps) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        let quorum = wraps.quorum.as_ref().map(|kept| &kept.record);
        for slot in self.slots().iter().filter(|slot| slot.is_active()) {
            let wrap = wraps.seals.get(&slot.name).map(|kept| &kept.record);
            let (given, renew) = match slot.examine(wrap).await {
                Finding::Good(given) => (given, false),
                Finding::Old(given) => (given, true),
                Finding::None => {
                    plan.wanting.push((slot.clone(), None));
                    continue;
                }
                Finding::Unknown => continue,
            };
            match (given, quorum) {
                (Given::Root(root), None) => {
                    let right = match &plan.root {
                        Some(known) => root.ct_eq(known),
                        None => prove(storage, &root).await?.is_some(),
                    };
                    if right && plan.root.is_none() {
                        plan.root = Some(root);
                    }
                    match right && !renew {
                        true => plan.good += 1,
                        false => plan.wanting.push((slot.clone(), None)),
                    }
                }
                (Given::Part(part), Some(quorum)) => {
                    let of = wrap.and_then(|wrap| wrap.part.as_ref());
                    let right = of.is_some_and(|of| of.quorum == quorum.id);
                    let copy = super::quorum::copy(&part).filter(|_| right);
                    match right && !renew {
                        true => plan.good += 1,
                        false => plan.wanting.push((slot.clone(), copy)),
                    }
                    if right {
                        plan.parts.push(part);
                    }
                }
                (Given::Root(_) | Given::Part(_), _) => plan.wanting.push((slot.clone(), None)),
            }
        }
        Ok(plan)
    }
}

/// A part for a seal that joins, where enough others are at hand to tell it: those that seals gave
/// just now, or those that are kept.
fn join(quorum: &Quorum, sources: [&[Share]; 2], taken: &[u8]) -> Result<Option<Share>, Error> {
    let mut opened = sources.into_iter().filter_map(|parts| quorum.open(parts));
    let Some((_, parts)) = opened.next() else {
        return Ok(None);
    };
    Ok(Some(UnsealKey::further_share(&parts, taken)?))
}

fn numbers(parts: &[Share]) -> Vec<u8> {
    parts.iter().filter_map(Share::number).collect()
}

/// Adds a wrap in the place of what was there.
pub(super) fn put(
    batch: Batch,
    wraps: &Wraps,
    name: &str,
    wrap: &SealWrap,
) -> Result<Batch, Error> {
    let key = format!("{FOLDER}{name}");
    let batch = match wraps.revision(name) {
        Some(revision) => batch.unchanged(key.clone(), revision),
        None => batch.absent(key.clone()),
    };
    Ok(batch.put(key, json(wrap)?))
}

impl Unsealed {
    /// The root key: from memory, or from the seals.
    pub async fn root(&self) -> Result<Arc<RootKey>, Error> {
        match self.held_root() {
            Some(root) => Ok(root),
            None => Ok(self.fetch_root().await?.key),
        }
    }

    /// Keeps the root key in memory from here on.
    async fn hold_root(&self) -> Result<(), Error> {
        if !self.holds_root() {
            let fetched = self.fetch_root().await?;
            self.keep_root(fetched);
        }
        Ok(())
    }

    async fn fetch_root(&self) -> Result<HeldRoot, Error> {
        let fetched = self.seals.fetch(&**self.barrier.storage(), None).await?;
        Ok(HeldRoot {
            key: Arc::new(fetched.root),
            parts: fetched.parts,
        })
    }
}
