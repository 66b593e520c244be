//! Mounting, tuning and unmounting.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::{MountConfig, MountRecord, Tune, accessor, is_builtin};
use super::table::{Mount, Target};
use super::{FOLDER, Mounts, engine, prefix};
use crate::barrier::{DEKS, json, overtaken};
use crate::error::Error;
use crate::id;
use crate::lifecycle::PREFIX;
use crate::ports::storage::{Batch, Storage, StorageError};
use crate::{renewal, tokens};

/// Noise records that one commit clears.
const CLEAR: usize = 512;

/// A mount that is wished for.
pub struct NewMount {
    /// With a slash at its end.
    pub path: String,
    /// The engine.
    pub kind: String,
    /// For people.
    pub description: String,
    /// Of the engine.
    pub options: Option<BTreeMap<String, String>>,
    /// Tuning.
    pub config: MountConfig,
    /// See [`MountRecord`].
    pub local: bool,
    /// See [`MountRecord`].
    pub seal_wrap: bool,
    /// See [`MountRecord`].
    pub external_entropy_access: bool,
}

impl Mounts {
    /// Mounts an engine: its record and its dek in one commit.
    pub async fn mount(&self, new: NewMount) -> Result<(), Error> {
        check_path(&new.path)?;
        if is_builtin(&new.kind) {
            return Err(Error::bad(format!(
                "mount type of \"{}\" is not mountable",
                new.kind
            )));
        }
        new.config.check()?;
        let (default, max) = (new.config.default_lease_ttl, new.config.max_lease_ttl);
        if max > 0 && default > max {
            return Err(Error::bad(
                "given default lease TTL greater than given max lease TTL",
            ));
        }
        let turn = self.turn().await?;
        if let Some(taken) = self.table.load().conflict(&new.path) {
            return Err(in_use(&taken.record));
        }
        self.check_store(&new.path).await?;
        let uuid = id::uuid();
        let record = MountRecord {
            accessor: accessor(&new.path, &new.kind),
            path: new.path,
            kind: new.kind,
            description: new.description,
            uuid: uuid.clone(),
            options: new.options,
            config: new.config,
            local: new.local,
            seal_wrap: new.seal_wrap,
            external_entropy_access: new.external_entropy_access,
            logins_since: None,
            created: Some(self.clock.now()),
        };
        let entry = Batch::new().put(format!("{FOLDER}{uuid}"), json(&record)?);
        let entry = turn.demanded(self.view.sealed(entry)?);
        let (deks, batch) = self.barrier.new_dek(&uuid, entry)?;
        let deks = Arc::new(deks);
        let view = self.barrier.view_of(deks.clone(), &prefix(&uuid));
        // Before the commit: an engine that does not take its options leaves no trace.
        let target = engine(
            &record.kind,
            view,
            self.kinds,
            &self.managed,
            &self.clock,
            &record,
        )?;
        let storage = &**self.barrier.storage();
        let revision = storage.commit(batch).await.map_err(overtaken)?;
        self.barrier.adopt(deks);
        self.table
            .store(Arc::new(self.table.load().with(Mount { record, target })));
        turn.heard(storage, revision).await
    }

    /// Changes the tuning of a mount; the engine's remarks on it.
    pub async fn tune(&self, path: &str, tune: Tune) -> Result<Vec<String>, Error> {
        let turn = self.turn().await?;
        let table = self.table.load_full();
        let missing = || {
            Error::bad(format!(
                "tune of path \"{path}\" failed: no mount entry found"
            ))
        };
        let mount = table.at(path).ok_or_else(missing)?;
        if matches!(mount.target, Target::System) {
            let what = if tune.max_lease_ttl.is_some() {
                "max_lease_ttl"
            } else {
                "default_lease_ttl"
            };
            if tune.max_lease_ttl.is_some() || tune.default_lease_ttl.is_some() {
                return Err(Error::bad(format!("cannot tune parameter {what} of sys/")));
            }
        }
        if matches!(mount.target, Target::Cubbyhole) {
            return Err(Error::bad("cannot tune cubbyhole/"));
        }
        let options = tune.options.is_some();
        let record = mount.record.clone().tuned(tune)?;
        let entry = Batch::new().put(format!("{FOLDER}{}", record.uuid), json(&record)?);
        let mut batch = turn.demanded(self.view.sealed(entry)?);
        let mut warnings = Vec::new();
        let target = match &mount.target {
            Target::Engine {
                engine: running,
                view,
            } if options => {
                let retune = running.retune(&record.options.clone().unwrap_or_default())?;
                batch = batch.and(view.sealed(retune.batch)?);
                warnings = retune.warnings;
                engine(
                    &record.kind,
                    view.clone(),
                    self.kinds,
                    &self.managed,
                    &self.clock,
                    &record,
                )?
            }
            same => same.clone(),
        };
        let storage = &**self.barrier.storage();
        let revision = storage.commit(batch).await?;
        let path = record.path.clone();
        self.table
            .store(Arc::new(table.with(Mount { record, target })));
        turn.heard(storage, revision).await?;
        if let Target::Engine { engine, .. } = &mount.target
            && options
            && let Err(error) = engine.settle().await
        {
            tracing::warn!(%error, path, "what the mount noted of its use before is lost");
        }
        Ok(warnings)
    }

