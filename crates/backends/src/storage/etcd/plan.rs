//! A commit as one transaction of etcd's.
//!
//! A transaction takes 128 operations where members are not told otherwise. One that is nested in
//! another counts there as one operation, and has what is left of the 128 for its own: so more of
//! them are folded into transactions of transactions, of which all are applied, or none.

use keyfold_core::ports::storage::{Batch, Check, StorageError};

use super::keys::Keys;
use super::parts::{Placed, Puts};
use super::record::{Origin, Record};
use super::root::Root;
use super::value::{self, Parts};
use super::wire::{Compare, Done, Op, Range, Txn};
use super::{signed, unsigned};

/// Operations of a transaction and of those within it, one level with another.
const OPERATIONS: usize = 128;
/// Bytes that an operation has beside its keys and values, at the most.
const BESIDE: usize = 256;

/// What a commit of this node's demands, and where it goes.
pub(super) struct Terms<'t> {
    pub keys: &'t Keys,
    /// This node.
    pub id: &'t str,
    pub turn: i64,
    pub root: &'t Root,
}

/// Why a transaction was not applied.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This node has another turn.
    Turn,
    /// Another generation counts.
    Root,
    /// A check does not hold: what it is about.
    Check(String),
    /// All of it holds now.
    Passed,
}

impl Terms<'_> {
    /// The transaction of a batch.
    pub fn batch(
        &self,
        batch: &Batch,
        placed: Option<&Placed<'_>>,
        origin: &Origin,
    ) -> Result<Txn, StorageError> {
        let generation = &*self.root.generation;
        let mut success = Vec::with_capacity(2 * (batch.puts.len() + batch.deletes.len()) + 1);
        for (key, value) in &batch.puts {
            let parts = placed.and_then(|placed| placed.parts.get(key.as_str()));
            success.extend(put(self.keys, generation, key, value, parts));
        }
        for key in &batch.deletes {
            let (from, to) = self.keys.parts(generation, key);
            success.push(Op::delete_range(from, to));
            success.push(Op::delete(self.keys.entry(generation, key)));
        }
        let asks = !batch.quiet && batch.may_replace();
        let touched = batch.touched().map(str::to_owned).collect();
        let record = Record::touching(origin, touched, asks);
        success.push(Op::put(self.keys.commit(), record.to_bytes()));
        let mut compare = self.compare();
        compare.extend(batch.checks.iter().map(|check| self.check(check)));
        let mut failure = self.failure();
        failure.extend(batch.checks.iter().map(|check| {
            Op::range(Range {
                keys_only: true,
                ..Range::one(self.checked(check))
            })
        }));
        let changes = batch.puts.len() + batch.deletes.len();
        let success = fold(success, compare.len()).ok_or_else(|| {
            StorageError::TooLong(format!(
                "a commit of {changes} changes and {} checks is more than etcd takes in one",
                batch.checks.len()
            ))
        })?;
        Ok(Txn {
            compare,
            success,
            failure,
        })
    }

    /// The transaction that puts a stage in the place of everything.
    pub fn adopt(&self, stage: &str, origin: &Origin) -> Txn {
        let record = Record::replacing(origin);
        let mut compare = self.compare();
        compare.push(Compare::is(self.keys.stage(), stage.into()));
        let mut failure = self.failure();
        failure.push(Op::range(Range::one(self.keys.stage())));
        Txn {
            compare,
            success: vec![
                Op::put(self.keys.root(), stage.into()),
                Op::delete(self.keys.stage()),
                Op::put(self.keys.commit(), record.to_bytes()),
            ],
            failure,
        }
    }

    /// The transaction of nothing, to which other nodes answer.
    pub fn ask(&self, origin: &Origin) -> Txn {
        let record = Record::touching(origin, Vec::new(), true);
        Txn {
            compare: self.compare(),
            success: vec![Op::put(self.keys.commit(), record.to_bytes())],
            failure: self.failure(),
        }
    }

    /// Why the transaction of a batch was not applied.
    pub fn verdict(&self, checks: &[Check], done: &Done) -> Verdict {
        let is_at = |place, revision| {
            let found = done.one(place);
            found.is_some_and(|kv| kv.mod_revision == revision)
        };
        if !is_at(0, self.turn) {
            return Verdict::Turn;
        }
        if !is_at(1, self.root.revision) {
            return Verdict::Root;
        }
        let failed = (2..).zip(checks).find_map(|(place, check)| {
            let found = done.one(place);
            let (name, holds) = match check {
                Check::Absent(key) => (key, found.is_none()),
                Check::Present(key) => (key, found.is_some()),
                Check::Unchanged(key, revision) => (
                    key,
                    found.is_some_and(|kv| unsigned(kv.mod_revision) == revision.0),
                ),
                Check::Held(name, fence) => (
                    name,
                    found.is_some_and(|kv| unsigned(kv.create_revision) == *fence),
                ),
            };
            (!holds).then(|| name.clone())
        });
        failed.map_or(Verdict::Passed, Verdict::Check)
    }

    fn compare(&self) -> Vec<Compare> {
        vec![
            Compare::modified(self.keys.turn(self.id), self.turn),
            Compare::modified(self.keys.root(), self.root.revision),
        ]
    }

    /// What is read where that does not hold.
    fn failure(&self) -> Vec<Op> {
        vec![
            Op::range(Range::one(self.keys.turn(self.id))),
            Op::range(Range::one(self.keys.root())),
        ]
    }

    fn check(&self, check: &Check) -> Compare {
        let key = self.checked(check);
        match check {
            Check::Absent(_) => Compare::absent(key),
            Check::Present(_) => Compare::present(key),
            Check::Unchanged(_, revision) => Compare::modified(key, signed(revision.0)),
            Check::Held(_, fence) => Compare::created(key, signed(*fence)),
        }
    }

    fn checked(&self, check: &Check) -> Vec<u8> {
        match check {
            Check::Absent(key) | Check::Present(key) | Check::Unchanged(key, _) => {
                self.keys.entry(&self.root.generation, key)
            }
            Check::Held(name, _) => self.keys.lock(name),
        }
    }
}

