//! Uninitialised, sealed, unsealed: whole states, swapped at one point.
//!
//! ```text
//!   Uninit ──init──► Sealed ──shares, or a seal──► Unsealed
//!                      ▲                              │
//!                      └─────────────seal─────────────┘
//! ```
//!
//! [`Sealed`] has no barrier, [`Unsealed`] has no shares. A request holds the state it began with;
//! sealing swaps the state and waits until the last request has let go, which wipes the keys.

mod ceremony;
mod dev;
mod feed;
pub(crate) mod fence;
mod init;
mod open;
mod replace;
mod sealed;
mod seals;
mod status;
mod sweep;
mod unsealed;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

pub(crate) use self::ceremony::{
    Backup, Cover, Family, Insider, NewShares, RekeyStatus, Rekeyed, RootTokenStatus, Terms,
    Verification, Verified, uncover,
};
pub use self::dev::DevVault;
pub use self::init::{Initialized, Shares};
pub use self::sealed::{Progress, Sealed};
use self::seals::Set;
pub use self::seals::{
    Assembled, Condition, KnownShare, Rehearsal, Rehearsed, SealConfig, SetTerms, ShamirSeal,
    ShareTerms, Tried, probe,
};
pub(crate) use self::seals::{FOLDER as SEALS, FOREIGN, Seals, Wraps};
pub use self::status::{SealReport, SealStatus, Split};
pub(crate) use self::unsealed::PREFIX;
pub use self::unsealed::Unsealed;
use crate::audit::{AuditConfig, AuditSetup, HeaderSettings};
use crate::barrier::KEYRING;
use crate::clock::Clock;
use crate::error::Error;
use crate::initialize::Stanza;
use crate::lockout::LockoutRules;
use crate::metrics::{Metered, Metrics};
use crate::mounts::Kinds;
use crate::ports::host::Host;
use crate::ports::managed::ManagedKind;
use crate::ports::storage::{Batch, Storage};

/// The layout of the store that this version writes, at [`FORMAT_KEY`].
pub const FORMAT: u32 = 1;
/// Where the layout's number is stored, in clear.
pub const FORMAT_KEY: &str = "core/format";
/// When all nodes were sealed last, RFC 3339, in clear: whoever hears of a change seals.
const SEALED_AT: &str = "core/sealed-at";
/// How long sealing waits for a store to take what is noted and not stored: by mounts of their use,
/// and of new shares that were told.
const SETTLE: Duration = Duration::from_secs(3);
/// How long sealing waits for the other nodes to be told that this one answers nothing more.
const LEAVE: Duration = Duration::from_secs(1);
/// How long sealing waits for requests that are under way.
const DRAIN: Duration = Duration::from_secs(30);

/// What the server gives to core.
pub struct CoreConfig {
    /// The store.
    pub storage: Arc<dyn Storage>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What can be mounted.
    pub kinds: Kinds,
    /// The audit devices, and what may be made.
    pub audit: AuditConfig,
    /// Devices whose keys may be used.
    pub managed: Vec<Arc<dyn ManagedKind>>,
    /// What a new vault is told before it serves.
    pub initialize: Vec<Stanza>,
    /// What opens the store without people.
    pub seals: SealConfig,
    /// What the operator set.
    pub settings: Settings,
}

/// What the operator set, as core uses it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a token lives that asks for nothing.
    pub default_lease_ttl: Duration,
    /// What no token lives longer than.
    pub max_lease_ttl: Duration,
    /// When a name that fails to log in is locked.
    pub lockout: LockoutRules,
    /// How clients reach this server.
    pub api_addr: String,
    /// The version that answers name: a plain semantic version that clients compare.
    pub version: &'static str,
    /// A name for the cluster; one is made up at init where absent.
    pub cluster_name: Option<String>,
    /// Whether `sys/raw` shows the store's records.
    pub raw_storage: bool,
}

