//! An open vault: the keys, and all that is reached through them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use keyfold_keys::{RootKey, Share};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;

use super::ceremony::Ceremonies;
use super::fence::Fence;
use super::seals::copy;
use super::{Core, Seals, Settings, feed, sweep};
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
use crate::mounts::Mounts;
use crate::passwords::PasswordPolicies;
use crate::policies::Policies;
use crate::policy::Acl;
use crate::ports::storage::{Batch, Change};
use crate::quotas::Quotas;
use crate::renewal::Renewals;
use crate::rotation::Rotation;
use crate::snapshot;
use crate::sys::versions;
use crate::tokens::{Token, Tokens};

/// Where core's own records lie.
pub(crate) const PREFIX: &str = "sys/";
const CLUSTER: &str = "cluster";
/// How often a rotation of the kek is tried while the root key is rotated beside it.
const ROTATE_TURNS: usize = 3;
/// When the root key was made, RFC 3339.
pub(super) const ROOT_MADE: &str = "root-key";

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
    /// Reads all that is needed to serve, while it is heard what changes. Any failure leaves the server
    /// sealed.
    pub(super) async fn open(
        core: &Arc<Core>,
        root: Option<HeldRoot>,
        barrier: Barrier,
        fence: Arc<Fence>,
        changes: Receiver<Change>,
    ) -> Result<Arc<Self>, Error> {
        let barrier = Arc::new(barrier);
        let clock = core.clock.clone();
        let system = barrier.view(SYSTEM, PREFIX)?;
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
        tokio::spawn(feed::follow(
            Arc::downgrade(core),
            Arc::downgrade(&vault),
            changes,
        ));
        tokio::spawn(sweep::sweep(Arc::downgrade(&vault)));
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
        let turn = self.mounts.turn().await?;
        let (created, demands) = (self.clock.now().rfc3339(), turn.demanded(Batch::new()));
        self.barrier.rotate(&root, &created, demands).await
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
}