/// What puts an entry: it, with its parts where it has some, and none that stood there before.
pub(super) fn put(
    keys: &Keys,
    generation: &str,
    key: &str,
    value: &[u8],
    parts: Option<&Parts>,
) -> Vec<Op> {
    let entry = keys.entry(generation, key);
    let (from, to) = keys.parts(generation, key);
    let Some(parts) = parts else {
        return vec![
            Op::delete_range(from, to),
            Op::put(entry, value::whole(value)),
        ];
    };
    let (first, behind) = keys.parts_of(generation, key, &parts.id);
    let mut ops = vec![Op::delete_range(from, first), Op::delete_range(behind, to)];
    let kept = (0..parts.count()).map(|n| Op::keep(keys.part(generation, key, &parts.id, n)));
    ops.extend(kept);
    ops.push(Op::put(entry, value::named(parts)));
    ops
}

/// Bytes of a request that puts and removes all that, at the most.
pub(super) fn weight<'b>(
    keys: &Keys,
    puts: &Puts<'b>,
    deletes: impl Iterator<Item = &'b str>,
) -> usize {
    // Keys stand in the entry and in the record, where they may be escaped.
    let of_key = |key: &str| 3 * key.len() + 3 * keys.prefix().len() + BESIDE;
    let puts = puts.iter().map(|(key, value)| of_key(key) + value.len());
    puts.chain(deletes.map(of_key)).sum()
}

