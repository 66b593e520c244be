//! Keys that an engine keeps for services, as a report names them.

use crate::clock::Time;
use crate::ports::period::CryptoPeriod;

/// A key of a service, and its newest version. Nothing in here is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceKeyInfo {
    /// Below the mount.
    pub name: String,
    /// Its type, as the engine calls it.
    pub kind: String,
    /// The version that encrypts.
    pub version: u32,
    /// The oldest version that decrypts.
    pub oldest: u32,
    /// When the newest was made.
    pub created: Option<Time>,
    /// When the oldest was made.
    pub oldest_created: Option<Time>,
    /// Seconds after which it is rotated by itself, where it is.
    pub period: Option<u64>,
    /// When that is next.
    pub next_rotation: Option<Time>,
    /// The crypto-periods that are set.
    pub periods: Vec<CryptoPeriod>,
    /// What else is to be said of it.
    pub remarks: Vec<String>,
}

/// A page of them.
#[derive(Debug, Default)]
pub struct ServiceKeys {
    /// In the order of the store.
    pub keys: Vec<ServiceKeyInfo>,
    /// The name to go on after, where there are more.
    pub next: Option<String>,
}
