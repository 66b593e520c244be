//! A vault that serves nobody: to rehearse with, and to look into.

use std::io;
use std::sync::{Arc, LazyLock};

use keyfold_core::audit::AuditConfig;
use keyfold_core::clock::SystemClock;
use keyfold_core::lifecycle::{CoreConfig, SealConfig, Settings};
use keyfold_core::lockout::LockoutRules;
use keyfold_core::ports::audit::{ApiRules, AuditDevice, AuditKind};
use keyfold_core::ports::storage::Storage;
use keyfold_core::{Core, Error};

use crate::config::Config;
use crate::wiring;

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

/// Opens a store. Audit devices keep nothing, and nothing is done at the first unseal; of the
/// configuration the limits of leases count.
pub(crate) async fn open(
    storage: Arc<dyn Storage>,
    seals: SealConfig,
    config: &Config,
) -> Result<Arc<Core>, Error> {
    Core::open(CoreConfig {
        storage,
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
        managed: Vec::new(),
        seals,
        settings: Settings {
            default_lease_ttl: config.default_lease_ttl,
            max_lease_ttl: config.max_lease_ttl,
            lockout: LockoutRules::default(),
            api_addr: String::new(),
            version: env!("CARGO_PKG_VERSION"),
            cluster_name: None,
            raw_storage: false,
        },
    })
    .await
}
