//! [`Finding`]: what a check showed.

use keyfold_core::clock::{Clock as _, SystemClock};
use serde::Serialize;

/// How a check went; the worst comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Status {
    /// There was nothing to look at, or it was not wished. Programs know it by this word.
    #[serde(rename = "invalid")]
    Skipped,
    /// Well.
    #[serde(rename = "ok")]
    Ok,
    /// A server starts with it, and somebody should know.
    #[serde(rename = "warn")]
    Warn,
    /// A server does not start with it.
    #[serde(rename = "fail")]
    Fail,
}

/// What a check showed, and the checks it is made of. The members are those that existing clients
/// print.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// When, RFC 3339.
    time: String,
    /// What was looked at.
    pub name: String,
    /// The worst of its own and its children's.
    pub status: Status,
    /// What was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What somebody should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What to do about it; empty where the message says it.
    #[serde(rename = "Advice")]
    advice: &'static str,
    /// Its parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Finding>,
}

impl Finding {
    /// A check that went so.
    pub(super) fn new(name: impl Into<String>, status: Status) -> Self {
        Self {
            time: SystemClock.now().rfc3339(),
            name: name.into(),
            status,
            message: None,
            warnings: Vec::new(),
            advice: "",
            children: Vec::new(),
        }
    }

    pub(super) fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Well, but for what is to be told.
    pub(super) fn warning(mut self, warnings: Vec<String>) -> Self {
        if !warnings.is_empty() {
            self.status = self.status.max(Status::Warn);
        }
        self.warnings = warnings;
        self
    }

    /// The whole of its parts.
    pub(super) fn of(name: &str, children: Vec<Self>) -> Self {
        let worst = children.iter().map(|child| child.status).max();
        let status = worst.unwrap_or(Status::Ok).max(Status::Ok);
        Self {
            children,
            ..Self::new(name, status)
        }
    }
}
