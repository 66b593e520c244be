//! A new term of the keyring, and a new version of a mount's dek.

use std::sync::Arc;

use keyfold_keys::{Dek, Keyring, RootKey, Wrapped, Wraps};

use super::deks::{self, MountDeks};
use super::{Barrier, DEKS, Held, KEYRING, commit, overtaken};
use crate::error::Error;
use crate::ports::storage::Batch;

/// What a rotation of the kek did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// The new term.
    pub term: u32,
    /// Deks wrapped anew.
    pub deks: usize,
}

/// A version of a dek that is about to be stored.
pub(crate) struct NewVersion {
    pub version: u32,
    dek: Dek,
}

impl Barrier {
    /// A new term; every dek wrapped under it; the old term gone: one commit. No record is
    /// touched, so the cost grows with mounts, not with data.
    ///
    /// The caller holds the lock that also covers creating and removing mounts, and `demands` it: a dek
    /// that another node makes meanwhile would stay under the term that goes. Where that was lost, and
    /// where the root key is not today's any more, as somebody rotated it, it is [`Error::Contended`].
    pub async fn rotate(
        &self,
        root: &RootKey,
        created: &str,
        demands: Batch,
    ) -> Result<Rotated, Error> {
        let old = self.current(root).await?;
        let mut new = old.keyring.rotate(created)?;
        for term in old.keyring.terms().map(|info| info.term) {
            if new.kek(term).is_some() {
                new = new.retire(term)?;
            }
        }
        let mut batch = demands
            .unchanged(KEYRING, old.revision)
            .put(KEYRING, root.wrap(&new, KEYRING.as_bytes())?.into_bytes());
        batch = self.hand_over(&old.keyring, &new, batch)?;
        let mut count = 0;
        // All that is stored: of a commit with an unknown end memory knows nothing, and a dek that
        // is left under the old term would never open again.
        for name in self.storage.list(DEKS, "", 0).await?.names {
            let Some(uuid) = name.strip_suffix('/') else {
                continue;
            };
            let known = self.table().get(uuid).map(|mount| mount.all());
            for version in deks::names(&*self.storage, uuid).await? {
                let dek = match known.as_ref().and_then(|known| known.get(&version)) {
                    Some(dek) => dek.clone(),
                    None => {
                        let at = (uuid, version);
                        Arc::new(deks::unwrapped(&*self.storage, &old.keyring, at).await?)
                    }
                };
                let key = MountDeks::key(uuid, version);
                let wrapped = new.active().kek.wrap(&*dek, key.as_bytes())?;
                batch = batch.put(key, wrapped.into_bytes());
                count += 1;
            }
        }
        let revision = commit(&*self.storage, batch).await.map_err(overtaken)?;
        let term = new.active().term;
        self.keyring.store(Arc::new(Held {
            keyring: Arc::new(new),
            revision,
        }));
        self.handed_over().await;
        Ok(Rotated { term, deks: count })
    }

    /// Takes over the keyring that is stored, with the root key: as [`Barrier::rotate`], a root key that
    /// is not today's is [`Error::Contended`].
    pub(crate) async fn follow_keyring_with(&self, root: &RootKey) -> Result<(), Error> {
        self.current(root).await.map(drop)
    }

    /// The root key is the one that the stored keyring is under.
    pub(crate) async fn is_under(&self, root: &RootKey) -> Result<bool, Error> {
        let stored = self.storage.get(KEYRING).await?;
        let stored = stored.map(|entry| Wrapped::<Keyring>::from_bytes(entry.value));
        Ok(stored.is_some_and(|wrapped| root.unwrap(&wrapped, KEYRING.as_bytes()).is_ok()))
    }

