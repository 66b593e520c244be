//! Another store in the place of this one, in one step.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Core, Sealed, State, Wraps};
use crate::barrier::KEYRING;
use crate::error::Error;
use crate::ports::storage::{Staged, StorageError};
use crate::ports::whole::Portion;

impl Core {
    /// Adopts what is staged: one commit, with what `last` takes along from the store that goes, read when
    /// nothing is written to it any more. After it the vault is sealed, and what opens the new store
    /// opens it. An error changes nothing, but for [`StorageError::Unknown`]: then the vault is
    /// sealed too, over the old store or the new one, or has not begun.
    pub(crate) async fn replace(
        &self,
        staged: Box<dyn Staged>,
        last: impl Future<Output = Result<Portion, Error>>,
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        // Who brings the wraps in line does so for the store that it has read.
        let _wraps = self.seals.changing.lock().await;
        let vault = match &*self.state() {
            State::Sealed(_) => return Err(Error::Sealed),
            State::Uninit => None,
            State::Unsealed(vault) => Some(vault.clone()),
        };
        let done = match &vault {
            Some(vault) => vault.fence.replace(staged, last).await,
            None => staged.adopt().await.map_err(Error::from),
        };
        match done {
            Ok(_) | Err(Error::Storage(StorageError::Unknown(_))) => {
                // It is tried again, and told, when the next request comes.
                let _unsure = self.look_again().await;
            }
            Err(error) => return Err(error),
        }
        if let Some(vault) = vault {
            self.retire(vault).await;
        }
        self.seals.wake.notify_one();
        done?;
        Ok(())
    }

    /// Begins what is to be adopted.
    pub(crate) async fn stage(&self) -> Result<Box<dyn Staged>, Error> {
        Ok(self.storage.stage().await?)
    }

    /// Finds out what an unknown end has left, before anything is said or done. An error while the
    /// store can't be read: the next request tries again.
    pub(crate) async fn make_sure(&self) -> Result<(), Error> {
        if !self.is_unsure() {
            return Ok(());
        }
        let _changing = self.changing.lock().await;
        match self.is_unsure() {
            true => self.look_again().await,
            false => Ok(()),
        }
    }

    /// Another node may have begun the store since this one looked.
    pub(crate) async fn notice_begun(&self) -> Result<(), Error> {
        let may_be = self.storage.nodes().is_some() && !self.is_initialized();
        if !may_be || self.storage.get(KEYRING).await?.is_none() {
            return Ok(());
        }
        let _changing = self.changing.lock().await;
        if !self.is_initialized() {
            self.look_again().await?;
            self.seals.wake.notify_one();
        }
        Ok(())
    }

    /// Nobody knows whether the store has begun, or what opens it.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure.load(Ordering::Acquire)
    }

    /// Takes the state that the store is in: sealed, or not begun. Where it can't be read nothing is
    /// served, and the state stays unsure. The caller holds the lock on changes of the state.
    pub(super) async fn look_again(&self) -> Result<(), Error> {
        self.unsure.store(true, Ordering::Release);
        let found = self.found().await;
        let unread = matches!(found, Err(Error::Storage(_)));
        self.state.store(Arc::new(match found {
            Ok(None) => State::Uninit,
            Ok(Some(_)) | Err(_) => State::Sealed(Arc::<Sealed>::default()),
        }));
        let known = found.map(|wraps| self.seals.note(wraps.unwrap_or_default()));
        self.unsure.store(unread, Ordering::Release);
        known
    }

    /// The wraps of a store that has begun.
    async fn found(&self) -> Result<Option<Wraps>, Error> {
        match self.storage.get(KEYRING).await? {
            None => Ok(None),
            Some(_) => Wraps::load(&*self.storage).await.map(Some),
        }
    }
}
