//! The devices of an open vault, and those that its lines go to.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::format::Format;
use super::queue::Queue;
use super::worker::{Word, Worker};
use crate::ports::audit::{AuditDevice, AuditKind, DeviceOptions, Origin};

/// A device as it was asked for; for one of the API, its stored record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    /// `file`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub description: String,
    /// As given.
    pub options: DeviceOptions,
    /// Shown as given: there is no replication that it could keep the device out of.
    pub local: bool,
}

/// A device that was made, before it is in use.
#[derive(Clone)]
pub struct AuditSetup {
    name: String,
    spec: DeviceSpec,
    format: Format,
    device: Arc<dyn AuditDevice>,
}

impl AuditSetup {
    /// Makes a device; the error names the option.
    pub fn open(
        kinds: &[AuditKind],
        origin: Origin<'_>,
        name: &str,
        spec: DeviceSpec,
    ) -> Result<Self, String> {
        let unknown = || format!("unknown backend type: \"{}\"", spec.kind);
        let kind = kinds.iter().find(|kind| kind.name == spec.kind);
        let kind = kind.ok_or_else(unknown)?;
        let mut options = spec.options.clone();
        let format = Format::take(&mut options, origin)?;
        if let Origin::Api(rules) = origin
            && format.raw
            && kind.remote
            && !rules.lax
        {
            return Err("log_raw: over the API, for files only".to_owned());
        }
        let device = (kind.open)(&options, origin)?;
        Ok(Self {
            name: name.to_owned(),
            spec,
            format,
            device,
        })
    }

    /// In the place of one that can't be made now.
    pub(super) fn with(name: &str, spec: DeviceSpec, device: Arc<dyn AuditDevice>) -> Self {
        let format = Format::take(&mut spec.options.clone(), Origin::Operator);
        Self {
            name: name.to_owned(),
            format: format.unwrap_or_default(),
            spec,
            device,
        }
    }

    /// Its name: its path on the wire, without the slash at the end.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device itself.
    pub fn device(&self) -> &Arc<dyn AuditDevice> {
        &self.device
    }
}

/// A device in use.
pub struct Device {
    /// Its path on the wire, without the slash at the end.
    pub name: String,
    /// As it was asked for.
    pub spec: DeviceSpec,
    /// It stands in the configuration.
    pub declared: bool,
    format: Format,
    way: Way,
}

/// How its lines get to it.
enum Way {
    Here(Queue),
    Apart(Worker),
}

impl Device {
    pub(super) fn new(setup: AuditSetup, declared: bool) -> Self {
        let AuditSetup {
            name,
            spec,
            format,
            device,
        } = setup;
        let way = match device.waits() {
            None => Way::Here(Queue::new(name.clone(), device)),
            Some(patience) => Way::Apart(Worker::new(name.clone(), device, patience)),
        };
        Self {
            name,
            spec,
            declared,
            format,
            way,
        }
    }

    /// Its last write failed, or it could not be opened.
    pub fn is_failing(&self) -> bool {
        match &self.way {
            Way::Here(queue) => queue.is_failing(),
            Way::Apart(worker) => worker.is_failing(),
        }
    }

    /// Has one that waits for others connect now, and not with its first line.
    pub(super) fn connect(&self) {
        if let Way::Apart(worker) = &self.way {
            worker.reopen();
        }
    }

    /// Opens its medium anew; one that waits for others does so by itself.
    pub(super) fn reopen(&self) -> io::Result<()> {
        match &self.way {
            Way::Here(queue) => queue.reopen(),
            Way::Apart(worker) => {
                worker.reopen();
                Ok(())
            }
        }
    }
}

/// All devices of one moment.
#[derive(Default)]
pub(super) struct Devices {
    all: Vec<Arc<Device>>,
    groups: Vec<Group>,
}

/// Devices that take the same lines.
struct Group {
    format: Format,
    devices: Vec<Arc<Device>>,
}

impl Devices {
    pub(super) fn new(all: Vec<Arc<Device>>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for device in &all {
            match groups.iter_mut().find(|g| g.format == device.format) {
                Some(group) => group.devices.push(device.clone()),
                None => groups.push(Group {
                    format: device.format.clone(),
                    devices: vec![device.clone()],
                }),
            }
        }
        Self { all, groups }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Device>> {
        self.all.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn named(&self, name: &str) -> Option<&Arc<Device>> {
        self.all.iter().find(|device| device.name == name)
    }

    /// The device at a path, above or below it: no second one can be there.
    pub(super) fn conflict(&self, name: &str) -> Option<&Arc<Device>> {
        self.all.iter().find(|d| overlap(&d.name, name))
    }

    /// The formats of the lines, one for each group.
    pub(super) fn formats(&self) -> impl Iterator<Item = &Format> {
        self.groups.iter().map(|group| &group.format)
    }

    /// Hands each group its line, in the order of [`Devices::formats`]; whether a device has it.
    ///
    /// Devices that wait for others are waited for only where no other has the line.
    pub(super) async fn keep(&self, lines: impl Iterator<Item = Vec<u8>>) -> bool {
        let (mut kept, mut words) = (false, Vec::new());
        for (group, line) in self.groups.iter().zip(lines) {
            for device in &group.devices {
                match &device.way {
                    Way::Here(queue) => kept |= queue.append(&line).await,
                    Way::Apart(worker) => words.extend(worker.offer(&line)),
                }
            }
        }
        kept || Word::any(words).await
    }

    /// Waits until each device has the lines that it took, or its bound has passed.
    pub(super) async fn settle(&self) {
        let waiting = self.all.iter().filter_map(|device| match &device.way {
            Way::Here(_) => None,
            Way::Apart(worker) => worker.last(),
        });
        Word::all(waiting.collect()).await;
    }
}

/// Whether one path is the other or lies below it.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let below = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
    a == b || below(a, b) || below(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_overlap() {
        for (a, b) in [("a", "a"), ("a", "a/b"), ("a/b/c", "a/b")] {
            assert!(overlap(a, b), "{a} {b}");
        }
        for (a, b) in [("a", "b"), ("a", "ab"), ("a/b", "a/c"), ("ab/c", "a")] {
            assert!(!overlap(a, b), "{a} {b}");
        }
    }
}
