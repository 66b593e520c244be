//! The census of a version in storage: `census/<id>/<version>`.

use std::collections::BTreeMap;

use keyfold_core::barrier::View;
use keyfold_core::error::Error;
use keyfold_core::ports::storage::Revision;
use serde::{Deserialize, Serialize};

use super::callers::CallerHash;
use super::kind::Kind;

/// Below it one folder for each key id.
pub(in super::super) const FOLDER: &str = "census/";
/// Callers that a version remembers, those with the latest uses.
const CALLERS: usize = 128;

/// What is known of a version's uses. Times are seconds, zero for none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in super::super) struct Record {
    /// By the name of their kind.
    pub operations: BTreeMap<String, Done>,
    /// Of plaintexts and inputs.
    pub bytes: u64,
    /// The first use.
    pub first: u64,
    /// Whose the last use was, where the caller's token has an accessor.
    pub(super) last_caller: Option<CallerHash>,
    /// Who used it.
    pub callers: Vec<Seen>,
    /// Operations of callers that are not told apart: too many at a time, or forgotten since.
    pub others: u64,
}

/// Operations of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in super::super) struct Done {
    /// How many.
    pub count: u64,
    /// The second of the last one.
    pub last: u64,
}

/// A caller's uses of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Seen {
    pub(super) caller: CallerHash,
    /// The first use, a second.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Operations.
    pub uses: u64,
}

impl Record {
    /// Adds what was counted elsewhere, or later.
    pub fn add(&mut self, more: &Self) {
        if more.last() >= self.last() {
            self.last_caller = more.last_caller;
        }
        for (kind, done) in &more.operations {
            let sum = self.operations.entry(kind.clone()).or_default();
            sum.count = sum.count.saturating_add(done.count);
            sum.last = sum.last.max(done.last);
        }
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.others = self.others.saturating_add(more.others);
        self.first = earlier(self.first, more.first);
        for seen in &more.callers {
            match self
                .callers
                .iter_mut()
                .find(|old| old.caller == seen.caller)
            {
                Some(old) => {
                    old.uses = old.uses.saturating_add(seen.uses);
                    old.first = earlier(old.first, seen.first);
                    old.last = old.last.max(seen.last);
                }
                None => self.callers.push(seen.clone()),
            }
        }
        if self.callers.len() > CALLERS {
            self.callers
                .sort_by_key(|seen| std::cmp::Reverse(seen.last));
            let forgotten = self.callers.split_off(CALLERS);
            let uses = sum(forgotten.iter().map(|seen| seen.uses));
            self.others = self.others.saturating_add(uses);
        }
    }

    /// The second of the last use; zero for none.
    pub fn last(&self) -> u64 {
        self.last_of(|_| true)
    }

    /// The second of the last use of some kinds; zero for none.
    pub fn last_of(&self, counts: impl Fn(Kind) -> bool) -> u64 {
        let kinds = Kind::ALL.into_iter().filter(|kind| counts(*kind));
        let lasts = kinds.filter_map(|kind| self.operations.get(kind.name()));
        lasts.map(|done| done.last).max().unwrap_or_default()
    }

    /// Ciphertexts that were made under the version.
    pub fn sealed(&self) -> u64 {
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.seals());
        sum(kinds.map(|kind| self.of(kind)))
    }

    /// Operations of all kinds.
    pub fn total(&self) -> u64 {
        sum(self.operations.values().map(|done| done.count))
    }

    /// Operations of a kind.
    pub fn of(&self, kind: Kind) -> u64 {
        let done = self.operations.get(kind.name());
        done.map(|done| done.count).unwrap_or_default()
    }
}

/// All counts together. Some come from callers, who may give any.
pub(in super::super) fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// The earlier of two seconds, of which zero is none.
fn earlier(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, other) => other,
        (one, 0) => one,
        (one, other) => one.min(other),
    }
}

/// Where the census of a version is stored.
pub(super) fn place(id: &str, version: u32) -> String {
    format!("{FOLDER}{id}/{version}")
}

/// What is stored of a version.
pub(super) async fn load(
    view: &View,
    id: &str,
    version: u32,
) -> Result<Option<(Record, Revision)>, Error> {
    view.read(&place(id, version)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(caller: u64, at: u64) -> Seen {
        Seen {
            caller: CallerHash::of(caller).unwrap(),
            first: at,
            last: at,
            uses: 2,
        }
    }

    fn used(kind: Kind, at: u64, caller: u64) -> Record {
        Record {
            operations: BTreeMap::from([(kind.name().to_owned(), Done { count: 2, last: at })]),
            bytes: 10,
            first: at,
            last_caller: CallerHash::of(caller),
            callers: vec![seen(caller, at)],
            others: 0,
        }
    }

    #[test]
    fn the_order_does_not_matter() {
        let parts = [
            used(Kind::Encrypt, 5, 1),
            used(Kind::DataKey, 9, 2),
            used(Kind::Decrypt, 7, 1),
        ];
        let sum = |order: [usize; 3]| {
            let mut sum = Record::default();
            for index in order {
                sum.add(&parts[index]);
            }
            sum.callers.sort_by_key(|seen| seen.caller);
            sum
        };
        let all = sum([0, 1, 2]);
        assert_eq!(all, sum([2, 1, 0]));
        assert_eq!(all, sum([1, 0, 2]));
        assert_eq!(
            (all.first, all.last(), all.total(), all.sealed()),
            (5, 9, 6, 4)
        );
        assert_eq!(all.last_caller, CallerHash::of(2));
        assert_eq!(all.callers[0].uses, 4);
        assert_eq!((all.callers[0].first, all.callers[0].last), (5, 7));
    }

    #[test]
    fn callers_of_long_ago_are_forgotten_first() {
        let mut sum = Record::default();
        for at in 1..=200 {
            sum.add(&used(Kind::Encrypt, at, at));
        }
        assert_eq!(sum.callers.len(), CALLERS);
        assert!(sum.callers.iter().all(|seen| seen.last > 72));
        assert_eq!(sum.others, 2 * 72);
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let record = used(Kind::Hmac, 3, u64::MAX);
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.contains("\"ffffffffffffffff\""), "{text}");
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        assert_eq!(
            serde_json::from_str::<Record>("{}").unwrap(),
            Record::default()
        );
    }
}
