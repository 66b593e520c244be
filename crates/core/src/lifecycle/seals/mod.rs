//! The seals: several wraps of one root key, any one of which opens the store.
//!
//! ```text
//!   core/seal/shamir   the root key under the unseal key that the shares give
//!   core/shares-next   the same under other shares, while it is not known that these were told
//!   core/seal/<name>   the root key under an unseal key that only that seal gives
//! ```
//!
//! With `require = k` no way opens alone: each has a part, and k parts open ([`quorum`]).
//!
//! What is configured ([`Slot`]) and what is stored ([`Wraps`]) are two things; [`settle`] brings the
//! second in line with the first whenever the root key is at hand, in one commit.

mod anew;
mod check;
mod fetch;
mod health;
mod quorum;
mod remarks;
mod settle;
mod shares;
mod slot;
mod stranger;
mod tend;
mod wrap;
mod wraps;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

pub use self::check::{Assembled, KnownShare, Rehearsal, Rehearsed, SetTerms, ShareTerms, probe};
pub(super) use self::fetch::{Fetched, prove};
pub use self::health::Condition;
pub(super) use self::quorum::{Quorum, copy};
pub(super) use self::shares::{Holds, NEXT, key as shares_key};
pub use self::shares::{ShamirSeal, Tried};
pub(crate) use self::slot::Slot;
pub(crate) use self::stranger::FOREIGN;
pub(crate) use self::wraps::{FOLDER, Set, Wraps};
use crate::barrier::{json, overtaken};
use crate::clock::Clock;
use crate::error::Error;
use crate::ports::seal::SealSetup;
use crate::ports::storage::{Batch, Revision, Storage};

/// The seals that the operator configured.
pub struct SealConfig {
    /// Those that need no people.
    pub seals: Vec<SealSetup>,
    /// Whether the shares that are handed out beside them open the store too. On a store that has
    /// begun `false` counts once the seals give the root key, and `true` with the next new shares.
    pub shares_unseal: bool,
    /// Ways that have to come together, the shares counted as one; counts when a store begins.
    pub require: Option<u8>,
}

/// What is configured of all ways together.
#[derive(Clone, Copy)]
struct Wish {
    shares_unseal: bool,
    require: Option<u8>,
}

impl Default for SealConfig {
    fn default() -> Self {
        Self {
            seals: Vec::new(),
            shares_unseal: true,
            require: None,
        }
    }
}

impl Wish {
    fn of(config: &SealConfig) -> Self {
        Self {
            shares_unseal: config.shares_unseal,
            require: config.require,
        }
    }
}

/// What is configured and what is stored.
pub(crate) struct Seals {
    slots: ArcSwap<Vec<Arc<Slot>>>,
    wraps: ArcSwap<Wraps>,
    wish: ArcSwap<Wish>,
    clock: Arc<dyn Clock>,
    /// Held by whoever changes the wraps.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// The second set of shares was told, by the commit that stored it: it is to stay.
    told: Mutex<Option<Revision>>,
    /// There is something to do for who tends the seals.
    pub(super) wake: Arc<Notify>,
}

impl Seals {
    pub(super) fn new(config: SealConfig, wraps: Wraps, clock: Arc<dyn Clock>) -> Self {
        let wish = Wish::of(&config);
        Self {
            slots: ArcSwap::from_pointee(Slot::all(config.seals, &[], &clock)),
            wraps: ArcSwap::from_pointee(wraps),
            wish: ArcSwap::from_pointee(wish),
            clock,
            changing: tokio::sync::Mutex::new(()),
            told: Mutex::default(),
            wake: Arc::new(Notify::new()),
        }
    }

    /// What is configured, in the order in which it is asked.
    pub(crate) fn slots(&self) -> Arc<Vec<Arc<Slot>>> {
        self.slots.load_full()
    }

    /// The seal that names the kind of this store: the first that is to open it.
    pub(crate) fn first(&self) -> Option<Arc<Slot>> {
        self.slots().iter().find(|slot| slot.is_active()).cloned()
    }

    /// New shares open the store, whatever those before them did: where several ways have to come
    /// together, they can't join these.
    pub(super) fn new_shares_open(&self, wraps: &Wraps) -> bool {
        self.shares_are_to_open() && wraps.quorum.is_none()
    }

