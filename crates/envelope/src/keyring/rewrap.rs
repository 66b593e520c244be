//! Moves a keyring under the newest version of its KEK: one row a DEK, whatever hangs below it.

use std::collections::BTreeMap;

use super::dek::ServiceDek;
use super::error::KeyringError;
use super::row::Row;
use super::store::{Change, KeyringStore};
use crate::key_service::{KeyService, RewrapItem, ServiceError, WrappedDek};
use crate::locator::Locator;

/// What was done to a keyring.
#[derive(Debug, Default)]
pub struct KeyringRewrap {
    /// Rows with a wrap.
    pub deks: u64,
    /// Rows that got a new wrap.
    pub rewrapped: u64,
    /// Rows that had nothing to do.
    pub already_newest: u64,
    /// Calls that rewrap: one for each KEK, or more where a server does not take so many wraps.
    pub server_calls: u64,
    /// The newest version that each KEK answered with.
    pub newest: BTreeMap<Locator, u32>,
    /// Rows that were left as they were, by number.
    pub failures: Vec<(u32, KeyringError)>,
}

/// A new wrap and what it was made from.
struct Moved {
    dek_no: u32,
    old: WrappedDek,
    new: WrappedDek,
}

/// Rewraps all rows without a DEK being seen: it needs the right to rewrap only, and with `verify`
/// the right to decrypt, to see that each new wrap opens what its row commits to before it is saved.
///
/// A second run finds what this one left undone. `Err` means that the keyring could not be read or
/// saved, or that the key service can't be asked.
pub fn rewrap_keyring(
    store: &dyn KeyringStore,
    keys: &dyn KeyService,
    verify: bool,
) -> Result<KeyringRewrap, KeyringError> {
    let keyring = store.load()?;
    let mut by_key: BTreeMap<&Locator, Vec<(&Row, &WrappedDek)>> = BTreeMap::new();
    for row in keyring.rows() {
        if let Some(wrapped) = &row.wrapped {
            by_key.entry(&row.key).or_default().push((row, wrapped));
        }
    }
    let mut run = Run {
        keys,
        service: keyring.service(),
        verify,
        moved: Vec::new(),
        report: KeyringRewrap::default(),
    };
    for (key, rows) in by_key {
        for rows in rows.chunks(keys.batch().max(1)) {
            run.ask(key, rows)?;
        }
    }
    let Run {
        moved, mut report, ..
    } = run;
    report.rewrapped = save(store, &moved)?;
    Ok(report)
}

struct Run<'a> {
    keys: &'a dyn KeyService,
    service: &'a str,
    verify: bool,
    moved: Vec<Moved>,
    report: KeyringRewrap,
}

impl Run<'_> {
    fn ask(&mut self, key: &Locator, rows: &[(&Row, &WrappedDek)]) -> Result<(), KeyringError> {
        let items = rows.iter().map(|(row, wrapped)| RewrapItem {
            wrapped: (*wrapped).clone(),
            aad: row.aad(self.service),
        });
        let outcomes = self.keys.rewrap(key, &items.collect::<Vec<_>>())?;
        add(&mut self.report.server_calls, 1);
        if outcomes.len() != rows.len() {
            let odd = "it has not one result for each wrap".to_owned();
            return Err(ServiceError::Other(odd).into());
        }
        for ((row, old), outcome) in rows.iter().zip(outcomes) {
            add(&mut self.report.deks, 1);
            if let Err(error) = self.take(row, old, outcome) {
                self.report.failures.push((row.dek_no, error));
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        row: &Row,
        old: &WrappedDek,
        outcome: Result<WrappedDek, ServiceError>,
    ) -> Result<(), KeyringError> {
        let new = outcome?;
        let newest = self.report.newest.entry(row.key.clone()).or_default();
        *newest = new.version.max(*newest);
        if new.version <= old.version {
            add(&mut self.report.already_newest, 1);
            return Ok(());
        }
        if self.verify {
            let aad = row.aad(self.service);
            let dek = self.keys.unwrap(&row.key, &new, aad.as_ref())?;
            if !ServiceDek::new(row, self.service, dek, None).fits(row) {
                return Err(KeyringError::WrongDek(row.dek_no));
            }
        }
        self.moved.push(Moved {
            dek_no: row.dek_no,
            old: old.clone(),
            new,
        });
        Ok(())
    }
}

/// Saves the new wraps whose rows still hold the old ones; their counts may have moved on. How many.
fn save(store: &dyn KeyringStore, moved: &[Moved]) -> Result<u64, KeyringError> {
    let mut saved = 0;
    if moved.is_empty() {
        return Ok(saved);
    }
    store.update(&mut |keyring| {
        let change = |moved: &Moved| {
            let row = keyring.row(moved.dek_no)?;
            (row.wrapped.as_ref() == Some(&moved.old)).then(|| Change {
                old: Some(row.clone()),
                new: Row {
                    wrapped: Some(moved.new.clone()),
                    ..row.clone()
                },
            })
        };
        let changes: Vec<_> = moved.iter().filter_map(change).collect();
        saved = changes.len() as u64;
        Ok(changes)
    })?;
    Ok(saved)
}

fn add(count: &mut u64, more: u64) {
    *count = count.saturating_add(more);
}
