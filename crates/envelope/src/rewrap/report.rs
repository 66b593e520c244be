//! [`RewrapReport`]: what a run did.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::key_service::ServiceError;
use crate::locator::Locator;
use crate::store::{Unreadable, Written};

/// Failures that a report holds one by one; all of them are counted and told as they happen.
const MOST_FAILURES: usize = 10_000;

/// What a run did. An envelope with wraps under several keys counts once for each of them.
#[derive(Debug, Default)]
pub struct RewrapReport {
    /// Envelopes read, each once.
    pub envelopes: u64,
    /// Files in directories that are no envelopes.
    pub other_files: u64,
    /// Envelopes that got a new wrap, or would get one in a dry run.
    pub rewrapped: u64,
    /// Envelopes that had nothing to do.
    pub already_newest: u64,
    /// Envelopes of which only a left-over old slot was retired: an earlier run was interrupted.
    pub finished: u64,
    /// Envelopes that were left as they were.
    pub failed: u64,
    /// Bytes written to envelopes.
    pub bytes_written: u64,
    /// Bytes of payload behind the changed headers, which were not touched.
    pub payload_bytes: u64,
    /// Calls of the key service that rewrap; in a dry run, how many there would be.
    pub server_calls: u64,
    /// Wraps sent in these calls. Copies of one envelope share theirs, but for two that different
    /// workers meet at the same moment.
    pub wraps_sent: u64,
    /// The newest version of each key met, where the token may read it.
    pub newest: BTreeMap<Locator, u32>,
    /// The envelopes that were left as they were: the first ten thousand of them.
    pub failures: Vec<Unreadable>,
    /// Why the run ended early. Envelopes whose turn had not come are in no count; a second run
    /// finds them.
    pub stopped: Option<Stopped>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Why a run ended before it was through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// The server cannot be reached or is sealed.
    #[error(transparent)]
    Service(ServiceError),
    /// The place that holds the envelopes cannot be reached.
    #[error("{0}")]
    Store(String),
    /// Whoever watched the run asked for its end.
    #[error("interrupted")]
    Interrupted,
}

impl RewrapReport {
    pub(super) fn count(&mut self, written: Written, payload_len: u64) {
        add(&mut self.bytes_written, written.bytes);
        if written.new_wrap {
            add(&mut self.rewrapped, 1);
            add(&mut self.payload_bytes, payload_len);
        } else if written.bytes > 0 {
            add(&mut self.finished, 1);
        } else {
            add(&mut self.already_newest, 1);
        }
    }

    pub(super) fn fail(&mut self, path: PathBuf, error: Error) {
        add(&mut self.failed, 1);
        if self.failures.len() < MOST_FAILURES {
            self.failures.push(Unreadable { path, error });
        }
    }
}

pub(super) fn add(counter: &mut u64, amount: u64) {
    *counter = counter.saturating_add(amount);
}
