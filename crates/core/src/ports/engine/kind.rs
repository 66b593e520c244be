//! A kind of engine, and what one is made with.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Dispatch;
use crate::barrier::View;
use crate::clock::Clock;
use crate::error::Error;
use crate::managed::ManagedKeys;
use crate::ports::fetch::Fetch;

/// What a fresh mount is given.
pub struct MountContext {
    /// Its storage.
    pub view: View,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What reads documents of other servers.
    pub fetch: &'static dyn Fetch,
    /// Keys that lie in devices.
    pub managed: Arc<ManagedKeys>,
    /// `options` of the mount, such as kv's `version`.
    pub options: BTreeMap<String, String>,
}

/// A kind of engine or auth method: how `sys/mounts` or `sys/auth` calls it and how one is made.
pub struct EngineKind {
    /// `transit`, `kv`, …
    pub name: &'static str,
    /// Checks the options and makes one. It must not write: mounting is one commit of core's.
    pub open: fn(MountContext) -> Result<Arc<dyn Dispatch>, Error>,
    /// It keeps records in memory, and [`Dispatch::invalidate`] has it forget them. A write of one that
    /// does not is done as soon as it is stored; one of the others when every node has heard of it.
    pub remembers: bool,
}
