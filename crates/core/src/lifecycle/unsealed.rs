//! An open vault: the keys, and all that is reached through them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyfold_keys::{RootKey, Share};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::ceremony::Ceremonies;
use super::fence::Fence;
use super::seals::copy;
use super::{Core, Seals, Settings};
use crate::audit::Broker;
use crate::barrier::{Barrier, Rotated, SYSTEM, View};
use crate::clock::{Clock, Time};
use crate::cors::{self, Cors};
use crate::error::Error;
use crate::identity::{Identity, Standing};
use crate::initialize;
use crate::kept::Kept;
use crate::lockout::Locks;
use crate::managed::ManagedKeys;
use crate::mounts::{self, Mounts};
use crate::passwords::PasswordPolicies;
use crate::policies::Policies;
use crate::policy::Acl;
use crate::ports::storage::{Batch, Change};
use crate::quotas::Quotas;
use crate::renewal::Renewals;
use crate::rotation::Rotation;
use crate::snapshot;
use crate::sys::versions;
use crate::tokens::{self, Token, Tokens};

/// Where core's own records lie.
pub(super) const PREFIX: &str = "sys/";
const CLUSTER: &str = "cluster";
/// How often a rotation of the kek is tried while the root key is rotated beside it.
const ROTATE_TURNS: usize = 3;
/// When the root key was made, RFC 3339.
pub(super) const ROOT_MADE: &str = "root-key";
/// One node sweeps at a time; the lock outlives a sweep by far and ends with the process.
const SWEEP_LOCK: (&str, Duration) = ("expiry", Duration::from_secs(30));

/// Everything that an unsealed server has.
pub struct Unsealed {
    /// The encrypted store.
    pub barrier: Arc<Barrier>,
    /// Core's own records.
    pub system: View,
    /// Keys that lie in devices.
    pub managed: Arc<ManagedKeys>,
    /// What is mounted where.
    pub mounts: Arc<Mounts>,
    /// Service tokens.
    pub tokens: Tokens,
    /// Policies.
    pub policies: Policies,
    /// Entities and groups.
    pub identity: Identity,
    /// Names that fail to log in.
    pub locks: Locks,
    /// Password policies.
    pub passwords: PasswordPolicies,
    /// The audit log.
    pub audit: Broker,
    /// Which web pages may call.
    pub(crate) cors: Kept<Cors>,
    /// Rate limits.
    pub quotas: Quotas,
    /// When the kek is rotated by itself.
    pub rotation: Rotation,
    /// Deks that are being rotated.
    pub(crate) renewals: Renewals,
    /// What the operator set.
    pub settings: Arc<Settings>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who we are.
    pub cluster: Cluster,
    pub(super) seals: Arc<Seals>,
    /// What share holders are at.
    pub(super) ceremonies: Ceremonies,
    /// What the barrier stands on.
    pub(super) fence: Arc<Fence>,
    /// While no seal is known to give it without people.
    root: Mutex<Option<HeldRoot>>,
    stopping: AtomicBool,
}

/// A root key that is in memory, with what a seal that joins is made a part of.
pub(super) struct HeldRoot {
    pub key: Arc<RootKey>,
    /// Parts that open it together, where it takes several ways.
    pub parts: Vec<Share>,
}

/// The cluster's name and id, made at init.
#[derive(Clone, Serialize, Deserialize)]
pub struct Cluster {
    /// For people.
    pub name: String,
    /// A UUID.
    pub id: String,
}

impl Cluster {
    pub(super) fn store(&self, batch: Batch) -> Result<Batch, Error> {
        Ok(batch.put(CLUSTER, crate::barrier::json(self)?))
    }
}

