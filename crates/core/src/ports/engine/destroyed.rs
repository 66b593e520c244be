//! Keys that an engine destroyed for good, and that are to stay gone when an older snapshot takes the place
//! of the store.

use serde::{Deserialize, Serialize};

/// Such a key. Nothing in here is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyedKey {
    /// Below the mount.
    pub name: String,
    /// The engine's own id of it, which no other key has.
    pub id: String,
    /// Its first and last version.
    pub first: u32,
    /// See `first`.
    pub last: u32,
    /// When, RFC 3339.
    pub time: String,
    /// What the engine calls the proof.
    pub receipt: String,
    /// The folder of the engine's view, with a slash at its end, that held it: a snapshot with records
    /// there has the key.
    pub folder: String,
}

/// All of them, as far as the engine can tell.
#[derive(Debug, Default)]
pub struct DestroyedKeys {
    /// In no order.
    pub keys: Vec<DestroyedKey>,
    /// Records that should tell of some, and are damaged.
    pub damaged: Vec<String>,
}
