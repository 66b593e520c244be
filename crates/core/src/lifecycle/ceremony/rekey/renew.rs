//! The one commit of a rekey, and of a rotation of the root key.

use std::sync::Arc;

use keyfold_keys::{RootKey, Share, UnsealKey};

use super::Backup;
use crate::barrier::{json, overtaken};
use crate::error::Error;
use crate::lifecycle::seals::{
    Holds, NEXT, Quorum, Set, ShamirSeal, Tried, Wraps, copy, prove, shares_key,
};
use crate::lifecycle::unsealed::{HeldRoot, ROOT_MADE, Unsealed};
use crate::ports::storage::{Batch, Revision};

/// What the unseal key of the shares holds.
pub(super) enum Held {
    /// The root key.
    Root,
    /// A part of what opens it.
    Part(Share),
    /// Nothing: the shares show who holds them.
    Nothing,
}

/// New shares in the place of the old ones, or beside them.
pub(super) struct Renewal<'a> {
    pub held: &'a Held,
    /// The root key, where the shares gave it just now.
    pub root: Option<RootKey>,
    /// The commit that stored the shares that were shown.
    pub replaces: Option<Revision>,
    /// Those shares stay beside the new ones, with their unseal key.
    pub beside: Option<(Set, &'a UnsealKey)>,
    /// The new unseal key, and the record of its shares.
    pub new: (&'a UnsealKey, &'a ShamirSeal),
    /// With a new root key.
    pub new_root: bool,
    /// What is kept of the new shares.
    pub backup: Option<&'a Backup>,
}

/// What came of it.
pub(super) struct Renewed {
    /// The old shares open too, for [`Seals::settle_shares`](crate::lifecycle::seals::Seals::settle_shares):
    /// the commit that stored the new ones.
    pub unsettled: Option<Revision>,
    /// Seals that were away, and have no wrap of the new root key yet.
    pub away: Vec<String>,
}

/// What a record of shares is to hold from now on.
struct Content<'a> {
    held: &'a Held,
    root: Option<&'a RootKey>,
    /// The new split and the share holders' part of it.
    split: Option<&'a (Quorum, Share)>,
    wraps: &'a Wraps,
}

impl Held {
    pub(super) fn of(tried: Tried) -> (Self, Option<RootKey>) {
        match tried {
            Tried::Opens(root) => (Self::Root, Some(root)),
            Tried::Part(part) => (Self::Part(part), None),
            Tried::Proves | Tried::Wrong => (Self::Nothing, None),
        }
    }
}

impl Content<'_> {
    fn holds(&self) -> Result<Holds<'_>, Error> {
        let lost = || Error::Bug("a part is none");
        match (self.held, self.split, self.root) {
            (Held::Nothing, ..) => Ok(Holds::Nothing),
            (Held::Part(_), Some((quorum, part)), _) => {
                let of = quorum.membership(part)?;
                Ok(Holds::Part(copy(part).ok_or_else(lost)?, of))
            }
            (Held::Part(part), None, _) => {
                let quorum = self.wraps.quorum.as_ref().ok_or_else(lost)?;
                let of = quorum.record.membership(part)?;
                Ok(Holds::Part(copy(part).ok_or_else(lost)?, of))
            }
            (Held::Root, _, Some(root)) => Ok(Holds::Root(root)),
            (Held::Root, _, None) => Err(Error::Bug("the root key is not at hand")),
        }
    }
}

impl Unsealed {
    /// Stores new shares: one commit.
    pub(super) async fn renew(&self, mut renewal: Renewal<'_>) -> Result<Renewed, Error> {
        let storage = &**self.barrier.storage();
        let shown = renewal.root.is_some();
        let root = match (renewal.new_root, renewal.root.take(), renewal.held) {
            (true, ..) => Some(Arc::new(RootKey::generate())),
            (false, Some(root), _) => Some(Arc::new(root)),
            (false, None, Held::Root) => Some(self.root().await?),
            (false, None, _) => None,
        };
        let _alone = self.seals.changing.lock().await;
        let wraps = Wraps::load(storage).await?;
        if was_replaced(&wraps, renewal.replaces) {
            return Err(Error::Contended);
        }
        let anew = match root.as_deref().filter(|_| renewal.new_root) {
            Some(root) => {
                let people = !matches!(renewal.held, Held::Nothing);
                Some(self.seals.wrap_anew(root, people, &wraps).await?)
            }
            None => None,
        };
        let (batch, split, parts, fetchable, away) = match anew {
            Some(anew) => (
                anew.batch,
                anew.people,
                anew.parts,
                anew.fetchable,
                anew.away,
            ),
            None => Default::default(),
        };
        if let Some(root) = root.as_deref().filter(|_| !renewal.new_root)
            && prove(storage, root).await?.is_none()
        {
            // What was fetched may have been rotated meanwhile; what the shares of today hold, not.
            return Err(match shown {
                true => Error::corrupt(shares_key()),
                false => Error::Contended,
            });
        }
        let content = Content {
            held: renewal.held,
            root: root.as_deref(),
            split: split.as_ref(),
            wraps: &wraps,
        };
        let batch = shares(batch, &renewal, &content)?;
        let batch = match renewal.backup {
            Some(backup) => backup.keep(self, batch)?,
            None => batch,
        };
        match root.filter(|_| renewal.new_root) {
            Some(key) => {
                let root = HeldRoot { key, parts };
                self.change_root(root, batch, fetchable).await?;
            }
            None => drop(storage.commit(batch).await.map_err(overtaken)?),
        }
        let wraps = Wraps::load(storage).await?;
        let next = wraps.set(Set::Next).map(|kept| kept.revision);
        self.seals.note(wraps);
        match next {
            Some(_) => tracing::warn!(
                "new shares were made: both sets open the store until the answer with the new ones \
                 was written out, or one of them is used"
            ),
            None => tracing::warn!("the shares were replaced: the old ones open nothing"),
        }
        Ok(Renewed {
            unsettled: next,
            away,
        })
    }

