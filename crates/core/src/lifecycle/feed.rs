//! What the store tells of its changes. The caches drop what a change touched; where several nodes share
//! the store, this one does what another has done to keys and mounts, and says so when it has.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::{Core, SEALED_AT, SEALS, Unsealed, Wraps};
use crate::barrier::{DEKS, KEYRING};
use crate::error::Error;
use crate::mounts::Mounts;
use crate::ports::storage::Change;

/// The pause before what failed is tried again. Meanwhile this node's lease runs out.
const AGAIN: Duration = Duration::from_millis(100);
/// How long audit devices that another node made may take.
const DEVICES: Duration = Duration::from_secs(1);
/// How often it is looked whether an older version of a dek is out of use.
const LOOK: Duration = Duration::from_millis(5);

/// Follows until the vault is gone.
pub(super) async fn follow(core: Weak<Core>, vault: Weak<Unsealed>, mut changes: Receiver<Change>) {
    loop {
        let change = changes.recv().await;
        let (Some(core), Some(vault)) = (core.upgrade(), vault.upgrade()) else {
            return;
        };
        let (touched, revision) = match &change {
            Ok(change) if change.replaced => (None, Some(change.revision)),
            Ok(change) => (Some(&*change.keys), Some(change.revision)),
            Err(RecvError::Lagged(_)) => (None, None),
            Err(RecvError::Closed) => return,
        };
        let told_to_seal = touched.is_some_and(|keys| keys.iter().any(|key| key == SEALED_AT));
        if told_to_seal && core.storage.nodes().is_some() {
            tracing::warn!("another node has sealed all of them");
            drop(vault);
            // Sealing fails in no way that leaves it open.
            let _sealed = core.seal().await;
            return;
        }
        match touched {
            Some(keys) => vault.heard(keys),
            None => vault.missed(),
        }
        if core.storage.nodes().is_some() && !vault.kept_up(&core, touched).await {
            core.lose(vault).await;
            return;
        }
        // Who makes a device waits for the other nodes, and may be waited for here.
        let _late = tokio::time::timeout(DEVICES, vault.audit.refresh()).await;
        if let (Some(nodes), Some(revision)) = (core.storage.nodes(), revision) {
            nodes.applied(revision);
        }
    }
}

impl Unsealed {
    fn heard(&self, keys: &[String]) {
        for key in keys {
            if let Some(key) = self.system.relative(key) {
                self.tokens.invalidate(key);
                self.policies.invalidate(key);
                self.audit.invalidate(key);
                self.identity.invalidate(key);
                self.cors.invalidate(key);
                self.quotas.invalidate(key);
                self.rotation.invalidate(key);
            } else {
                self.mounts.invalidate(key);
            }
        }
    }

    fn missed(&self) {
        self.tokens.invalidate_all();
        self.policies.invalidate_all();
        self.audit.invalidate_all();
        self.identity.invalidate_all();
        self.cors.forget();
        self.quotas.invalidate_all();
        self.rotation.forget();
        self.mounts.invalidate_all();
    }

    /// Does with keys and mounts what another node has done, until it is done; `None` for touched keys
    /// stands for all of them. False where this node can't go on.
    async fn kept_up(self: &Arc<Self>, core: &Core, touched: Option<&[String]>) -> bool {
        loop {
            if self.is_stopping() || self.is_replaced() {
                return true;
            }
            match self.keep_up(core, touched).await {
                Ok(kept) => return kept,
                Err(error @ (Error::Corrupt(_) | Error::BadRequest(_))) => {
                    tracing::error!(%error, "what another node did can't be followed");
                    return false;
                }
                Err(error) => tracing::warn!(%error, "what another node did is not followed yet"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn keep_up(
        self: &Arc<Self>,
        core: &Core,
        touched: Option<&[String]>,
    ) -> Result<bool, Error> {
        let touches =
            |is: &dyn Fn(&str) -> bool| touched.is_none_or(|keys| keys.iter().any(|key| is(key)));
        // First: it opens the deks.
        if touches(&|key| key == KEYRING)
            && !self.barrier.follow_keyring().await?
            && !self.follow_with_root().await?
        {
            tracing::error!("the keyring was changed while this node was away");
            return Ok(false);
        }
        if let Some(root) = self.held_root()
            && touches(&|key| key == KEYRING)
            && !self.barrier.is_under(&root).await?
        {
            tracing::info!("another node has rotated the root key");
            self.drop_root();
        }
        for uuid in self.touched_deks(touched).await? {
            self.barrier.follow_deks(&uuid).await?;
            self.out_of_use(&uuid).await;
        }
        let is_mount = |key: &str| self.system.relative(key).is_some_and(Mounts::is_record);
        if touches(&is_mount) {
            self.mounts.reload().await?;
        }
        if touches(&|key| key.starts_with(SEALS)) {
            core.seals.note(Wraps::load(&*core.storage).await?);
        }
        // Last: what sealed before is out of use here by now.
        self.take_up_renewals(touched).await?;
        Ok(true)
    }

    /// With the root key, where it is in memory or a seal gives it.
    async fn follow_with_root(&self) -> Result<bool, Error> {
        let Ok(root) = self.root().await else {
            return Ok(false);
        };
        match self.barrier.follow_keyring_with(&root).await {
            Ok(()) => Ok(true),
            Err(Error::Contended) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The mounts whose deks were touched.
    async fn touched_deks(&self, touched: Option<&[String]>) -> Result<BTreeSet<String>, Error> {
        let Some(keys) = touched else {
            let names = self.barrier.storage().list(DEKS, "", 0).await?.names;
            let uuids = names.iter().filter_map(|name| name.strip_suffix('/'));
            return Ok(uuids.map(str::to_owned).collect());
        };
        let uuids = keys.iter().filter_map(|key| {
            let (uuid, _) = key.strip_prefix(DEKS)?.split_once('/')?;
            Some(uuid.to_owned())
        });
        Ok(uuids.collect())
    }

    /// Waits until nothing that an older version of a dek has sealed is on its way to the store: who
    /// made the new one counts on it.
    async fn out_of_use(&self, uuid: &str) {
        let is_used = || self.barrier.deks(uuid).is_ok_and(|deks| !deks.is_settled());
        while is_used() && !self.is_stopping() {
            tokio::time::sleep(LOOK).await;
        }
    }
}
