//! The encrypted store: a keyring over the deks, a dek over each mount's records.
//!
//! ```text
//!   core/keyring              Wrapped<Keyring>, under the root key
//!   core/handover/<term>      Wrapped<Keyring>, under the term before: from one node to the others
//!   core/dek/<uuid>/<version> Wrapped<Dek>, under the keyring's active term
//!   <prefix><key>             record, under the mount's newest dek; AAD = uuid ‖ storage key
//! ```
//!
//! Nothing above this module sees a key; nothing below it sees plaintext.

mod deks;
mod handover;
pub(crate) mod heard;
mod renew;
mod rotation;
mod turns;
mod view;
mod walk;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use keyfold_keys::{Dek, Keyring, RootKey, State, Wraps};

pub use self::deks::MountDeks;
pub(crate) use self::heard::commit;
pub(crate) use self::renew::{Look, Renewed};
pub use self::rotation::Rotated;
pub(crate) use self::view::TRIES;
pub use self::view::{Stored, View, json, retry};
pub(crate) use self::walk::Walk;
use crate::error::Error;
use crate::ports::storage::{Batch, Revision, Storage, StorageError};

/// Where the wrapped keyring is stored.
pub const KEYRING: &str = "core/keyring";
/// Below this, one folder of wrapped deks for each mount.
pub const DEKS: &str = "core/dek/";
/// The name under which core keeps its own dek.
pub const SYSTEM: &str = "00000000-0000-0000-0000-000000000000";

/// The open store of an unsealed server.
pub struct Barrier {
    storage: Arc<dyn Storage>,
    keyring: ArcSwap<Held>,
    deks: Mutex<HashMap<String, Arc<MountDeks>>>,
}

/// The keyring, and the commit that stored it. What wraps a dek demands that it still is the stored
/// one: a dek under a term that somebody else has retired would never open again.
struct Held {
    keyring: Arc<Keyring>,
    revision: Revision,
}

impl Barrier {
    /// Opens with a keyring that was read from [`KEYRING`] at a revision, and unwraps every mount's
    /// deks.
    pub async fn open(
        storage: Arc<dyn Storage>,
        keyring: Keyring,
        revision: Revision,
    ) -> Result<Self, Error> {
        let mut deks = HashMap::new();
        for uuid in storage.list(DEKS, "", 0).await?.names {
            let Some(uuid) = uuid.strip_suffix('/') else {
                continue;
            };
            let loaded = MountDeks::load(&*storage, &keyring, uuid).await?;
            deks.insert(uuid.to_owned(), Arc::new(loaded));
        }
        Ok(Self {
            storage,
            keyring: ArcSwap::from_pointee(Held {
                keyring: Arc::new(keyring),
                revision,
            }),
            deks: Mutex::new(deks),
        })
    }

    /// A view of the records of a mount whose deks exist.
    pub fn view(&self, uuid: &str, prefix: &str) -> Result<View, Error> {
        Ok(View::new(self.storage.clone(), self.deks(uuid)?, prefix))
    }

    /// A first dek for a new mount: add it to the batch that creates the mount, and give it to
    /// [`Barrier::adopt`] once that is committed.
    pub fn new_dek(&self, uuid: &str, batch: Batch) -> Result<(MountDeks, Batch), Error> {
        let dek = Dek::generate();
        let key = MountDeks::key(uuid, 1);
        let held = self.keyring.load();
        let wrapped = held.keyring.active().kek.wrap(&dek, key.as_bytes())?;
        let batch = batch
            .unchanged(KEYRING, held.revision)
            .absent(key.clone())
            .put(key, wrapped.into_bytes());
        Ok((MountDeks::first(uuid, dek), batch))
    }

    /// A view with deks that are not adopted yet.
    pub(crate) fn view_of(&self, deks: Arc<MountDeks>, prefix: &str) -> View {
        View::new(self.storage.clone(), deks, prefix)
    }

    /// Makes the deks of a created mount known.
    pub fn adopt(&self, deks: Arc<MountDeks>) {
        self.table().insert(deks.uuid().to_owned(), deks);
    }

