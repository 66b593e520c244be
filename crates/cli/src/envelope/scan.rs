//! [`Scan`]: what lies under which version, below each of some paths or at an address.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use keyfold_envelope::slot::SlotState;
use keyfold_envelope::{Census, CensusRow, Locator};

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
                let key = (row.locator.clone(), row.kek_id, row.version, row.state);
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
    /// What is in use: envelopes by key and version, without the wraps that are retired.
    pub(super) fn in_use(&self) -> BTreeMap<(Option<&Locator>, u32), u64> {
        let mut versions = BTreeMap::new();
        for row in self
            .rows
            .iter()
            .filter(|row| row.state != SlotState::Retired)
        {
            let files: &mut u64 = versions
                .entry((row.locator.as_ref(), row.version))
                .or_default();
            *files = files.saturating_add(row.files);
        }
        versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_add_up() {
        let row = |version, state, files| CensusRow {
            locator: Some("transit/k".parse().unwrap()),
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
        let in_use: Vec<_> = sum.in_use().into_iter().map(|((_, v), n)| (v, n)).collect();
        assert_eq!(in_use, [(2, 9)]);
    }
}
