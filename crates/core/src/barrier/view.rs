//! A mount's own storage: its prefix, its dek.

use std::sync::Arc;

use keyfold_secret::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::MountDeks;
use super::deks::Versions;
use super::heard;
use super::turns::Turns;
use crate::error::Error;
use crate::ports::storage::{Batch, Check, Page, Revision, Storage, StorageError};

/// Names that are read at once where they are only counted.
const COUNTED: usize = 10_000;

/// A decrypted record and the commit that wrote it.
pub struct Stored {
    /// What was put.
    pub value: Secret<Vec<u8>>,
    /// For [`Batch::unchanged`].
    pub revision: Revision,
}

/// What an engine sees of the store. Keys are relative to its prefix, values are plaintext: they
/// are sealed on the way down and opened on the way up.
#[derive(Clone)]
pub struct View {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) deks: Arc<MountDeks>,
    pub(super) prefix: Arc<str>,
    turns: Arc<Turns>,
    /// What lies in here is in no node's memory: see [`Batch::quiet`].
    quiet: bool,
    /// Its dek is stored by the batch that is sealed.
    begins: bool,
}

impl View {
    pub(super) fn new(storage: Arc<dyn Storage>, deks: Arc<MountDeks>, prefix: &str) -> Self {
        Self {
            storage,
            deks,
            prefix: prefix.into(),
            turns: Arc::default(),
            quiet: false,
            begins: false,
        }
    }

    /// For the batch that stores its dek.
    pub(super) fn beginning(self) -> Self {
        Self {
            begins: true,
            ..self
        }
    }

    /// The same for records that nobody keeps in memory.
    pub(crate) fn quiet(self) -> Self {
        Self {
            quiet: true,
            ..self
        }
    }

    /// The record at a key.
    pub async fn get(&self, key: &str) -> Result<Option<Stored>, Error> {
        let full = self.full(key);
        let Some(mut entry) = self.storage.get(&full).await? else {
            return Ok(None);
        };
        let value = match self.deks.open(&full, &entry.value) {
            // A rotation of the dek may have ended since it was read: then it is another by now.
            Err(Error::Corrupt(_)) => {
                let Some(again) = self.storage.get(&full).await? else {
                    return Ok(None);
                };
                entry = again;
                self.deks.open(&full, &entry.value)?
            }
            opened => opened?,
        };
        Ok(Some(Stored {
            value,
            revision: entry.revision,
        }))
    }

    /// The record at a key, parsed from JSON.
    pub async fn read<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<(T, Revision)>, Error> {
        let Some(stored) = self.get(key).await? else {
            return Ok(None);
        };
        let parsed = serde_json::from_slice(stored.value.expose())
            .map_err(|_| Error::corrupt(self.full(key)))?;
        Ok(Some((parsed, stored.revision)))
    }

    /// Names directly below a folder (empty, or ending in `/`); see [`Storage::list`].
    pub async fn list(&self, folder: &str, after: &str, limit: usize) -> Result<Page, Error> {
        Ok(self.storage.list(&self.full(folder), after, limit).await?)
    }

    /// How many names lie directly below a folder.
    pub async fn count(&self, folder: &str) -> Result<usize, Error> {
        let (mut count, mut after) = (0, String::new());
        loop {
            let page = self.list(folder, &after, COUNTED).await?;
            count += page.names.len();
            match page.names.into_iter().next_back() {
                Some(last) if page.more => after = last,
                _ => return Ok(count),
            }
        }
    }

    /// Applies a batch of plaintext values. A conflict comes back as [`Error::Storage`]; see
    /// [`Error::is_conflict`]. [`Error::Stale`] where this node was away while the dek that it sealed
    /// with was replaced and destroyed: nothing was stored.
    pub async fn commit(&self, batch: Batch) -> Result<Revision, Error> {
        self.commit_with(batch, Batch::new()).await
    }

    /// The same together with a batch of storage keys.
    pub(crate) async fn commit_with(&self, batch: Batch, more: Batch) -> Result<Revision, Error> {
        // Held until it is stored: see `Versions`.
        let with = self.deks.sealing();
        let batch = self.sealed_by(&with, batch)?.and(more);
        let matters = heard::matters(&*self.storage, &batch);
        let done = self.storage.commit(batch).await;
        let dek = self.deks.newest_key(&with);
        drop(with);
        let revision = done.map_err(|error| match error {
            StorageError::Conflict(key) if Some(&key) == dek.as_ref() => Error::Stale,
            error => error.into(),
        })?;
        if matters {
            heard::wait(&*self.storage, revision).await?;
        }
        Ok(revision)
    }

    /// The batch as it goes to the store: keys in full, values sealed. Core joins batches of
    /// several views into one commit with it, while it holds the lock that excludes a new version
    /// of a dek: see [`Mounts::turn`](crate::mounts::Mounts::turn).
    pub(crate) fn sealed(&self, batch: Batch) -> Result<Batch, Error> {
        self.sealed_by(&self.deks.sealing(), batch)
    }

    fn sealed_by(&self, with: &Versions, batch: Batch) -> Result<Batch, Error> {
        let mut sealed = Batch {
            quiet: self.quiet || batch.quiet,
            ..Batch::new()
        };
        // Of a lease that ends while a commit is on its way the commit knows nothing; of its dek it does.
        if self.storage.nodes().is_some()
            && !self.begins
            && !batch.puts.is_empty()
            && let Some(key) = self.deks.newest_key(with)
        {
            sealed.checks.push(Check::Present(key));
        }
        for check in batch.checks {
            sealed.checks.push(match check {
                Check::Absent(key) => Check::Absent(self.full(&key)),
                Check::Present(key) => Check::Present(self.full(&key)),
                Check::Unchanged(key, revision) => Check::Unchanged(self.full(&key), revision),
                held @ Check::Held(..) => held,
            });
        }
        for (key, value) in batch.puts {
            let full = self.full(&key);
            let value = Secret::new(value);
            let record = self.deks.seal(with, &full, value.expose())?;
            sealed.puts.push((full, record));
        }
        sealed
            .deletes
            .extend(batch.deletes.iter().map(|key| self.full(key)));
        Ok(sealed)
    }

    /// Runs an optimistic read-and-commit of the record that `name` stands for, again when another
    /// node was faster, a few times. Within this process those of one name take turns, so that each
    /// of many gets its own.
    pub async fn change<T, F>(&self, name: &str, attempt: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let _turn = self.turns.take(name).await;
        retry(attempt).await
    }

    /// The key of the view that a storage key stands for, if it lies in here.
    pub fn relative<'a>(&self, storage_key: &'a str) -> Option<&'a str> {
        storage_key.strip_prefix(&*self.prefix)
    }

    pub(crate) fn full(&self, key: &str) -> String {
        [&*self.prefix, key].concat()
    }
}

/// Serialises a record.
pub fn json<T: Serialize>(record: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(record).map_err(|_| Error::Bug("a record does not serialise"))
}

/// How often an optimistic writer tries again before it gives up.
pub const TRIES: usize = 16;

/// Runs an optimistic read until it meets no conflict, a few times: for what takes several records
/// of one moment. What writes goes through [`View::change`].
pub async fn retry<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 0..TRIES {
        match attempt().await {
            Err(error) if error.is_conflict() => {}
            other => return other,
        }
    }
    Err(Error::Contended)
}