    /// Unmounts: destroys the mount's dek and record in one commit; the noise that is left is
    /// cleared in the background. What logged in there is dead from then on, and noted to be
    /// removed. A path where nothing is mounted is no error.
    pub async fn unmount(&self, path: &str) -> Result<(), Error> {
        let turn = self.turn().await?;
        let table = self.table.load_full();
        let Some(mount) = table.at(path) else {
            return Ok(());
        };
        if !matches!(mount.target, Target::Engine { .. }) {
            return Err(Error::bad(format!("cannot unmount \"{path}\"")));
        }
        let uuid = mount.record.uuid.clone();
        let mut entry = Batch::new()
            .delete(format!("{FOLDER}{uuid}"))
            .delete(renewal::key(&uuid));
        if mount.record.is_auth() {
            entry = tokens::disowning(entry)?;
        }
        let entry = turn.demanded(self.view.sealed(entry)?);
        let batch = self.barrier.destroy(&uuid, entry).await?;
        let storage = self.barrier.storage().clone();
        let revision = storage.commit(batch).await?;
        self.table.store(Arc::new(table.without(path)));
        self.barrier.forget(&uuid);
        let heard = turn.heard(&*storage, revision).await;
        // The store alone goes along: this may outlast the vault, and must not keep its keys.
        tokio::spawn(async move {
            if let Err(error) = clear(&*storage, &uuid).await {
                tracing::warn!(%error, mount = %uuid, "records of a removed mount remain");
            }
        });
        heard
    }

    /// A mount whose commit had an unknown end may be stored and not in the table. It is there from
    /// the next unseal on; a second one at its path would hide one of the two.
    pub(super) async fn check_store(&self, path: &str) -> Result<(), Error> {
        let table = self.table.load_full();
        for uuid in self.view.list(FOLDER, "", 0).await?.names {
            if table.iter().any(|m| m.record.uuid == uuid) {
                continue;
            }
            let key = format!("{FOLDER}{uuid}");
            if let Some((record, _)) = self.view.read::<MountRecord>(&key).await?
                && (record.path.starts_with(path) || path.starts_with(&record.path))
            {
                return Err(in_use(&record));
            }
        }
        Ok(())
    }
}

/// Clears what removed mounts left when a crash came before: the records that no dek opens.
pub async fn clear_noise(storage: &dyn Storage) -> Result<(), Error> {
    for name in storage.list(super::LOGICAL, "", 0).await?.names {
        let uuid = name.trim_end_matches('/');
        let deks = storage.list(&format!("{DEKS}{uuid}/"), "", 1).await?;
        if deks.names.is_empty() {
            clear(storage, uuid).await?;
        }
    }
    Ok(())
}

/// Removes all records of a mount that is gone, some at a time. Where it is there again, as another node
/// has restored a snapshot, nothing more is removed.
async fn clear(storage: &dyn Storage, uuid: &str) -> Result<(), Error> {
    let record = [PREFIX, FOLDER, uuid].concat();
    let mut folders = vec![prefix(uuid)];
    while let Some(folder) = folders.last().cloned() {
        let page = storage.list(&folder, "", CLEAR).await?;
        let (below, here): (Vec<_>, Vec<_>) =
            page.names.into_iter().partition(|n| n.ends_with('/'));
        if !here.is_empty() {
            let deletes = here.iter().map(|name| format!("{folder}{name}")).collect();
            let batch = Batch {
                deletes,
                ..Batch::new()
            };
            match storage.commit(batch.absent(record.clone())).await {
                Err(StorageError::Conflict(_)) => return Ok(()),
                done => done?,
            };
        }
        match below.first() {
            Some(name) => folders.push(format!("{folder}{name}")),
            None if !page.more => {
                folders.pop();
            }
            None => {}
        }
    }
    Ok(())
}

fn in_use(record: &MountRecord) -> Error {
    Error::bad(format!("path is already in use at {}", record.short_path()))
}

/// A path that can be mounted on, with its last slash.
pub(super) fn check_path(path: &str) -> Result<(), Error> {
    let name = path.trim_end_matches('/');
    if name.is_empty()
        || name
            .split('/')
            .any(|segment| segment.is_empty() || segment == "+")
    {
        return Err(Error::bad(format!(
            "cannot mount \"{path}\": a segment of the path is empty"
        )));
    }
    if name == "auth" || is_reserved(name) {
        return Err(Error::bad(format!("cannot mount \"{path}\"")));
    }
    Ok(())
}

/// Below what is core's own.
pub(super) fn is_reserved(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    matches!(first, "sys" | "cubbyhole" | "identity" | "audit")
}
