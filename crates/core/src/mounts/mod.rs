//! What is mounted where.
//!
//! ```text
//!   sys/mount/<uuid>   record: path, kind, accessor, options, tuning
//!   sys/moves          the last moves of mounts
//!   logical/<uuid>/…   the engine's own records, under the mount's own dek
//! ```
//!
//! Mounting is one commit (record and dek); unmounting is one commit too and destroys the dek, so
//! that what is left below `logical/<uuid>/` is noise, which is cleared afterwards.

mod change;
mod record;
mod reload;
mod remount;
mod table;
mod turn;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use self::change::{NewMount, clear_noise};
pub use self::record::{AUTH, Lockout, LockoutTune, MountConfig, MountRecord, Tune};
pub use self::remount::Move;
pub use self::table::{Mount, Table, Target};
use crate::barrier::{Barrier, View};
use crate::clock::{Clock, Time};
use crate::error::Error;
use crate::lifecycle::Settings;
use crate::managed::ManagedKeys;
use crate::ports::engine::{EngineKind, MountContext};
use crate::ports::fetch::Fetch;
use crate::ports::storage::Batch;
use crate::tokens::Limits;

const FOLDER: &str = "mount/";
/// Below this, one folder of records for each mount.
pub(crate) const LOGICAL: &str = "logical/";

/// What can be mounted.
#[derive(Clone, Copy)]
pub struct Kinds {
    /// Secrets engines.
    pub engines: &'static [EngineKind],
    /// Auth methods, which go below [`AUTH`].
    pub auths: &'static [EngineKind],
    /// How they read documents of other servers.
    pub fetch: &'static dyn Fetch,
}

impl Kinds {
    fn of(self, record: &MountRecord) -> &'static [EngineKind] {
        if record.is_auth() {
            self.auths
        } else {
            self.engines
        }
    }
}

/// The mounts of an open vault.
pub struct Mounts {
    view: View,
    barrier: Arc<Barrier>,
    kinds: Kinds,
    managed: Arc<ManagedKeys>,
    clock: Arc<dyn Clock>,
    table: Arc<ArcSwap<Table>>,
    /// Held by whoever changes the table or rotates the kek.
    changing: tokio::sync::Mutex<()>,
}

impl Mounts {
    /// The batch that a new vault needs: the mounts that every vault has.
    pub fn first(batch: Batch, now: Time) -> Result<Batch, Error> {
        record::builtin(now)
            .into_iter()
            .try_fold(batch, |batch, record| {
                Ok(batch.put(
                    format!("{FOLDER}{}", record.uuid),
                    crate::barrier::json(&record)?,
                ))
            })
    }

    /// Reads all records and opens their engines.
    pub async fn open(
        view: View,
        barrier: Arc<Barrier>,
        kinds: Kinds,
        managed: Arc<ManagedKeys>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        let mut mounts = Vec::new();
        for record in records(&view, clock.now()).await? {
            let target = target(&record, &barrier, kinds, &managed, &clock)?;
            mounts.push(Mount { record, target });
        }
        let table = Arc::new(ArcSwap::from_pointee(Table::new(mounts)));
        Ok(Arc::new(Self {
            view,
            barrier,
            kinds,
            managed,
            clock,
            table,
            changing: tokio::sync::Mutex::new(()),
        }))
    }

    /// The table, for those who have to know it as it is at each moment.
    pub(crate) fn shared(&self) -> Arc<ArcSwap<Table>> {
        self.table.clone()
    }

