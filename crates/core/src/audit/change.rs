//! Devices of the API: made, removed, and read back when the vault opens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::devices::{AuditSetup, Device, DeviceSpec, Devices, overlap};
use super::unopened::Unopened;
use super::{AuditConfig, Broker};
use crate::barrier::{View, json};
use crate::error::Error;
use crate::ports::audit::Origin;
use crate::ports::storage::{Batch, Revision};

/// Where they are stored, all in one record: who makes one sees all others.
pub(super) const KEY: &str = "audit/devices";
/// Devices of the API at most: each request writes to all of them.
const MOST: usize = 32;
/// Longest path of a device, bytes.
const LONGEST: usize = 256;
/// How long a new device may take to open.
const OPENING: Duration = Duration::from_secs(10);

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    devices: BTreeMap<String, DeviceSpec>,
}

impl Broker {
    /// Makes a device. It is opened first: one that can't be leaves nothing behind.
    pub async fn enable(&self, name: &str, spec: DeviceSpec) -> Result<(), Error> {
        check_name(name)?;
        let _changing = self.changing.lock().await;
        if self.devices.load().conflict(name).is_some() {
            return Err(in_use());
        }
        let setup = open(&self.config, name, spec.clone()).await?;
        self.view
            .change(KEY, || async {
                let (mut stored, revision) = read(&self.view).await?;
                if stored.devices.keys().any(|other| overlap(other, name)) {
                    return Err(in_use());
                }
                if stored.devices.len() >= MOST {
                    return Err(Error::bad(format!("more than {MOST} audit devices")));
                }
                stored.devices.insert(name.to_owned(), spec.clone());
                self.write(&stored, revision).await
            })
            .await?;
        let mut all: Vec<_> = self.devices.load().iter().cloned().collect();
        all.push(Arc::new(Device::new(setup, false)));
        self.devices.store(Arc::new(Devices::new(all)));
        tracing::info!(device = name, "audit device made");
        Ok(())
    }

    /// Removes a device; one that is not there is no error.
    pub async fn disable(&self, name: &str) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        if self.devices.load().named(name).is_some_and(|d| d.declared) {
            return Err(Error::bad(
                "cannot disable configuration-managed audit device",
            ));
        }
        self.view
            .change(KEY, || async {
                let (mut stored, revision) = read(&self.view).await?;
                match stored.devices.remove(name) {
                    Some(_) => self.write(&stored, revision).await,
                    None => Ok(()),
                }
            })
            .await?;
        let before = self.devices.load_full();
        let left: Vec<_> = before.iter().filter(|d| d.name != name).cloned().collect();
        if before.named(name).is_some() {
            tracing::info!(device = name, "audit device removed");
        }
        self.devices.store(Arc::new(Devices::new(left)));
        Ok(())
    }

    /// Takes up what another node changed.
    pub(super) async fn reload_devices(&self) -> Result<(), Error> {
        let (stored, _) = read(&self.view).await?;
        let now = self.devices.load_full();
        self.devices
            .store(Arc::new(self.config.devices(stored, &now)));
        Ok(())
    }

    async fn write(&self, stored: &Stored, revision: Option<Revision>) -> Result<(), Error> {
        let batch = match revision {
            Some(revision) => Batch::new().unchanged(KEY, revision),
            None => Batch::new().absent(KEY),
        };
        self.view.commit(batch.put(KEY, json(stored)?)).await?;
        Ok(())
    }
}

impl AuditConfig {
    /// The devices that a vault opens with.
    pub(super) async fn read(&self, view: &View) -> Result<Devices, Error> {
        let (stored, _) = read(view).await?;
        Ok(self.devices(stored, &Devices::default()))
    }

    /// The declared ones and the stored ones; those that are in use already stay as they are.
    fn devices(&self, stored: Stored, now: &Devices) -> Devices {
        let mut all: Vec<Arc<Device>> = Vec::new();
        let fresh = |setup, declared| {
            let device = Device::new(setup, declared);
            device.connect();
            Arc::new(device)
        };
        for setup in &self.devices {
            let known = now.named(setup.name()).filter(|d| d.declared).cloned();
            all.push(known.unwrap_or_else(|| fresh(setup.clone(), true)));
        }
        for (name, spec) in stored.devices {
            let known = now.named(&name);
            if let Some(known) = known.filter(|d| !d.declared && d.spec == spec) {
                all.push(known.clone());
            } else if all.iter().any(|d| overlap(&d.name, &name)) {
                tracing::warn!(device = name, "the configuration has an audit device there");
            } else {
                all.push(fresh(self.restored(&name, spec), false));
            }
        }
        Devices::new(all)
    }

    /// A stored device. That it can't be opened now must not keep the vault closed.
    fn restored(&self, name: &str, spec: DeviceSpec) -> AuditSetup {
        let origin = Origin::Api(&self.rules);
        let error = match AuditSetup::open(self.kinds, origin, name, spec.clone()) {
            Ok(setup) => return setup,
            Err(error) => error,
        };
        tracing::error!(device = name, error, "audit device not opened");
        let (config, again, own) = (self.rules.clone(), spec.clone(), name.to_owned());
        let kinds = self.kinds;
        let device = Unopened::new(move || {
            let setup = AuditSetup::open(kinds, Origin::Api(&config), &own, again.clone())?;
            Ok(setup.device().clone())
        });
        AuditSetup::with(name, spec, Arc::new(device))
    }
}

/// Makes a device and connects it, away from the threads that serve requests.
async fn open(config: &AuditConfig, name: &str, spec: DeviceSpec) -> Result<AuditSetup, Error> {
    let (kinds, rules, name) = (config.kinds, config.rules.clone(), name.to_owned());
    let opening = spawn_blocking(move || {
        let setup = AuditSetup::open(kinds, Origin::Api(&rules), &name, spec)?;
        if setup.device().waits().is_some() {
            let test = |error| format!("audit device failed its test: {error}");
            setup.device().reopen().map_err(test)?;
        }
        Ok::<_, String>(setup)
    });
    match timeout(OPENING, opening).await {
        Ok(Ok(opened)) => opened.map_err(Error::bad),
        Ok(Err(_)) => Err(Error::Bug("opening an audit device panicked")),
        Err(_) => Err(Error::bad(
            "audit device failed its test: no answer in time",
        )),
    }
}

async fn read(view: &View) -> Result<(Stored, Option<Revision>), Error> {
    Ok(match view.read::<Stored>(KEY).await? {
        Some((stored, revision)) => (stored, Some(revision)),
        None => (Stored::default(), None),
    })
}

fn in_use() -> Error {
    Error::bad("path already in use")
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.len() > LONGEST || name.split('/').any(str::is_empty) {
        return Err(Error::field(
            "path",
            format!("is longer than {LONGEST} bytes or has an empty segment"),
        ));
    }
    Ok(())
}