    /// What is stored, as it was read last.
    pub(crate) fn wraps(&self) -> Arc<Wraps> {
        self.wraps.load_full()
    }

    pub(super) fn note(&self, wraps: Wraps) {
        self.wraps.store(Arc::new(wraps));
    }

    /// What is stored, unless somebody is about to change it, who notes it then.
    async fn note_stored(&self, storage: &dyn Storage) -> Result<(), Error> {
        if let Ok(_alone) = self.changing.try_lock() {
            self.note(Wraps::load(storage).await?);
        }
        Ok(())
    }

    /// The shares that were used are the shares from here on: those of the other set, where there are
    /// two, open nothing any more. With `only`, if the second set is still the one that this commit
    /// stored.
    pub(super) async fn settle_shares(
        &self,
        storage: &dyn Storage,
        used: Set,
        only: Option<Revision>,
    ) -> Result<(), Error> {
        let _alone = self.changing.lock().await;
        let wraps = Wraps::load(storage).await?;
        let (Some(today), Some(next)) = (&wraps.shares, &wraps.next) else {
            return Ok(());
        };
        if only.is_some_and(|only| only != next.revision) {
            return Ok(());
        }
        let (stays, goes) = match used {
            Set::Today => (&today.record, &next.record),
            Set::Next => (&next.record, &today.record),
        };
        let stays = stays.clone().instead_of(goes);
        let batch = Batch::new()
            .unchanged(shares_key(), today.revision)
            .put(shares_key(), json(&stays)?)
            .unchanged(NEXT, next.revision)
            .delete(NEXT);
        storage.commit(batch).await.map_err(overtaken)?;
        tracing::warn!(?used, "one set of shares opens the store again");
        self.note(Wraps::load(storage).await?);
        Ok(())
    }

    /// The second set of shares, which this commit stored, was told. From here on nobody is let in
    /// with the first before that is settled.
    pub(super) fn note_told(&self, stored: Revision) {
        *self.told() = Some(stored);
    }

    /// Settles what [`Seals::note_told`] has noted, if it is not yet.
    pub(super) async fn settle_told(&self, storage: &dyn Storage) -> Result<(), Error> {
        let told = *self.told();
        let Some(stored) = told else { return Ok(()) };
        self.settle_shares(storage, Set::Next, Some(stored)).await?;
        self.told().take_if(|told| *told == stored);
        Ok(())
    }

    fn told(&self) -> MutexGuard<'_, Option<Revision>> {
        // It is there or not after every operation.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up another configuration.
    fn replace(&self, config: SealConfig) {
        self.wish.store(Arc::new(Wish::of(&config)));
        let slots = Slot::all(config.seals, &self.slots(), &self.clock);
        self.slots.store(Arc::new(slots));
        self.wake.notify_one();
    }

    fn wish(&self) -> Wish {
        **self.wish.load()
    }

    /// Shares are to open the store: it is wished so, or there is no seal to do it.
    pub(super) fn shares_are_to_open(&self) -> bool {
        self.wish().shares_unseal || self.first().is_none()
    }

    /// What is configured is not what is stored: a seal waits for its wrap, or a wrap has no seal.
    pub(crate) fn is_unsettled(&self) -> bool {
        let (slots, wraps) = (self.slots(), self.wraps());
        let waits = |slot: &Arc<Slot>| slot.is_active() && !wraps.seals.contains_key(&slot.name);
        slots.iter().any(waits) || wraps.seals.keys().any(|name| !self.has(name))
    }

    /// The seals that have something to do: a disabled one, as long as its wrap is there.
    pub(in crate::lifecycle) fn in_use(&self) -> Vec<Arc<Slot>> {
        let (slots, wraps) = (self.slots(), self.wraps());
        let used = |slot: &&Arc<Slot>| slot.is_active() || wraps.seals.contains_key(&slot.name);
        slots.iter().filter(used).cloned().collect()
    }

    /// An active seal stands behind the name.
    fn has(&self, name: &str) -> bool {
        let slots = self.slots();
        slots
            .iter()
            .any(|slot| slot.is_active() && slot.name == name)
    }
}
