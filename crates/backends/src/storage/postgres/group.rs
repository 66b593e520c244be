//! What a group of batches comes to: which of them hold, and what they change together.

use std::collections::{BTreeMap, HashMap};

use keyfold_core::ports::storage::{Batch, Change, Check, Revision, StorageError};

use super::key::Columns;

/// What the store says of the keys and locks that are checked.
#[derive(Default)]
pub(super) struct Facts<'g> {
    /// Revisions of the entries that are there.
    pub entries: HashMap<&'g str, u64>,
    /// Fencing tokens of the locks that are held.
    pub locks: HashMap<String, u64>,
}

/// The outcome, once it is committed.
pub(super) struct Weighed<'g> {
    /// One for each batch, in order.
    pub verdicts: Vec<Result<Revision, StorageError>>,
    /// Of those that hold, in order.
    pub changes: Vec<Change>,
    /// What each key has at the end: a value and its revision, or nothing.
    entries: BTreeMap<&'g str, Option<(&'g [u8], u64)>>,
}

/// What is written, column by column.
#[derive(Default)]
pub(super) struct Writes<'g> {
    pub gone: Columns<'g>,
    pub put: Columns<'g>,
    pub values: Vec<&'g [u8]>,
    pub revisions: Vec<i64>,
}

/// The keys that a group checks.
pub(super) fn keys<'g>(group: &[&'g Batch]) -> Vec<&'g str> {
    let checks = group.iter().flat_map(|batch| &batch.checks);
    let keys = checks.filter_map(|check| match check {
        Check::Absent(key) | Check::Present(key) | Check::Unchanged(key, _) => Some(key.as_str()),
        Check::Held(..) => None,
    });
    keys.collect()
}

/// The locks that a group checks.
pub(super) fn locks<'g>(group: &[&'g Batch]) -> Vec<&'g str> {
    let checks = group.iter().flat_map(|batch| &batch.checks);
    let names = checks.filter_map(|check| match check {
        Check::Held(name, _) => Some(name.as_str()),
        _ => None,
    });
    names.collect()
}

/// Checks each batch against the state that those before it leave, as if each had a transaction of
/// its own; one that does not hold is left out. Revisions follow on `last`.
pub(super) fn weigh<'g>(group: &[&'g Batch], facts: &Facts<'_>, last: u64) -> Weighed<'g> {
    let mut weighed = Weighed {
        verdicts: Vec::with_capacity(group.len()),
        changes: Vec::with_capacity(group.len()),
        entries: BTreeMap::new(),
    };
    let mut last = last;
    for batch in group {
        let failed = batch
            .checks
            .iter()
            .find_map(|check| weighed.fails(check, facts));
        let verdict = match failed {
            Some(name) => Err(StorageError::Conflict(name.to_owned())),
            None => {
                last = last.saturating_add(1);
                weighed.take(batch, last);
                Ok(Revision(last))
            }
        };
        weighed.verdicts.push(verdict);
    }
    weighed
}

impl<'g> Weighed<'g> {
    /// What the check is about, where it does not hold.
    fn fails<'c>(&self, check: &'c Check, facts: &Facts<'_>) -> Option<&'c str> {
        let found = |key: &str| match self.entries.get(key) {
            Some(entry) => entry.map(|(_, revision)| revision),
            None => facts.entries.get(key).copied(),
        };
        let (name, holds) = match check {
            Check::Absent(key) => (key, found(key).is_none()),
            Check::Present(key) => (key, found(key).is_some()),
            Check::Unchanged(key, revision) => (key, found(key) == Some(revision.0)),
            Check::Held(name, fence) => (name, facts.locks.get(name) == Some(fence)),
        };
        (!holds).then_some(name.as_str())
    }

    fn take(&mut self, batch: &'g Batch, revision: u64) {
        for (key, value) in &batch.puts {
            self.entries.insert(key, Some((value.as_slice(), revision)));
        }
        for key in &batch.deletes {
            self.entries.insert(key, None);
        }
        self.changes.push(Change {
            revision: Revision(revision),
            keys: batch.touched().map(str::to_owned).collect(),
            replaced: false,
        });
    }

    /// What is to be written.
    pub fn writes(&self) -> Writes<'g> {
        let mut writes = Writes::default();
        for (key, entry) in &self.entries {
            match entry {
                None => writes.gone.push(key),
                Some((value, revision)) => {
                    writes.put.push(key);
                    writes.values.push(value);
                    writes.revisions.push(super::signed(*revision));
                }
            }
        }
        writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighed(group: &[Batch], facts: &Facts<'_>) -> (Vec<Option<u64>>, Vec<(String, u64)>) {
        let group: Vec<&Batch> = group.iter().collect();
        let weighed = weigh(&group, facts, 9);
        let verdicts = weighed.verdicts.iter();
        let verdicts = verdicts.map(|v| v.as_ref().ok().map(|revision| revision.0));
        let verdicts: Vec<_> = verdicts.collect();
        let writes = weighed.writes();
        let put = writes.put.heads.iter().map(|key| (*key).to_owned());
        let put: Vec<_> = put
            .zip(writes.revisions.iter().map(|n| *n as u64))
            .collect();
        assert_eq!(weighed.changes.len(), verdicts.iter().flatten().count());
        (verdicts, put)
    }

    #[test]
    fn each_batch_sees_what_those_before_it_left() {
        let facts = Facts {
            entries: HashMap::from([("a", 3), ("b", 4)]),
            locks: HashMap::from([("l".to_owned(), 7)]),
        };
        let group = [
            Batch::new().unchanged("a", Revision(3)).put("a", "1"),
            Batch::new().unchanged("a", Revision(3)).put("a", "2"),
            Batch::new().unchanged("a", Revision(10)).delete("a"),
            Batch::new().absent("a").put("a", "4").put("c", "4"),
            Batch::new().absent("b").put("d", "5"),
            Batch::new().held("l", 7).delete("b"),
            Batch::new().held("l", 6).put("e", ""),
            Batch::new().held("m", 7).put("e", ""),
        ];
        let (verdicts, put) = weighed(&group, &facts);
        let wanted = [
            Some(10),
            None,
            Some(11),
            Some(12),
            None,
            Some(13),
            None,
            None,
        ];
        assert_eq!(verdicts, wanted);
        assert_eq!(put, [("a".to_owned(), 12), ("c".to_owned(), 12)]);
    }
}
