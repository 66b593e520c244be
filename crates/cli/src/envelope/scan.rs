//! [`Scan`]: what lies under which version, below each of some paths or at an address.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use keyfold_envelope::slot::SlotState;
use keyfold_envelope::{Census, CensusRow, Locator};

use super::opens_with;

/// What was found below one path, or at an address.
pub(super) struct Scan {
    pub(super) path: PathBuf,
    pub(super) began: Instant,
    pub(super) found: Census,
}

/// Some scans together.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) envelopes: u64,
    pub(super) bytes: u64,
    pub(super) other_files: u64,
    pub(super) with_damaged_slots: u64,
    pub(super) without_active_slot: u64,
    pub(super) with_offline_slot: u64,
    pub(super) offline_by_key: BTreeMap<Locator, u64>,
    pub(super) unreadable: u64,
    pub(super) rows: Vec<CensusRow>,
}

impl Scan {
    pub(super) fn sum(scans: &[Self]) -> Sum {
        let mut sum = Sum::default();
        let mut rows = BTreeMap::<_, CensusRow>::new();
        for found in scans.iter().map(|scan| &scan.found) {
            for (total, more) in [
                (&mut sum.envelopes, found.envelopes),
                (&mut sum.bytes, found.bytes),
                (&mut sum.other_files, found.other_files),
                (&mut sum.with_damaged_slots, found.with_damaged_slots),
                (&mut sum.without_active_slot, found.without_active_slot),
                (&mut sum.with_offline_slot, found.with_offline_slot),
                (&mut sum.unreadable, found.unreadable.len() as u64),
            ] {
                *total = total.saturating_add(more);
            }
            for (key, more) in &found.offline_by_key {
                let total = sum.offline_by_key.entry(key.clone()).or_default();
                *total = total.saturating_add(*more);
            }
            for row in &found.rows {
                let key = (
                    row.locator.clone(),
                    row.kind,
                    row.kek_id,
                    row.version,
                    row.state,
                );
                let empty = CensusRow {
                    files: 0,
                    bytes: 0,
                    ..row.clone()
                };
                let total = rows.entry(key).or_insert(empty);
                total.files = total.files.saturating_add(row.files);
                total.bytes = total.bytes.saturating_add(row.bytes);
            }
        }
        sum.rows = rows.into_values().collect();
        sum
    }
}

impl Sum {
    /// What is in use: envelopes by what opens them, without the wraps that are retired.
    pub(super) fn in_use(&self) -> BTreeMap<Opens<'_>, u64> {
        let mut used = by_version(&self.rows);
        used.retain(|_, files| *files > 0);
        used
    }
}

/// What opens envelopes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Opens<'a> {
    /// The KEK; `None` for what lies outside of any server.
    pub(super) key: Option<&'a Locator>,
    pub(super) version: u32,
    /// What to call it.
    pub(super) name: String,
}

/// Envelopes by what opens them. A wrap that is retired needs nothing more, and counts for none; one
/// that is pending may be all there is.
pub(super) fn by_version(rows: &[CensusRow]) -> BTreeMap<Opens<'_>, u64> {
    let mut versions = BTreeMap::new();
    for row in rows {
        let key = row.locator.as_ref();
        let opens = Opens {
            key,
            version: row.version,
            name: opens_with(key, row.kind, &row.kek_id, row.version),
        };
        let files: &mut u64 = versions.entry(opens).or_default();
        if row.state != SlotState::Retired {
            *files = files.saturating_add(row.files);
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyfold_envelope::slot::{TYPE_PASSPHRASE, TYPE_TRANSIT, TYPE_X_WING};

    #[test]
    fn scans_add_up() {
        let row = |version, state, files| CensusRow {
            locator: Some("transit/k".parse().unwrap()),
            kind: TYPE_TRANSIT,
            kek_id: [0; 16],
            version,
            state,
            files,
            bytes: 10 * files,
        };
        let scan = |rows| Scan {
            path: PathBuf::from("p"),
            began: Instant::now(),
            found: Census {
                envelopes: 1,
                rows,
                ..Census::default()
            },
        };
        let one = scan(vec![
            row(1, SlotState::Retired, 4),
            row(2, SlotState::Active, 3),
        ]);
        let other = scan(vec![
            row(2, SlotState::Active, 5),
            row(2, SlotState::Pending, 1),
        ]);
        let sum = Scan::sum(&[one, other]);
        assert_eq!((sum.envelopes, sum.rows.len()), (2, 3));
        let in_use: Vec<_> = sum.in_use().into_iter().collect();
        let names: Vec<_> = in_use.iter().map(|(o, n)| (&*o.name, *n)).collect();
        assert_eq!(names, [("transit/k version 2", 9)]);
    }

    #[test]
    fn what_no_server_opens_has_a_name_and_retired_wraps_need_nothing() {
        let row = |kind, id, state| CensusRow {
            locator: None,
            kind,
            kek_id: [id; 16],
            version: 0,
            state,
            files: 2,
            bytes: 0,
        };
        let rows = [
            row(TYPE_PASSPHRASE, 0, SlotState::Active),
            row(TYPE_X_WING, 1, SlotState::Active),
            row(TYPE_X_WING, 2, SlotState::Retired),
        ];
        let counted = by_version(&rows);
        let counted: Vec<_> = counted.iter().map(|(o, n)| (&*o.name, *n)).collect();
        assert_eq!(
            counted,
            [
                ("a passphrase", 2),
                ("offline key 0101010101010101", 2),
                ("offline key 0202020202020202", 0),
            ]
        );
    }
}
