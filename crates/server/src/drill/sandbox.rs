//! A vault of its own, over a store in a folder that goes with it.

use std::sync::Arc;

use keyfold_core::Core;
use keyfold_core::lifecycle::SealConfig;

use super::DrillError;
use crate::config::{Config, Listener, Tcp};
use crate::folder::Folder;
use crate::{idle, wiring};

/// Holds the store.
pub struct Sandbox {
    core: Arc<Core>,
    folder: Folder,
}

impl Sandbox {
    /// An empty store, with the seals of a configuration.
    pub async fn open(config: Option<&Config>) -> Result<Self, DrillError> {
        let folder = Folder::make("keyfold-drill")?;
        let path = folder.path().join("store.redb");
        let path = path.to_string_lossy();
        let listener = Listener::Tcp(Tcp::plain("127.0.0.1:0"));
        let defaults = Config::embedded("redb", &[("path", &path)], listener);
        let seals = match config {
            Some(config) => wiring::seals_of_command(config)?,
            None => SealConfig::default(),
        };
        let storage = wiring::storage(&defaults, "").await?;
        let core = idle::open(storage, seals, &defaults);
        Ok(Self {
            core: core.await?,
            folder,
        })
    }

    /// The vault.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Wipes the keys, then removes the store.
    pub async fn close(self) {
        let Self { core, folder } = self;
        if let Err(error) = core.seal().await {
            tracing::warn!(%error, "the sandbox was not sealed");
        }
        drop(core);
        drop(folder);
    }
}
