//! The first commit of a store, and the way from shares to an open vault.

use std::sync::Arc;

use keyfold_keys::{Keyring, RootKey, Share, UnsealKey, Wrapped, Wraps};
use keyfold_secret::Secret;

use super::seal::ShamirSeal;
use super::sealed::{Sealed, Step};
use super::unsealed::{Cluster, PREFIX, Unsealed};
use super::{Core, FORMAT, FORMAT_KEY, State};
use crate::audit::Broker;
use crate::barrier::{Barrier, FirstKeys, KEYRING};
use crate::error::Error;
use crate::id;
use crate::identity::Identity;
use crate::initialize;
use crate::mounts::Mounts;
use crate::policies::Policies;
use crate::ports::storage::{Batch, StorageError};
use crate::tokens::{NewToken, Tokens};

/// How the unseal key is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Shares that are handed out, 1 to 255.
    pub shares: u8,
    /// Shares that open, at most as many.
    pub threshold: u8,
}

impl Shares {
    /// Checks the numbers of a request.
    pub fn new(shares: i64, threshold: i64) -> Result<Self, Error> {
        let wrong = |what: &str| Err(Error::bad(format!("invalid seal configuration: {what}")));
        if shares < 1 {
            return wrong("shares must be at least one");
        }
        let Ok(count) = u8::try_from(shares) else {
            return wrong("shares must be less than 256");
        };
        if threshold < 1 {
            return wrong("threshold must be at least one");
        }
        if shares > 1 && threshold == 1 {
            return wrong("threshold must be greater than one for multiple shares");
        }
        match u8::try_from(threshold) {
            Ok(threshold) if threshold <= count => Ok(Self {
                shares: count,
                threshold,
            }),
            _ => wrong("threshold cannot be larger than shares"),
        }
    }
}

/// What init tells, once.
pub struct Initialized {
    /// The shares.
    pub shares: Vec<Share>,
    /// The first root token.
    pub root_token: Secret<String>,
}

impl Core {
    /// Starts a store: keys, first records and root token in one commit.
    pub async fn init(
        &self,
        split: Shares,
        root_token: Option<Secret<String>>,
    ) -> Result<Initialized, Error> {
        let _changing = self.changing.lock().await;
        if !matches!(*self.state(), State::Uninit) {
            return Err(Error::bad("Vault is already initialized"));
        }
        let now = self.clock.now();
        let unseal = UnsealKey::generate();
        let root = RootKey::generate();
        let seal = ShamirSeal::new(&unseal, &root, split.shares, split.threshold)?;
        let shares = unseal
            .split(split.shares, split.threshold)
            .map_err(|_| Error::Bug("a checked split was refused"))?;

        let first = FirstKeys::new(&now.rfc3339());
        let system = first.view(&self.storage, PREFIX);
        let cluster = Cluster {
            name: self
                .settings
                .cluster_name
                .clone()
                .unwrap_or_else(cluster_name),
            id: id::uuid(),
        };
        let records = Broker::first(Mounts::first(cluster.store(Batch::new())?)?);
        let records = Identity::first(Policies::first(records, now)?);
        let (tokens, records) = Tokens::first(system.clone(), self.clock.clone(), records);
        let (_, root_token, records) = tokens.prepare(NewToken::root(root_token), records)?;
        let records = initialize::note(&self.initialize, records)?;
        let batch = first.store(&root, system.sealed(records)?)?;
        let batch = seal
            .store(batch)?
            .absent(FORMAT_KEY)
            .put(FORMAT_KEY, FORMAT.to_string());
        match self.storage.commit(batch).await {
            Ok(_) => {}
            // Another node on the same store was first.
            Err(StorageError::Conflict(_)) => {
                return Err(Error::bad("Vault is already initialized"));
            }
            Err(error) => return Err(error.into()),
        }
        self.state
            .store(Arc::new(State::Sealed(Arc::new(Sealed::new(seal)))));
        Ok(Initialized { shares, root_token })
    }

    /// Takes a share. With the last one the vault opens; a wrong set is a 400 and all shares have
    /// to be given again.
    pub async fn unseal(self: &Arc<Self>, share: Share) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let state = self.state();
        let sealed = match &*state {
            State::Uninit => return Err(Error::bad("Vault is not initialized")),
            State::Unsealed(_) => return Ok(()),
            State::Sealed(sealed) => sealed,
        };
        let Step::Enough(unseal) = sealed.give(share)? else {
            return Ok(());
        };
        let root = sealed.seal.open(&unseal)?.ok_or_else(|| {
            Error::bad(
                "unable to retrieve stored keys: invalid key: failed to decrypt keys from \
                 storage: cipher: message authentication failed",
            )
        })?;
        drop(unseal);
        let damaged = || Error::corrupt(KEYRING);
        let entry = self.storage.get(KEYRING).await?.ok_or_else(damaged)?;
        let wrapped = Wrapped::<Keyring>::from_bytes(entry.value);
        let keyring = root
            .unwrap(&wrapped, KEYRING.as_bytes())
            .map_err(|_| damaged())?;
        let barrier = Barrier::open(self.storage.clone(), keyring, entry.revision).await?;
        let vault = Unsealed::open(self, sealed.seal.clone(), root, barrier).await?;
        // Before anybody else is served: who asks finds the vault configured.
        if let Err(error) = initialize::run(self, &vault, &self.initialize).await {
            vault.stop();
            return Err(error);
        }
        self.state.store(Arc::new(State::Unsealed(vault)));
        tracing::info!("vault is unsealed");
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
}

fn cluster_name() -> String {
    format!(
        "vault-cluster-{}",
        hex::encode(keyfold_keys::rng::bytes::<4>())
    )
}
