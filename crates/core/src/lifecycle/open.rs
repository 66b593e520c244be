//! The way from shares, or from a seal, to an open vault.

use std::sync::Arc;

use keyfold_keys::{RootKey, Share};

use super::fence::Fence;
use super::sealed::Step;
use super::seals::{Fetched, Set, Tried, Wraps, prove, shares_key};
use super::unsealed::{HeldRoot, Unsealed};
use super::{Core, Sealed, State};
use crate::barrier::{Barrier, KEYRING, TRIES};
use crate::error::Error;
use crate::initialize;

/// What clients know a wrong unseal key by.
pub(super) const WRONG_KEY: &str = "unable to retrieve stored keys: invalid key: failed to decrypt keys from \
                         storage: cipher: message authentication failed";

/// What is said of shares that are not to open the store.
const IDLE: &str = "these are the shares, but they are not to open this store (shares_unseal = \
                    false): only its seals open it";

impl Core {
    /// Takes a share. With the last one the vault opens. One that is none is a 400 and changes
    /// nothing; of a store that is older than the checks of shares that shows with the last one
    /// only, and all have to be given again.
    pub async fn unseal(self: &Arc<Self>, share: Share) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let state = self.state();
        let sealed = match &*state {
            State::Uninit => return Err(Error::bad("Vault is not initialized")),
            State::Unsealed(_) => return Ok(()),
            State::Sealed(sealed) => sealed,
        };
        self.seals.settle_told(&*self.storage).await?;
        let (known, set) = self.set_of(&share).await?;
        let Some(shares) = known.set(set) else {
            return Err(Error::bad(
                "this store has no shares: its seals open it, or nothing does",
            ));
        };
        if !shares.record.opens() {
            return Err(Error::bad(IDLE));
        }
        let Step::Enough(unseal) = sealed.give(share, set, shares.record.threshold)? else {
            return Ok(());
        };
        // What is stored counts, not what was read when the server started.
        let wraps = Wraps::load(&*self.storage).await?;
        let stored = wraps.set(set).or(wraps.shares.as_ref()).unwrap_or(shares);
        let tried = stored.record.attempt(&unseal);
        drop(unseal);
        self.seals.note(wraps);
        let root = match tried? {
            Tried::Opens(root) => root,
            Tried::Part(part) => {
                sealed.keep(part);
                self.shares_used(set).await;
                return self.open_together(sealed).await;
            }
            Tried::Wrong => return Err(Error::bad(WRONG_KEY)),
            Tried::Proves => return Err(Error::bad(IDLE)),
        };
        prove(&*self.storage, &root).await?.ok_or_else(apart)?;
        let held = HeldRoot {
            key: Arc::new(root),
            parts: Vec::new(),
        };
        self.enter(held, true).await?;
        self.shares_used(set).await;
        tracing::info!("vault is unsealed");
        Ok(())
    }

    /// The set that a share is of. A stranger is told what is wrong with it, and takes nothing from
    /// those that were given before.
    async fn set_of(&self, share: &Share) -> Result<(Arc<Wraps>, Set), Error> {
        let known = self.seals.wraps();
        if let Some(set) = known.set_of(share) {
            return Ok((known, set));
        }
        // They may have been made on another node.
        self.seals.note(Wraps::load(&*self.storage).await?);
        let known = self.seals.wraps();
        let set = known.set_of(share);
        let set = set.ok_or_else(|| known.stranger(share))?;
        Ok((known, set))
    }

    /// Where there are two sets of shares, the one that was used stays. If that can't be stored now,
    /// both open it as before.
    async fn shares_used(&self, set: Set) {
        if let Err(error) = self.seals.settle_shares(&*self.storage, set, None).await {
            tracing::warn!(%error, "two sets of shares open the store still");
        }
    }

    /// Opens the vault with what people gave and what seals give, if that is enough by now. If not,
    /// it stays sealed, and the seals are asked again by and by.
    async fn open_together(self: &Arc<Self>, sealed: &Sealed) -> Result<(), Error> {
        let people = sealed.part();
        let fetched = match self.seals.fetch(&*self.storage, people.as_ref()).await {
            Ok(fetched) => fetched,
            Err(Error::NoSeal(why)) => {
                tracing::warn!(why, "the shares are right, and more is needed");
                self.seals.wake.notify_one();
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.enter_with(fetched).await?;
        tracing::info!("vault is unsealed");
        Ok(())
    }

    /// Opens the vault with what the seals gave. Where it took several of them, the root key stays
    /// until as many are known to give it without people, and seals that join get their parts.
    pub(super) async fn enter_with(self: &Arc<Self>, fetched: Fetched) -> Result<(), Error> {
        let is_of_parts = !fetched.parts.is_empty();
        let held = HeldRoot {
            key: Arc::new(fetched.root),
            parts: fetched.parts,
        };
        self.enter(held, is_of_parts).await?;
        if !is_of_parts {
            return Ok(());
        }
        if let Err(error) = self.settle().await {
            tracing::warn!(%error, "the seals could not be looked after");
        }
        Ok(())
    }

    /// Forgets the shares given so far.
    pub fn reset_unseal(&self) -> Result<(), Error> {
        match &*self.state() {
            State::Uninit => Err(Error::bad("Vault is not initialized")),
            State::Unsealed(_) => Err(Error::bad("vault is unsealed")),
            State::Sealed(sealed) => {
                sealed.reset();
                Ok(())
            }
        }
    }

    /// Opens the vault with a root key, which where it `keeps` it stays until a seal is known to give
    /// it. The caller holds the lock on changes of the state.
    pub(super) async fn enter(self: &Arc<Self>, root: HeldRoot, keeps: bool) -> Result<(), Error> {
        let joined = self.join(root, keeps).await;
        if joined.is_err() {
            self.leave().await;
        }
        joined
    }

    async fn join(self: &Arc<Self>, root: HeldRoot, keeps: bool) -> Result<(), Error> {
        // Before anything is read: what changes from here on is heard, and other nodes wait for this one.
        let changes = self.storage.watch();
        if let Some(nodes) = self.storage.nodes() {
            nodes.join().await?;
        }
        let fence = Arc::new(Fence::new(self.storage.clone()));
        let barrier = self.barrier(&fence, &root.key).await?;
        let root = keeps.then_some(root);
        let vault = Unsealed::open(self, root, barrier, fence, changes).await?;
        // Before anybody else is served: who asks finds the vault configured.
        if let Err(error) = initialize::run(self, &vault, &self.initialize).await {
            vault.stop();
            return Err(error);
        }
        self.state.store(Arc::new(State::Unsealed(vault)));
        self.seals.wake.notify_one();
        Ok(())
    }

    /// The keyring and the deks of one moment: a keyring that another node replaces meanwhile opens none
    /// of the deks that are read after.
    async fn barrier(&self, fence: &Arc<Fence>, root: &RootKey) -> Result<Barrier, Error> {
        for _ in 0..TRIES {
            let proven = prove(&*self.storage, root).await?;
            let (keyring, revision) = proven.ok_or(Error::Contended)?;
            let opened = Barrier::open(fence.clone(), keyring, revision).await;
            let stored = self.storage.get(KEYRING).await?;
            if stored.is_some_and(|stored| stored.revision == revision) {
                return opened;
            }
        }
        Err(Error::Contended)
    }
}

/// What the shares hold does not open the keyring, though it is whole: they are of two times.
fn apart() -> Error {
    Error::corrupt(format!(
        "{KEYRING} (or {}: the two are of different root keys, and a snapshot restores both)",
        shares_key()
    ))
}
