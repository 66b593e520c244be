//! What an engine has to do by itself.

use crate::reply::Json;

/// A write that an engine wants the server to make, since its time has come.
pub struct Chore {
    /// Below the mount.
    pub path: String,
    /// The members.
    pub body: Json,
}