impl Unsealed {
    /// Reads all that is needed to serve. Any failure leaves the server sealed.
    pub(super) async fn open(
        core: &Core,
        root: Option<HeldRoot>,
        barrier: Barrier,
        fence: Arc<Fence>,
    ) -> Result<Arc<Self>, Error> {
        let barrier = Arc::new(barrier);
        let clock = core.clock.clone();
        let system = barrier.view(SYSTEM, PREFIX)?;
        // Before anything is read: what changes from here on is heard.
        let changes = core.storage.watch();
        let damaged = || Error::corrupt(format!("{PREFIX}{CLUSTER}"));
        let (cluster, _) = system.read::<Cluster>(CLUSTER).await?.ok_or_else(damaged)?;
        snapshot::settle(&*core.storage, &system).await?;
        versions::note(&system, core.settings.version, clock.now()).await?;
        let managed = Arc::new(ManagedKeys::new(system.clone(), core.managed.clone()));
        let mounts = Mounts::open(
            system.clone(),
            barrier.clone(),
            core.kinds,
            managed.clone(),
            clock.clone(),
        )
        .await?;
        snapshot::destroyed::settle(&*core.storage, &system, &mounts).await?;
        let tokens = Tokens::open(system.clone(), clock.clone(), mounts.shared()).await?;
        initialize::settle(&system, &tokens).await?;
        let vault = Arc::new(Self {
            policies: Policies::new(system.clone(), clock.clone()),
            identity: Identity::open(system.clone(), clock.clone()).await?,
            passwords: PasswordPolicies::new(system.clone()),
            cors: cors::kept(system.clone()),
            quotas: Quotas::new(system.clone()),
            rotation: Rotation::new(system.clone()),
            renewals: Renewals::default(),
            audit: Broker::open(&system, core.audit.clone()).await?,
            locks: Locks::default(),
            settings: core.settings.clone(),
            barrier,
            system,
            managed,
            mounts,
            tokens,
            clock,
            cluster,
            seals: core.seals.clone(),
            ceremonies: Ceremonies::default(),
            fence,
            root: Mutex::new(root),
            stopping: AtomicBool::new(false),
        });
        tokio::spawn(follow(Arc::downgrade(&vault), changes));
        tokio::spawn(sweep(Arc::downgrade(&vault)));
        vault.resume_renewals().await?;
        Ok(vault)
    }

    /// What a token may do: by its own policies, and by those of its entity and the entity's
    /// groups.
    pub async fn acl(&self, token: &Token) -> Result<Arc<Acl>, Error> {
        let standing = self.identity.of_token(token).await?;
        self.acl_with(token, standing.as_deref()).await
    }

    /// The same, where it is known whom the token acts for.
    pub async fn acl_with(
        &self,
        token: &Token,
        standing: Option<&Standing>,
    ) -> Result<Arc<Acl>, Error> {
        match standing {
            None => self.policies.acl(&token.policies).await,
            Some(standing) => standing.acl(&self.policies, &token.policies).await,
        }
    }

    /// Rotates the kek: see [`Barrier::rotate`].
    pub async fn rotate(&self) -> Result<Rotated, Error> {
        for _ in 1..ROTATE_TURNS {
            match self.rotate_once().await {
                Err(Error::Contended) => {}
                ended => return ended,
            }
        }
        self.rotate_once().await
    }

    async fn rotate_once(&self) -> Result<Rotated, Error> {
        // A seal may take its time, and mounting need not wait for it: so the root key may be
        // another one by the time that it is used.
        let root = self.root().await?;
        let _held = self.mounts.hold().await;
        let created = self.clock.now().rfc3339();
        self.barrier.rotate(&root, &created).await
    }

    /// Rotates it where its time has come.
    pub async fn rotate_if_due(&self) -> Result<Option<Rotated>, Error> {
        let (_, created, _) = self.barrier.active_term();
        let now = self.clock.now();
        if !self.rotation.is_due(&created, now).await? {
            return Ok(None);
        }
        match self.rotate().await {
            Ok(rotated) => Ok(Some(rotated)),
            Err(error) => {
                self.rotation.failed(now);
                Err(error)
            }
        }
    }

    /// When the root key was made. Stores of older versions do not tell.
    pub(crate) async fn root_made(&self) -> Result<Option<Time>, Error> {
        let stored = self.system.get(ROOT_MADE).await?;
        let text = stored.and_then(|stored| String::from_utf8(stored.value.into_inner()).ok());
        Ok(text.and_then(|text| Time::parse(&text)))
    }

