//! Another store in the place of this one, in one step.

use std::sync::Arc;

use super::{Core, Sealed, State, Wraps};
use crate::barrier::KEYRING;
use crate::error::Error;
use crate::ports::storage::{Staged, StorageError};

impl Core {
    /// Adopts what is staged: one commit. After it the vault is sealed, and what opens the new store
    /// opens it. An error changes nothing, but for [`StorageError::Unknown`]: then the vault is
    /// sealed too, over the old store or the new one.
    pub(crate) async fn replace(&self, staged: Box<dyn Staged>) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        // Who brings the wraps in line does so for the store that it has read.
        let _wraps = self.seals.changing.lock().await;
        let vault = match &*self.state() {
            State::Sealed(_) => return Err(Error::Sealed),
            State::Uninit => None,
            State::Unsealed(vault) => Some(vault.clone()),
        };
        let done = match &vault {
            Some(vault) => vault.fence.replace(staged).await,
            None => staged.adopt().await,
        };
        match done {
            Ok(_) | Err(StorageError::Unknown(_)) => self.look_again().await,
            Err(error) => return Err(error.into()),
        }
        if let Some(vault) = vault {
            Self::retire(vault);
        }
        self.seals.wake.notify_one();
        done?;
        Ok(())
    }

    /// Begins what is to be adopted.
    pub(crate) async fn stage(&self) -> Result<Box<dyn Staged>, Error> {
        Ok(self.storage.stage().await?)
    }

    /// The state that the store is in now: sealed, or not begun.
    async fn look_again(&self) {
        let begun = !matches!(self.storage.get(KEYRING).await, Ok(None));
        let wraps = match begun {
            true => Wraps::load(&*self.storage).await,
            false => Ok(Wraps::default()),
        };
        match wraps {
            Ok(wraps) => self.seals.note(wraps),
            // They are read again when it is opened.
            Err(error) => tracing::error!(%error, "the wraps of the root key can't be read"),
        }
        self.state.store(Arc::new(match begun {
            true => State::Sealed(Arc::<Sealed>::default()),
            false => State::Uninit,
        }));
    }
}
