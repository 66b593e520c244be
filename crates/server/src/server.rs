//! A running server: its vault, its sockets, its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keyfold_core::audit::AuditConfig;
use keyfold_core::clock::SystemClock;
use keyfold_core::lifecycle::{CoreConfig, Settings};
use keyfold_core::{Core, Error};
use tokio::sync::{mpsc, watch};

use crate::config::{Config, ConfigError, Listener};
use crate::host::Process;
use crate::http::listener::{self, Address, Bound, ListenError, ServerPhase as Phase};
use crate::http::tls::Terms;
use crate::http::{Site, Underway};
use crate::{chores, schedule, wiring};

/// The version that clients are told: that of the API which is served. Tools compare it with the
/// releases of the servers they know, and take a lower one for one that lacks calls.
const API_VERSION: &str = "2.6.2";
/// How long requests that are under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(30);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operator's mistake.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operator's mistake, or an address that is taken.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The store can't be used.
    #[error("the store can't be used: {0}")]
    Core(#[from] Error),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was attempted.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// A server that answers. To stop it, call [`Server::shutdown`]; dropped, it stops at once, and
/// the keys are wiped with the last request.
pub struct Server {
    core: Arc<Core>,
    addresses: Vec<Address>,
    terms: Vec<Arc<Terms>>,
    phase: watch::Sender<Phase>,
    /// Ends when the last connection and the last request have.
    busy: mpsc::Receiver<()>,
    sockets: Vec<PathBuf>,
}

impl Server {
    /// Opens the store and the sockets, and begins to answer. Sealed, unless the store is new:
    /// then not initialised.
    pub async fn start(mut config: Config) -> Result<Self, StartError> {
        let bound = bind(&config.listeners).await?;
        let core = open(&mut config, &bound).await?;
        core.tend();
        let underway = Arc::<Underway>::default();
        let api_addr = core.settings().api_addr.clone();
        core.attach(Arc::new(Process::new(&config, &api_addr, underway.clone())));
        let (phase, stopping) = watch::channel(Phase::Serving);
        let (working, busy) = mpsc::channel(1);
        if let Some(snapshots) = config.snapshots.take() {
            tokio::spawn(schedule::run(core.clone(), snapshots, stopping.clone()));
        }
        tokio::spawn(chores::run(core.clone(), stopping.clone()));
        let addresses = bound.iter().map(|bound| bound.address().clone()).collect();
        let terms = bound.iter().filter_map(Bound::terms).collect();
        let mut sockets = Vec::new();
        for (bound, listener) in bound.into_iter().zip(config.listeners) {
            let (limits, forwarded, headers) = match listener {
                Listener::Tcp(tcp) => (tcp.limits, tcp.forwarded, tcp.headers),
                Listener::Unix(unix) => {
                    sockets.push(unix.path);
                    (unix.limits, None, unix.headers)
                }
            };
            let site = Site {
                core: Arc::clone(&core),
                limits,
                forwarded,
                headers,
                underway: underway.clone(),
                phase: stopping.clone(),
                busy: working.clone(),
            };
            tokio::spawn(bound.serve(Arc::new(site), stopping.clone()));
        }
        Ok(Self {
            core,
            addresses,
            terms,
            phase,
            busy,
            sockets,
        })
    }

    /// Where it listens, in the order of the configuration.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Its vault.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Takes up the seals of a configuration that was read again: new ones get a wrap of the root
    /// key, and wraps whose seals are gone are removed.
    pub async fn reseal(&self, config: &Config) -> Result<(), ConfigError> {
        let seals = wiring::seals_anew(config)?;
        self.core.reseal(seals).await;
        Ok(())
    }

    /// Takes up changed TLS files and opens audit files anew. What fails is logged, and goes on as
    /// it was.
    pub fn reload(&self) {
        for terms in &self.terms {
            match terms.reload() {
                Ok(()) => tracing::info!("TLS files reloaded"),
                Err(error) => tracing::error!(%error, "TLS files not reloaded"),
            }
        }
        for (device, error) in self.core.reopen_audit() {
            tracing::error!(device, %error, "audit device not reopened");
        }
    }

    /// Serves on, and says in health that it goes: the first step of stopping, which gives whoever
    /// balances load the time to send the next requests elsewhere.
    pub fn leave(&self) {
        self.phase.send_replace(Phase::Leaving);
    }

    /// Stops: no new connections, 30 seconds at most for requests that are under way, then seals.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.phase.send_replace(Phase::Draining);
        // Nothing is ever sent: it ends when the last sender is gone.
        if tokio::time::timeout(DRAIN, self.busy.recv()).await.is_err() {
            tracing::warn!("requests still under way are cut off");
        }
        self.phase.send_replace(Phase::Stopped);
        self.core.settle_audit().await;
        let sealed = self.core.seal().await;
        for socket in &self.sockets {
            if let Err(error) = std::fs::remove_file(socket) {
                tracing::debug!(socket = %socket.display(), %error, "socket not removed");
            }
        }
        sealed
    }
}

async fn bind(listeners: &[Listener]) -> Result<Vec<Bound>, ListenError> {
    let mut bound = Vec::with_capacity(listeners.len());
    for listener in listeners {
        bound.push(listener::bind(listener).await?);
    }
    Ok(bound)
}

async fn open(config: &mut Config, bound: &[Bound]) -> Result<Arc<Core>, StartError> {
    let api_addr = match &config.api_addr {
        Some(address) => address.clone(),
        None => bound
            .iter()
            .map(Bound::address)
            .find_map(reachable)
            .unwrap_or_default(),
    };
    let storage = wiring::storage(config, &api_addr).await?;
    let devices = config.audits.iter().map(wiring::audit_device);
    let audit = AuditConfig {
        devices: devices.collect::<Result<_, _>>()?,
        kinds: wiring::AUDIT,
        rules: config.audit_rules.clone(),
    };
    let core = Core::open(CoreConfig {
        storage,
        clock: Arc::new(SystemClock),
        kinds: wiring::KINDS,
        audit,
        seals: wiring::seals(config)?,
        managed: wiring::managed(config),
        initialize: std::mem::take(&mut config.initialize),
        settings: Settings {
            default_lease_ttl: config.default_lease_ttl,
            max_lease_ttl: config.max_lease_ttl,
            lockout: config.lockout.clone(),
            api_addr,
            version: API_VERSION,
            cluster_name: config.cluster_name.clone(),
            raw_storage: config.raw_storage,
        },
    });
    Ok(core.await?)
}

/// What a client could be told, where the address says that.
fn reachable(address: &Address) -> Option<String> {
    match address {
        Address::Tcp { .. } => Some(address.to_string()),
        Address::Unix(_) => None,
    }
}