/// Operations in transactions of transactions, beside so many comparisons; `None` where that is not
/// to be had.
pub(super) fn fold(ops: Vec<Op>, compares: usize) -> Option<Vec<Op>> {
    let width = (1..=3u32).find_map(|depth| {
        let width = OPERATIONS / usize::try_from(depth).ok()?;
        (compares <= width && ops.len() <= width.pow(depth)).then_some(width)
    })?;
    let mut ops = ops;
    while ops.len() > width {
        let mut folded = Vec::with_capacity(ops.len().div_ceil(width));
        let mut left = ops.into_iter();
        loop {
            let some: Vec<Op> = left.by_ref().take(width).collect();
            if some.is_empty() {
                break;
            }
            folded.push(Op::all(some));
        }
        ops = folded;
    }
    Some(ops)
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Answer, KeyValue, OpAnswer, Ranged, Request};
    use super::*;
    use keyfold_core::ports::storage::Revision;

    /// How many operations there are, and the most that stand in one another, level by level.
    fn shape(ops: &[Op]) -> (usize, Vec<usize>) {
        let mut count = 0;
        let mut below: Vec<usize> = Vec::new();
        for op in ops {
            let Some(Request::Txn(txn)) = &op.request else {
                count += 1;
                continue;
            };
            let (within, levels) = shape(&txn.success);
            count += within;
            below.resize(below.len().max(levels.len()), 0);
            for (most, level) in below.iter_mut().zip(levels) {
                *most = level.max(*most);
            }
        }
        below.insert(0, ops.len());
        (count, below)
    }

    #[test]
    fn what_is_folded_is_all_there_and_within_the_limit() {
        for (count, compares, fits) in [
            (1, 2, true),
            (OPERATIONS, OPERATIONS, true),
            (OPERATIONS + 1, 2, true),
            (64 * 64, 64, true),
            (64 * 64 + 1, 42, true),
            (42 * 42 * 42, 42, true),
            (42 * 42 * 42 + 1, 2, false),
            (OPERATIONS + 1, 65, false),
            (1, OPERATIONS + 1, false),
        ] {
            let ops = (0..count).map(|n| Op::delete(vec![n as u8])).collect();
            let folded = fold(ops, compares);
            assert_eq!(folded.is_some(), fits, "{count} {compares}");
            let Some(folded) = folded else { continue };
            let (kept, levels) = shape(&folded);
            assert_eq!(kept, count);
            let first = levels[0].max(compares);
            let sum = first + levels.iter().skip(1).sum::<usize>();
            assert!(sum <= OPERATIONS, "{count} {compares}: {levels:?}");
        }
    }

    #[test]
    fn the_first_check_that_fails_is_named_and_the_terms_come_before() {
        let keys = Keys::new("k");
        let root = Root {
            generation: "7a".into(),
            revision: 5,
        };
        let terms = Terms {
            keys: &keys,
            id: "n",
            turn: 4,
            root: &root,
        };
        let checks = [
            Check::Absent("a".to_owned()),
            Check::Unchanged("b".to_owned(), Revision(9)),
            Check::Held("l".to_owned(), 8),
        ];
        let kv = |created: i64, modified: i64| KeyValue {
            create_revision: created,
            mod_revision: modified,
            ..KeyValue::default()
        };
        let done = |found: [Option<KeyValue>; 5]| Done {
            responses: found
                .map(|kv| OpAnswer {
                    response: Some(Answer::Range(Ranged {
                        kvs: kv.into_iter().collect(),
                        ..Ranged::default()
                    })),
                })
                .to_vec(),
            ..Done::default()
        };
        let (turn, at_root) = (Some(kv(1, 4)), Some(kv(1, 5)));
        let (b, l) = (Some(kv(2, 9)), Some(kv(8, 8)));
        for (found, verdict) in [
            (
                [turn.clone(), at_root.clone(), None, b.clone(), l.clone()],
                Verdict::Passed,
            ),
            (
                [None, at_root.clone(), b.clone(), b.clone(), l.clone()],
                Verdict::Turn,
            ),
            (
                [Some(kv(1, 6)), at_root.clone(), None, b.clone(), l.clone()],
                Verdict::Turn,
            ),
            (
                [turn.clone(), Some(kv(1, 6)), b.clone(), None, None],
                Verdict::Root,
            ),
            (
                [turn.clone(), at_root.clone(), b.clone(), None, None],
                Verdict::Check("a".to_owned()),
            ),
            (
                [turn.clone(), at_root.clone(), None, Some(kv(9, 10)), None],
                Verdict::Check("b".to_owned()),
            ),
            (
                [turn, at_root, None, b, Some(kv(9, 9))],
                Verdict::Check("l".to_owned()),
            ),
        ] {
            assert_eq!(terms.verdict(&checks, &done(found)), verdict);
        }
    }
}