    /// Removes a mount's deks, after which its records are noise: add to the batch that removes
    /// the mount, and [`Barrier::forget`] once that is committed.
    pub async fn destroy(&self, uuid: &str, batch: Batch) -> Result<Batch, Error> {
        // All that is stored: of a commit with an unknown end memory knows nothing.
        let versions = deks::names(&*self.storage, uuid).await?;
        let delete = |batch: Batch, version| batch.delete(MountDeks::key(uuid, version));
        Ok(versions.into_iter().fold(batch, delete))
    }

    /// Drops the deks of a removed mount; views that are still held keep theirs until they go.
    pub fn forget(&self, uuid: &str) {
        self.table().remove(uuid);
    }

    /// Term, time of installation and count of deks under it, for `sys/key-status`.
    pub fn active_term(&self) -> (u32, String, usize) {
        let held = self.keyring.load();
        let active = held.keyring.active();
        let deks = self.table().values().map(|mount| mount.count()).sum();
        (active.term, active.created.clone(), deks)
    }

    /// Every term that is remembered, oldest first: its number, when it was made, its state.
    pub(crate) fn terms(&self) -> Vec<(u32, String, State)> {
        let held = self.keyring.load();
        let terms = held.keyring.terms();
        terms
            .map(|info| (info.term, info.created.to_owned(), info.state))
            .collect()
    }

    /// The same keyring under another root key, in the commit that does the rest of `batch`: the
    /// wraps of that root key.
    ///
    /// The caller holds the lock that also covers creating and removing mounts, and the batch demands it.
    pub(crate) async fn rewrap(&self, root: &RootKey, batch: Batch) -> Result<(), Error> {
        let old = self.keyring.load_full();
        let wrapped = root.wrap(&old.keyring, KEYRING.as_bytes())?;
        let batch = batch
            .unchanged(KEYRING, old.revision)
            .put(KEYRING, wrapped.into_bytes());
        let batch = self.hand_over(&old.keyring, &old.keyring, batch)?;
        let revision = commit(&*self.storage, batch).await.map_err(overtaken)?;
        let keyring = old.keyring.clone();
        self.keyring.store(Arc::new(Held { keyring, revision }));
        self.handed_over().await;
        Ok(())
    }

    /// The store below.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<MountDeks>>> {
        // The table is whole after every operation, so a panic elsewhere does not spoil it.
        self.deks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keyring that is held is not the stored one any more, so nothing was changed.
pub(crate) fn overtaken(error: StorageError) -> Error {
    match error {
        StorageError::Conflict(_) => Error::Contended,
        error => error.into(),
    }
}

/// The keys of a store that is about to begin.
pub struct FirstKeys {
    keyring: Keyring,
    deks: Arc<MountDeks>,
}

impl FirstKeys {
    /// A keyring of one term, and core's own dek.
    pub fn new(created: &str) -> Self {
        let deks = Arc::new(MountDeks::first(SYSTEM, Dek::generate()));
        Self {
            keyring: Keyring::new(created),
            deks,
        }
    }

    /// A view of core's records, for the batch that begins the store.
    pub fn view(&self, storage: &Arc<dyn Storage>, prefix: &str) -> View {
        View::new(storage.clone(), self.deks.clone(), prefix).beginning()
    }

    /// Adds the wrapped keys to that batch.
    pub fn store(&self, root: &RootKey, batch: Batch) -> Result<Batch, Error> {
        let kek = &self.keyring.active().kek;
        let keyring = root.wrap(&self.keyring, KEYRING.as_bytes())?;
        let mut batch = batch.absent(KEYRING).put(KEYRING, keyring.into_bytes());
        for (version, dek) in self.deks.all() {
            let key = MountDeks::key(SYSTEM, version);
            let wrapped = kek.wrap(&*dek, key.as_bytes())?;
            batch = batch.put(key, wrapped.into_bytes());
        }
        Ok(batch)
    }
}