    /// The root key is in memory.
    pub(crate) fn holds_root(&self) -> bool {
        self.root_slot().is_some()
    }

    /// The root key, where it is in memory.
    pub(super) fn held_root(&self) -> Option<Arc<RootKey>> {
        self.root_slot().as_ref().map(|held| held.key.clone())
    }

    /// The parts that opened it, where it is in memory and several ways opened it together.
    pub(super) fn held_parts(&self) -> Vec<Share> {
        let held = self.root_slot();
        let parts = held.iter().flat_map(|held| &held.parts);
        parts.filter_map(copy).collect()
    }

    /// Keeps the root key in memory: no seal is known to give it.
    pub(super) fn keep_root(&self, root: HeldRoot) {
        *self.root_slot() = Some(root);
    }

    /// Wipes the root key: a seal gives it again.
    pub(super) fn drop_root(&self) {
        if self.root_slot().take().is_some() {
            tracing::info!("the root key left memory: a seal gives it when it is needed");
        }
    }

    fn root_slot(&self) -> std::sync::MutexGuard<'_, Option<HeldRoot>> {
        // It is there or not after every operation.
        self.root.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot has taken the place of the store that this was opened on.
    pub(crate) fn is_replaced(&self) -> bool {
        self.fence.is_closed()
    }

    /// Ends the background tasks.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// The background tasks are to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn heard(&self, change: &Change) {
        for key in &change.keys {
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
}

/// Drops from the caches what the store says has changed.
async fn follow(vault: std::sync::Weak<Unsealed>, mut changes: broadcast::Receiver<Change>) {
    loop {
        let change = changes.recv().await;
        let Some(vault) = vault.upgrade() else { return };
        match change {
            Ok(change) if change.replaced => vault.missed(),
            Ok(change) => vault.heard(&change),
            Err(RecvError::Lagged(_)) => vault.missed(),
            Err(RecvError::Closed) => return,
        }
        vault.audit.refresh().await;
    }
}

/// Revokes what expires, and once clears what removed mounts left.
async fn sweep(vault: std::sync::Weak<Unsealed>) {
    let mut cleared = false;
    loop {
        let Some(open) = vault.upgrade() else { return };
        if open.is_stopping() {
            return;
        }
        let storage = open.barrier.storage().clone();
        let (name, ttl) = SWEEP_LOCK;
        match storage.lock(name, ttl).await {
            Ok(Some(_lock)) => {
                if let Err(error) = open.tokens.finish_revocations().await {
                    tracing::warn!(%error, "trees of revoked tokens remain");
                }
                if let Err(error) = open.tokens.remove_disowned().await {
                    tracing::warn!(%error, "tokens of removed auth methods remain stored");
                }
                if let Err(error) = open.tokens.finish_prefixes().await {
                    tracing::warn!(%error, "leases of revoked paths remain");
                }
                if let Err(error) = open.tokens.sweep().await {
                    tracing::warn!(%error, "expired tokens remain stored");
                }
                if let Err(error) = open.identity.sweep().await {
                    tracing::warn!(%error, "members of removed groups remain");
                }
                if let Err(error) = open.tokens.tidy_if_asked().await {
                    tracing::warn!(%error, "tokens were not tidied");
                }
                if let Err(error) = open.policies.sweep().await {
                    tracing::warn!(%error, "expired policies remain stored");
                }
                match open.rotate_if_due().await {
                    Ok(None) => {}
                    Ok(Some(Rotated { term, deks })) => {
                        tracing::info!(term, deks, "the kek was rotated: its time had come");
                    }
                    Err(error) => tracing::warn!(%error, "the kek was not rotated in time"),
                }
                drop(open);
                if !std::mem::replace(&mut cleared, true)
                    && let Err(error) = mounts::clear_noise(&*storage).await
                {
                    tracing::warn!(%error, "records of removed mounts remain");
                }
            }
            Ok(None) => drop(open),
            Err(error) => {
                drop(open);
                tracing::warn!(%error, "no sweep of expired tokens");
            }
        }
        // Neither the vault nor its store may be held for the time of a nap.
        drop(storage);
        tokio::time::sleep(tokens::expiry::EVERY).await;
    }
}