    /// The keyring under another root key, in the commit that stores the wraps of that.
    async fn change_root(
        &self,
        root: HeldRoot,
        batch: Batch,
        fetchable: bool,
    ) -> Result<(), Error> {
        let turn = self.mounts.turn().await?;
        let made = Batch::new().put(ROOT_MADE, self.clock.now().rfc3339());
        let batch = turn.demanded(batch.and(self.system.sealed(made)?));
        self.barrier.rewrap(&root.key, batch).await?;
        match self.held_root() {
            None if fetchable => drop(root),
            _ => self.keep_root(root),
        }
        // Seals that were away get their wraps as those do that join.
        self.seals.wake.notify_one();
        tracing::warn!("the root key was rotated");
        Ok(())
    }

    /// A new root key, where no people are needed for its wraps: shares that open the store can't be
    /// given a new one without them, as their unseal key is kept nowhere.
    /// The seals that were away, and have no wrap of it yet.
    pub(crate) async fn rotate_root(&self) -> Result<Vec<String>, Error> {
        let root = Arc::new(RootKey::generate());
        let storage = &**self.barrier.storage();
        self.seals.settle_told(storage).await?;
        let _alone = self.seals.changing.lock().await;
        let wraps = Wraps::load(storage).await?;
        if wraps.next.is_some() {
            // They may wrap the root key that is about to go.
            return Err(Error::bad(
                "there are two sets of shares, as it is not known whether the new ones were told: \
                 use one of them first, at `sys/generate-root` for one",
            ));
        }
        if wraps.shares_open() {
            return Err(Error::bad(
                "the shares open this store, and their wrap of the root key can't be made anew \
                 without their holders: `sys/rotate/root/init` rotates it with them",
            ));
        }
        let anew = self.seals.wrap_anew(&root, false, &wraps).await?;
        let root = HeldRoot {
            key: root,
            parts: anew.parts,
        };
        self.change_root(root, anew.batch, anew.fetchable).await?;
        self.seals.note(Wraps::load(storage).await?);
        Ok(anew.away)
    }
}

/// Whether the shares that are to be replaced, or that there were none, are of the past.
pub(super) fn was_replaced(wraps: &Wraps, shown: Option<Revision>) -> bool {
    let known = [Set::Today, Set::Next].map(|set| wraps.set(set).map(|kept| kept.revision));
    match shown {
        Some(_) => !known.contains(&shown),
        None => wraps.shares.is_some(),
    }
}

/// Adds the records of the shares.
fn shares(batch: Batch, renewal: &Renewal<'_>, content: &Content<'_>) -> Result<Batch, Error> {
    let wraps = content.wraps;
    let key = shares_key();
    let batch = match &wraps.shares {
        Some(kept) => batch.unchanged(key.clone(), kept.revision),
        None => batch.absent(key.clone()),
    };
    let (unseal, record) = renewal.new;
    let new = record.holding(unseal, content.holds()?)?;
    let Some((set, old_unseal)) = renewal.beside else {
        let gone = [&wraps.next, &wraps.shares].into_iter().flatten();
        let new = gone.fold(new, |new, gone| new.instead_of(&gone.record));
        let batch = batch.put(key, json(&new)?);
        return Ok(match wraps.next {
            Some(_) => batch.delete(NEXT),
            None => batch,
        });
    };
    let old = wraps.set(set).ok_or(Error::Contended)?;
    let old = match renewal.new_root {
        true => old.record.holding(old_unseal, content.holds()?)?,
        false => old.record.clone(),
    };
    // Of two sets that were there, that of which none was shown goes.
    let old = match wraps.set(set.other()) {
        Some(gone) => old.instead_of(&gone.record),
        None => old,
    };
    Ok(batch.put(key, json(&old)?).put(NEXT, json(&new)?))
}
