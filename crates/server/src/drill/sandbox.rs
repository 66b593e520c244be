//! A vault of its own, over a store in a folder that goes with it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use keyfold_core::audit::AuditConfig;
use keyfold_core::clock::SystemClock;
use keyfold_core::lifecycle::{CoreConfig, SealConfig, Settings};
use keyfold_core::lockout::LockoutRules;
use keyfold_core::ports::audit::{ApiRules, AuditDevice, AuditKind};
use keyfold_core::{Core, id};

use super::DrillError;
use crate::config::{Config, Listener, Tcp};
use crate::wiring;

/// Holds the store.
pub struct Sandbox {
    core: Arc<Core>,
    folder: Folder,
}

/// Removed with what is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the sandbox remains");
        }
    }
}

impl Folder {
    fn make() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("keyfold-drill-{}", id::uuid()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

/// Keeps nothing: lines of a drill are no lines of the server's log.
struct Nowhere;

impl AuditDevice for Nowhere {
    fn write(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn reopen(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The kinds that a snapshot's devices may be of.
static NOWHERE: LazyLock<Vec<AuditKind>> = LazyLock::new(|| {
    let kinds = wiring::AUDIT.iter();
    let nowhere = |kind: &AuditKind| AuditKind {
        name: kind.name,
        remote: false,
        open: |_, _| Ok(Arc::new(Nowhere)),
    };
    kinds.map(nowhere).collect()
});

impl Sandbox {
    /// An empty store, with the seals of a configuration.
    pub async fn open(config: Option<&Config>) -> Result<Self, DrillError> {
        let folder = Folder::make()?;
        let path = folder.path().join("store.redb");
        let path = path.to_string_lossy();
        let listener = Listener::Tcp(Tcp::plain("127.0.0.1:0"));
        let defaults = Config::embedded("redb", &[("path", &path)], listener);
        let seals = match config {
            Some(config) => wiring::seals_of_command(config)?,
            None => SealConfig::default(),
        };
        let core = Core::open(CoreConfig {
            storage: wiring::storage(&defaults.storage)?,
            clock: Arc::new(SystemClock),
            kinds: wiring::KINDS,
            audit: AuditConfig {
                devices: Vec::new(),
                kinds: &NOWHERE,
                rules: ApiRules {
                    lax: true,
                    ..ApiRules::default()
                },
            },
            initialize: Vec::new(),
            seals,
            settings: Settings {
                default_lease_ttl: defaults.default_lease_ttl,
                max_lease_ttl: defaults.max_lease_ttl,
                lockout: LockoutRules::default(),
                api_addr: String::new(),
                version: env!("CARGO_PKG_VERSION"),
                cluster_name: None,
                raw_storage: false,
            },
        });
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
