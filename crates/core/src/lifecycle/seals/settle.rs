//! Brings the stored wraps in line with the configured seals, and looks whether these work.

use std::sync::Arc;

use keyfold_keys::RootKey;

use super::slot::Finding;
use super::wrap::SealWrap;
use super::{FOLDER, Seals, Wraps, prove};
use crate::barrier::{json, overtaken};
use crate::error::Error;
use crate::lifecycle::{Core, Unsealed};
use crate::ports::seal::SealSetup;
use crate::ports::storage::Batch;

/// What the examination of all seals led to.
#[derive(Default)]
struct Plan {
    /// The root key, where a seal gave the right one.
    root: Option<RootKey>,
    /// Seals that open the store as it is.
    good: usize,
    /// Seals whose wrap is to be made.
    wanting: Vec<usize>,
}

impl Core {
    /// Examines every seal of an open vault. A seal without a wrap, or with one of an older key,
    /// gets a new one; a wrap whose seal is gone or disabled goes: one commit. Once a seal is known
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
        let slots = seals.slots();
        let mut plan = Plan::default();
        for (at, slot) in slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.is_active())
        {
            let wrap = wraps.seals.get(&slot.name).map(|kept| &kept.record);
            let (root, renew) = match slot.examine(wrap).await {
                Finding::Good(root) => (Some(root), false),
                Finding::Old(root) => (Some(root), true),
                Finding::None => (None, true),
                Finding::Unknown => continue,
            };
            let right = match (&root, &plan.root) {
                (None, _) => false,
                (Some(root), Some(known)) => root.ct_eq(known),
                (Some(root), None) => prove(storage, root).await?.is_some(),
            };
            match right && !renew {
                true => plan.good += 1,
                false => plan.wanting.push(at),
            }
            if right && plan.root.is_none() {
                plan.root = root;
            }
        }
        let held = vault.held_root();
        let mut batch = Batch::new();
        let mut made = 0;
        if let Some(root) = held.as_deref().or(plan.root.as_ref()) {
            for slot in plan.wanting.iter().filter_map(|at| slots.get(*at)) {
                if let Ok(wrap) = slot.wrap(root).await? {
                    batch = put(batch, &wraps, &slot.name, &wrap)?;
                    made += 1;
                }
            }
        }
        let ways = plan.good + made + usize::from(wraps.shares_open());
        // What goes may have been the last machine that gives the root key.
        let at_hand = plan.good + made > 0 || vault.hold_root().await.is_ok();
        let batch = match at_hand {
            true => self.without_owners(batch, &wraps, ways),
            false => batch,
        };
        if !batch.is_empty() {
            let touched: Vec<_> = batch.touched().map(str::to_owned).collect();
            storage.commit(batch).await.map_err(overtaken)?;
            tracing::info!(?touched, "the wraps of the root key were brought in line");
            seals.note(Wraps::load(storage).await?);
        } else {
            seals.note(wraps);
        }
        if plan.good + made > 0 {
            vault.drop_root();
        }
        Ok(())
    }

    /// Takes up other seals: see [`Core::settle`] for what becomes of the wraps. The root key stays
    /// at hand meanwhile, where the old ones can still give it.
    pub async fn reseal(&self, setups: Vec<SealSetup>) {
        if let Ok(vault) = self.unsealed()
            && let Err(error) = vault.hold_root().await
        {
            tracing::warn!(%error, "the seals change while none of them gives the root key");
        }
        self.seals.replace(setups);
    }

    /// Adds the removal of wraps that no active seal stands behind.
    fn without_owners(&self, mut batch: Batch, wraps: &Wraps, ways: usize) -> Batch {
        let slots = self.seals.slots();
        let active = |name: &str| slots.iter().any(|s| s.is_active() && s.name == name);
        for name in wraps.seals.keys().filter(|name| !active(name)) {
            if ways == 0 {
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

/// Adds a wrap in the place of what was there.
pub(in crate::lifecycle) fn put(
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
    /// The root key: from memory, or from a seal.
    pub async fn root(&self) -> Result<Arc<RootKey>, Error> {
        match self.held_root() {
            Some(root) => Ok(root),
            None => {
                let fetched = self.seals.fetch(&**self.barrier.storage()).await?;
                Ok(Arc::new(fetched.root))
            }
        }
    }

    /// Keeps the root key in memory from here on.
    async fn hold_root(&self) -> Result<(), Error> {
        let root = self.root().await?;
        self.keep_root(root);
        Ok(())
    }
}

impl Seals {
    /// The wraps of a root key that is about to begin a store, in the batch that begins it. At
    /// least one seal has to be there; the others get theirs when they are.
    pub(in crate::lifecycle) async fn begin(
        &self,
        root: &RootKey,
        mut batch: Batch,
    ) -> Result<Batch, Error> {
        let none = Wraps::default();
        let mut failures = Vec::new();
        let mut made = 0;
        for slot in self.slots().iter().filter(|slot| slot.is_active()) {
            match slot.wrap(root).await? {
                Ok(wrap) => {
                    batch = put(batch, &none, &slot.name, &wrap)?;
                    made += 1;
                }
                Err(error) => failures.push(format!("{} ({}): {error}", slot.name, error.class())),
            }
        }
        if made == 0 && !failures.is_empty() {
            return Err(Error::NoSeal(failures.join("; ")));
        }
        Ok(batch)
    }
}