/// The vault, in whatever state it is.
pub struct Core {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    kinds: Kinds,
    managed: Vec<Arc<dyn ManagedKind>>,
    audit: AuditConfig,
    initialize: Vec<Stanza>,
    settings: Arc<Settings>,
    pub(crate) counted: Arc<Metrics>,
    host: OnceLock<Arc<dyn Host>>,
    pub(crate) seals: Arc<Seals>,
    state: ArcSwap<State>,
    /// A commit that makes another state of it had an unknown end, and the store could not be read
    /// since.
    unsure: AtomicBool,
    /// Held by whoever changes the state.
    changing: tokio::sync::Mutex<()>,
}

/// One of three whole states.
pub(crate) enum State {
    /// Nothing is stored yet.
    Uninit,
    /// Waiting for shares, or for a seal.
    Sealed(Arc<Sealed>),
    /// Serving.
    Unsealed(Arc<Unsealed>),
}

impl Core {
    /// Looks at the store: uninitialised or sealed. Refuses one that a newer version wrote.
    pub async fn open(config: CoreConfig) -> Result<Arc<Self>, Error> {
        check_format(&*config.storage).await?;
        let (state, wraps) = match config.storage.get(KEYRING).await? {
            None => (State::Uninit, Wraps::default()),
            Some(_) => {
                let wraps = Wraps::load(&*config.storage).await?;
                if wraps.set(Set::Next).is_some() {
                    tracing::warn!(
                        "two sets of shares open this store, as it is not known that the answer of \
                         a rekey was received: the first that is used stays"
                    );
                }
                (State::Sealed(Arc::default()), wraps)
            }
        };
        let counted = Arc::<Metrics>::default();
        let storage = Metered::new(config.storage, counted.storage.clone());
        let seals = Seals::new(config.seals, wraps, config.clock.clone());
        seals.remark();
        Ok(Arc::new(Self {
            storage: Arc::new(storage),
            counted,
            host: OnceLock::new(),
            seals: Arc::new(seals),
            clock: config.clock,
            kinds: config.kinds,
            managed: config.managed,
            audit: config.audit,
            initialize: config.initialize,
            settings: Arc::new(config.settings),
            state: ArcSwap::from_pointee(state),
            unsure: AtomicBool::new(false),
            changing: tokio::sync::Mutex::new(()),
        }))
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// The state for a look that waits for nothing; it counts no references, as every request looks.
    pub(crate) fn peek(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    /// The open vault, or [`Error::Sealed`].
    pub fn unsealed(&self) -> Result<Arc<Unsealed>, Error> {
        match &**self.peek() {
            State::Unsealed(vault) => Ok(vault.clone()),
            State::Uninit | State::Sealed(_) => Err(Error::Sealed),
        }
    }

    /// No keys are in memory.
    pub fn is_sealed(&self) -> bool {
        !matches!(&**self.peek(), State::Unsealed(_))
    }

    /// It has keys, in memory or not.
    pub fn is_initialized(&self) -> bool {
        !matches!(&**self.peek(), State::Uninit)
    }

    /// What the operator set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The store.
    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// What can be mounted.
    pub(crate) fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// The process around it, where it has said so.
    pub(crate) fn host(&self) -> Option<&Arc<dyn Host>> {
        self.host.get()
    }

    /// Tells a vault which process it runs in. The first one counts.
    pub fn attach(&self, host: Arc<dyn Host>) {
        let _first_counts = self.host.set(host);
    }

    /// Seals: from here on nothing is served, and once the requests under way have ended the keys
    /// are wiped. No seal opens it by itself then: a restart does, or people do. Sealed or
    /// uninitialised already is no error.
    pub async fn seal(&self) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let Ok(vault) = self.unsealed() else {
            return Ok(());
        };
        // From memory: a store that does not answer must not keep a vault open.
        let sealed = Arc::new(Sealed::by_hand());
        self.state.store(Arc::new(State::Sealed(sealed)));
        if tokio::time::timeout(SETTLE, vault.settle()).await.is_err() {
            tracing::warn!("the store does not answer: what mounts noted of their use is lost");
        }
        self.retire(vault).await;
        // New shares that were told a moment ago are the shares, for whoever asks next. It is done in
        // any case before anybody is let in.
        let settled = self.seals.settle_told(&*self.storage);
        if !matches!(tokio::time::timeout(SETTLE, settled).await, Ok(Ok(()))) {
            tracing::warn!("two sets of shares open the store still");
        }
        Ok(())
    }

    /// Seals this node and every other on its store. It is done when none of them serves; one that is cut
    /// off does not, once its lease has run out.
    pub async fn seal_all(&self) -> Result<(), Error> {
        let vault = self.unsealed()?;
        let now = self.clock.now().rfc3339();
        let batch = Batch::new().put(SEALED_AT, now);
        crate::barrier::commit(&**vault.barrier.storage(), batch).await?;
        drop(vault);
        self.seal().await
    }

    /// Seals a vault that can't go on among the other nodes. What a seal opens is opened anew, with what
    /// is stored now.
    async fn lose(&self, vault: Arc<Unsealed>) {
        let _changing = self.changing.lock().await;
        if !matches!(&*self.state(), State::Unsealed(open) if Arc::ptr_eq(open, &vault)) {
            return;
        }
        // It is tried again, and told, when the next request comes.
        let _unsure = self.look_again().await;
        self.retire(vault).await;
        self.seals.wake.notify_one();
    }

    /// Has the other nodes wait for this one no longer.
    async fn leave(&self) {
        if let Some(nodes) = self.storage.nodes() {
            // Where it takes longer, the lease runs out.
            let _late = tokio::time::timeout(LEAVE, nodes.leave()).await;
        }
    }

    /// Ends a vault that is not the state any more: its keys are wiped with the last request.
    async fn retire(&self, vault: Arc<Unsealed>) {
        vault.stop();
        self.leave().await;
        let gone = Arc::downgrade(&vault);
        drop(vault);
        // The request that seals holds the vault itself, so the wait must not be its own.
        tokio::spawn(async move {
            let mut waited = Duration::ZERO;
            let step = Duration::from_millis(20);
            while gone.strong_count() > 0 && waited < DRAIN {
                tokio::time::sleep(step).await;
                waited += step;
            }
            match gone.strong_count() {
                0 => tracing::info!("vault is sealed; keys are wiped"),
                n => tracing::error!(requests = n, "vault is sealed; requests still hold keys"),
            }
        });
    }

    /// Before the process ends: see [`Broker::settle`](crate::audit::Broker::settle).
    pub async fn settle_audit(&self) {
        if let Ok(vault) = self.unsealed() {
            vault.audit.settle().await;
        }
    }

    /// Opens the audit devices' media anew; the devices that failed.
    pub fn reopen_audit(&self) -> Vec<(String, std::io::Error)> {
        if let Ok(vault) = self.unsealed() {
            return vault.audit.reopen();
        }
        // One that waits for others is connected when the vault opens.
        let here = |setup: &&AuditSetup| setup.device().waits().is_none();
        let failed = |setup: &AuditSetup| {
            let error = setup.device().reopen().err()?;
            Some((setup.name().to_owned(), error))
        };
        let devices = self.audit.devices.iter();
        devices.filter(here).filter_map(failed).collect()
    }

    /// The request headers that the audit lines want; mostly there are none.
    pub fn audited_headers(&self) -> Option<Arc<HeaderSettings>> {
        match &**self.peek() {
            State::Unsealed(vault) => vault.audit.headers(),
            State::Uninit | State::Sealed(_) => None,
        }
    }
}

async fn check_format(storage: &dyn Storage) -> Result<(), Error> {
    let Some(entry) = storage.get(FORMAT_KEY).await? else {
        return Ok(());
    };
    let text = std::str::from_utf8(&entry.value).ok();
    let found: u32 = text
        .and_then(|t| t.parse().ok())
        .ok_or_else(|| Error::corrupt(FORMAT_KEY))?;
    if found > FORMAT {
        return Err(Error::bad(format!(
            "the store has layout {found}, made by a newer version; this version knows up to \
             {FORMAT}"
        )));
    }
    Ok(())
}