    /// The table as it is now.
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// The mount that serves a path and what is left of the path below it.
    pub fn route<'a>(&self, path: &'a str) -> Option<(Arc<Mount>, &'a str)> {
        let table = self.table.load();
        let (mount, rest) = table.route(path)?;
        Some((mount.clone(), rest))
    }

    /// Shows the path of the mount that serves a path, "" where none does; nothing is cloned for it.
    pub fn named<T>(&self, path: &str, see: impl FnOnce(&str) -> T) -> T {
        let table = self.table.load();
        see(table
            .route(path)
            .map_or("", |(mount, _)| &mount.record.path))
    }

    /// The auth method of an accessor.
    pub fn by_accessor(&self, accessor: &str) -> Option<Arc<Mount>> {
        self.table.load().auth(accessor).cloned()
    }

    /// How long tokens and leases of a mount may live.
    pub fn limits(&self, path: &str, settings: &Settings) -> Limits {
        let table = self.table.load();
        let config = table.at(path).map(|m| &m.record.config);
        let or = |own: Option<u64>, system: u64| own.filter(|s| *s > 0).unwrap_or(system);
        let max_ttl = or(
            config.map(|c| c.max_lease_ttl),
            settings.max_lease_ttl.as_secs(),
        );
        let default_ttl = or(
            config.map(|c| c.default_lease_ttl),
            settings.default_lease_ttl.as_secs(),
        );
        Limits {
            default_ttl: default_ttl.min(max_ttl),
            max_ttl,
        }
    }

    /// A storage key changed: tells the engine that has it cached.
    pub fn invalidate(&self, storage_key: &str) {
        for mount in self.table.load().iter() {
            if let Target::Engine { engine, view } = &mount.target
                && let Some(key) = view.relative(storage_key)
            {
                engine.invalidate(key);
            }
        }
    }

    /// Anything may have changed.
    pub fn invalidate_all(&self) {
        for mount in self.table.load().iter() {
            if let Target::Engine { engine, .. } = &mount.target {
                engine.invalidate_all();
            }
        }
    }
}

/// The records of all mounts.
async fn stored(view: &View) -> Result<Vec<MountRecord>, Error> {
    let mut records = Vec::new();
    for uuid in view.list(FOLDER, "", 0).await?.names {
        let read = view.read(&format!("{FOLDER}{uuid}")).await?;
        records.extend(read.map(|(record, _)| record));
    }
    Ok(records)
}

/// The same; those that every vault has and this one was made before are added.
async fn records(view: &View, now: Time) -> Result<Vec<MountRecord>, Error> {
    let mut records = stored(view).await?;
    for new in record::builtin(now) {
        if records.iter().all(|known| known.path != new.path) {
            let key = format!("{FOLDER}{}", new.uuid);
            let record = crate::barrier::json(&new)?;
            view.commit(Batch::new().absent(key.clone()).put(key, record))
                .await?;
            records.push(new);
        }
    }
    Ok(records)
}

/// Where the records of a mount lie.
fn prefix(uuid: &str) -> String {
    format!("{LOGICAL}{uuid}/")
}

fn target(
    record: &MountRecord,
    barrier: &Barrier,
    kinds: Kinds,
    managed: &Arc<ManagedKeys>,
    clock: &Arc<dyn Clock>,
) -> Result<Target, Error> {
    match record.kind.as_str() {
        "system" => Ok(Target::System),
        "token" => Ok(Target::Token),
        "identity" => Ok(Target::Identity),
        "cubbyhole" => Ok(Target::Cubbyhole),
        kind => {
            let view = barrier.view(&record.uuid, &prefix(&record.uuid))?;
            engine(kind, view, kinds, managed, clock, record)
        }
    }
}

fn engine(
    kind: &str,
    view: View,
    kinds: Kinds,
    managed: &Arc<ManagedKeys>,
    clock: &Arc<dyn Clock>,
    record: &MountRecord,
) -> Result<Target, Error> {
    let kind = kinds
        .of(record)
        .iter()
        .find(|k| k.name == kind)
        .ok_or_else(|| Error::bad(format!("plugin not found in the catalog: {kind}")))?;
    let options = record.options.clone().unwrap_or_default();
    let view = match kind.remembers {
        true => view,
        false => view.quiet(),
    };
    let cx = MountContext {
        view: view.clone(),
        clock: clock.clone(),
        fetch: kinds.fetch,
        managed: managed.clone(),
        options,
    };
    Ok(Target::Engine {
        engine: (kind.open)(cx)?,
        view,
    })
}
