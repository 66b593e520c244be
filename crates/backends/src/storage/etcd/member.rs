//! What a node leaves for the others about itself.

use std::time::SystemTime;

use keyfold_core::ports::nodes::Member;
use keyfold_core::ports::storage::Revision;
use serde::{Deserialize, Serialize};

/// Who this node is.
pub(super) struct Identity {
    /// A name that no other node has.
    pub id: String,
    pub host: String,
    /// Where clients reach it.
    pub address: String,
    pub version: String,
}

/// What a node has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(default)]
    pub host: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    version: String,
    /// It holds leases, or is about to.
    pub joined: bool,
    /// The last commit whose changes it has dropped from its caches.
    pub applied: u64,
    /// When it was written, by its own clock: seconds since 1970.
    #[serde(default)]
    pub at: u64,
}

/// What is known of a node.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub record: Option<Record>,
    /// It has a turn: its lease of etcd's runs.
    pub is_there: bool,
}

/// Seconds after which a node that is gone is forgotten.
const LONG_GONE: u64 = 24 * 3600;

impl Identity {
    pub fn record(&self, joined: bool, applied: u64) -> Record {
        Record {
            host: self.host.clone(),
            address: self.address.clone(),
            version: self.version.clone(),
            joined,
            applied,
            at: now(),
        }
    }
}

impl Record {
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `None` for what no version of this program wrote.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

impl Known {
    /// It may answer from memory.
    pub fn answers(&self) -> bool {
        self.is_there && self.record.as_ref().is_some_and(|record| record.joined)
    }

    /// The same, and it has not heard of a commit.
    pub fn is_behind(&self, revision: u64) -> bool {
        let record = self.record.as_ref();
        self.answers() && record.is_some_and(|record| record.applied < revision)
    }

    /// It is gone, and long enough.
    pub fn is_forgotten(&self) -> bool {
        let record = self.record.as_ref();
        let late = record.map_or(0, |record| now().saturating_sub(record.at));
        !self.is_there && late > LONG_GONE
    }

    /// `None` for a node that has not joined, or has left.
    pub fn member(&self, id: &str, own: bool) -> Option<Member> {
        let record = self.record.as_ref().filter(|record| record.joined)?;
        Some(Member {
            id: id.to_owned(),
            host: record.host.clone(),
            address: record.address.clone(),
            version: record.version.clone(),
            alive: self.is_there,
            applied: Revision(record.applied),
            own,
        })
    }
}

/// Seconds since 1970, by this machine's clock.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_may_answer_and_is_behind_is_waited_for() {
        let identity = Identity {
            id: "n".to_owned(),
            host: "h".to_owned(),
            address: "http://a".to_owned(),
            version: "1".to_owned(),
        };
        for (is_there, joined, applied, behind) in [
            (true, true, 6, true),
            (true, true, 7, false),
            (true, false, 6, false),
            (false, true, 6, false),
        ] {
            let record = identity.record(joined, applied);
            let read = Record::read(&record.to_bytes());
            assert_eq!(read.as_ref(), Some(&record));
            let known = Known {
                record: read,
                is_there,
            };
            assert_eq!(known.is_behind(7), behind);
            assert!(!known.is_forgotten());
            let member = known.member("n", false);
            assert_eq!(
                member.map(|member| member.alive),
                joined.then_some(is_there)
            );
        }
        assert!(!Known::default().is_behind(7) && Record::read(b"{}").is_none());
        let old = Record {
            at: 1,
            ..identity.record(true, 1)
        };
        let known = |is_there| Known {
            record: Some(old.clone()),
            is_there,
        };
        assert!(known(false).is_forgotten() && !known(true).is_forgotten());
    }
}
