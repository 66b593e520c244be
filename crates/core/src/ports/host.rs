//! The process around a vault, for the calls that ask about it: its log, its configuration, the
//! requests that it is at.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::Error;
use crate::reply::Json;

/// A request under way, as `sys/in-flight-req` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Ongoing {
    /// RFC 3339.
    pub start_time: String,
    /// The peer's address, empty where it has none.
    pub client_remote_address: String,
    /// Its path, with `/v1/`.
    pub request_path: String,
    /// Its method.
    pub request_method: String,
    /// Who asks; always empty, since a token is looked up later.
    pub client_id: String,
}

/// What a server program tells and does.
pub trait Host: Send + Sync + 'static {
    /// The loggers and their levels.
    fn log_levels(&self) -> BTreeMap<&'static str, &'static str>;

    /// Sets the level of a logger, or of all; without a level, back to the configured one.
    ///
    /// # Errors
    ///
    /// A level that is none, a name that no logger has: the caller's mistake.
    fn set_log_level(&self, logger: Option<&str>, level: Option<&str>) -> Result<(), Error>;

    /// The configuration without its secrets, a JSON object.
    fn config(&self) -> Result<Json, Error>;

    /// The requests under way, by id.
    fn ongoing(&self) -> BTreeMap<String, Ongoing>;
}