    /// The stored keyring, opened with the root key, which shows that it is today's: a keyring under
    /// another one would never open again. It is another than the one that is held after a rotation
    /// whose commit had an unknown end.
    async fn current(&self, root: &RootKey) -> Result<Arc<Held>, Error> {
        let damaged = || Error::corrupt(KEYRING);
        let held = self.keyring.load_full();
        let entry = self.storage.get(KEYRING).await?.ok_or_else(damaged)?;
        let wrapped = Wrapped::<Keyring>::from_bytes(entry.value);
        let keyring = match root.unwrap(&wrapped, KEYRING.as_bytes()) {
            Ok(keyring) => Arc::new(keyring),
            // Somebody else has changed the root key.
            Err(keyfold_keys::Error::WrongKey) => return Err(Error::Contended),
            Err(_) => return Err(damaged()),
        };
        if entry.revision == held.revision {
            return Ok(held);
        }
        let held = Arc::new(Held {
            keyring,
            revision: entry.revision,
        });
        self.keyring.store(held.clone());
        Ok(held)
    }

    /// A further version of a mount's dek: add it to the batch that says what becomes of it, and
    /// give it to [`Barrier::adopt_version`] once that is committed.
    pub(crate) fn new_version(
        &self,
        uuid: &str,
        batch: Batch,
    ) -> Result<(NewVersion, Batch), Error> {
        let next = self.deks(uuid)?.newest().and_then(|v| v.checked_add(1));
        let version = next.ok_or_else(|| Error::bad("the dek has had its last version"))?;
        let dek = Dek::generate();
        let key = MountDeks::key(uuid, version);
        let held = self.keyring.load();
        let wrapped = held.keyring.active().kek.wrap(&dek, key.as_bytes())?;
        let batch = batch
            .unchanged(KEYRING, held.revision)
            .absent(key.clone())
            .put(key, wrapped.into_bytes());
        Ok((NewVersion { version, dek }, batch))
    }

    /// Has a version seal from here on that was stored.
    pub(crate) fn adopt_version(&self, uuid: &str, new: NewVersion) -> Result<(), Error> {
        let mount = self.deks(uuid)?;
        let mut versions = mount.all();
        versions.insert(new.version, Arc::new(new.dek));
        mount.replace(versions);
        Ok(())
    }

    /// Takes over what another node has done to a mount's deks: a new mount, a new version, versions
    /// that are gone.
    pub(crate) async fn follow_deks(&self, uuid: &str) -> Result<(), Error> {
        let mut stored = deks::names(&*self.storage, uuid).await?;
        stored.sort_unstable();
        let known = self.table().get(uuid).cloned();
        let Some(known) = known else {
            if !stored.is_empty() {
                let held = self.keyring.load_full();
                let loaded = MountDeks::load(&*self.storage, &held.keyring, uuid).await?;
                self.adopt(Arc::new(loaded));
            }
            return Ok(());
        };
        // A kek that was rotated wraps the same deks. A mount that is gone keeps its deks as long as it
        // is in the table.
        if stored.is_empty() || known.versions() == stored {
            return Ok(());
        }
        self.reload_versions(uuid).await
    }

    /// Reads the versions of a mount's dek anew: of a commit with an unknown end memory knows
    /// nothing.
    pub(crate) async fn reload_versions(&self, uuid: &str) -> Result<(), Error> {
        let mount = self.deks(uuid)?;
        let held = self.keyring.load_full();
        let versions = deks::stored(&*self.storage, &held.keyring, uuid).await?;
        mount.replace(versions);
        Ok(())
    }

    /// Destroys the versions below one: add to a batch, and [`Barrier::forget_older`] once that is
    /// committed.
    pub(crate) async fn destroy_older(
        &self,
        (uuid, version): (&str, u32),
        batch: Batch,
    ) -> Result<Batch, Error> {
        let mut versions = deks::names(&*self.storage, uuid).await?;
        versions.retain(|old| *old < version);
        let delete = |batch: Batch, old| batch.delete(MountDeks::key(uuid, old));
        Ok(versions.into_iter().fold(batch, delete))
    }

    /// Wipes the versions below one from memory.
    pub(crate) fn forget_older(&self, uuid: &str, version: u32) {
        if let Ok(mount) = self.deks(uuid) {
            let mut versions = mount.all();
            versions.retain(|kept, _| *kept >= version);
            mount.replace(versions);
        }
    }

    /// The deks of a mount.
    pub(crate) fn deks(&self, uuid: &str) -> Result<Arc<MountDeks>, Error> {
        let deks = self.table().get(uuid).cloned();
        deks.ok_or_else(|| Error::corrupt(format!("{DEKS}{uuid}/")))
    }
}
