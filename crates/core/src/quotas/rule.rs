//! A rate limit as it is stored.

use serde::{Deserialize, Serialize};

/// So many requests of a client in so long a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Where it holds: a mount, or something below one; empty for everything.
    pub path: String,
    /// Requests in an interval, more than zero.
    pub rate: f64,
    /// Seconds, at least one.
    pub interval: u64,
    /// Seconds for which a client that went over it gets nothing at all; zero for none.
    pub block_interval: u64,
    /// As it was set; shown, and without effect where there are no namespaces below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inheritable: Option<bool>,
}

impl Rule {
    /// Its path without the slash at the end. What lies below a path is always meant too, so that
    /// a `*` for it says nothing more.
    pub fn place(&self) -> &str {
        let path = self.path.strip_suffix('*').unwrap_or(&self.path);
        path.trim_end_matches('/')
    }

    /// Whole requests in an interval.
    pub fn limit(&self) -> u64 {
        // A cast of a float saturates, so any rate has a limit.
        self.rate.ceil() as u64
    }
}
