//! Moves a keyring under the newest version of its KEK, or under another KEK: one row a DEK, whatever hangs below it.

use std::collections::{BTreeMap, BTreeSet};

use super::dek::ServiceDek;
use super::error::KeyringError;
use super::row::Row;
use super::store::{Change, KeyringStore};
use crate::key_service::{Aad, KeyService, RewrapItem, RewrapOutcome, ServiceError, WrappedDek};
use crate::locator::Locator;
use crate::rewrap::{Ask, Destination, Target};

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
    /// The KEKs that rows were moved away from.
    pub left: BTreeSet<Locator>,
    /// Behind a move, the KEK of the next DEK where that is not the new one: the newest row did not move.
    pub stays: Option<Locator>,
    /// Rows that were left as they were, by number.
    pub failures: Vec<(u32, KeyringError)>,
}

/// A new wrap and what it was made from.
struct Moved {
    dek_no: u32,
    old: WrappedDek,
    new: Wrap,
}

/// A wrap, and what a row says of it.
struct Wrap {
    wrapped: WrappedDek,
    key: Locator,
    kek_id: [u8; 16],
    bound: bool,
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
    go_through(store, keys, None, verify)
}

/// Wraps the rows with another KEK, of this server or of another one, which needs the right to decrypt at the
/// first. A row has room for one wrap: a reader needs the new KEK from then on, but for the DEKs that it has in
/// memory. With the newest row the keyring moves: the next DEK is wrapped by the new KEK.
///
/// A second run finds what this one left undone.
pub fn move_keyring(
    store: &dyn KeyringStore,
    keys: &dyn KeyService,
    target: Target<'_>,
    verify: bool,
) -> Result<KeyringRewrap, KeyringError> {
    let to = Destination::new(target, keys)?;
    go_through(store, keys, Some(&to), verify)
}

fn go_through(
    store: &dyn KeyringStore,
    keys: &dyn KeyService,
    to: Option<&Destination<'_>>,
    verify: bool,
) -> Result<KeyringRewrap, KeyringError> {
    let keyring = store.load()?;
    let mut run = Run {
        keys,
        to,
        service: keyring.service(),
        verify,
        moved: Vec::new(),
        report: KeyringRewrap::default(),
    };
    let mut by_key: BTreeMap<&Locator, Vec<(&Row, &WrappedDek)>> = BTreeMap::new();
    for row in keyring.rows() {
        match &row.wrapped {
            Some(_) if to.is_some_and(|to| !to.takes(&row.key, row.kek_id)) => {
                add(&mut run.report.deks, 1);
                add(&mut run.report.already_newest, 1);
            }
            Some(wrapped) => by_key.entry(&row.key).or_default().push((row, wrapped)),
            None => {}
        }
    }
    let other = to.and_then(|to| to.target.service).unwrap_or(keys);
    let batch = keys.batch().min(other.batch()).max(1);
    for (key, rows) in by_key {
        for rows in rows.chunks(batch) {
            run.ask(key, rows)?;
        }
    }
    let Run {
        moved, mut report, ..
    } = run;
    report.rewrapped = save(store, &moved)?;
    if let Some(to) = to {
        let next = store.load()?.key().clone();
        report.stays = (next != to.target.locator).then_some(next);
    }
    Ok(report)
}

struct Run<'a> {
    keys: &'a dyn KeyService,
    to: Option<&'a Destination<'a>>,
    service: &'a str,
    verify: bool,
    moved: Vec<Moved>,
    report: KeyringRewrap,
}

impl Run<'_> {
    fn ask(&mut self, key: &Locator, rows: &[(&Row, &WrappedDek)]) -> Result<(), KeyringError> {
        let outcomes = self.wraps(key, rows)?;
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

    fn wraps(
        &self,
        key: &Locator,
        rows: &[(&Row, &WrappedDek)],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        let items = rows.iter().map(|(row, wrapped)| RewrapItem {
            wrapped: (*wrapped).clone(),
            aad: row.aad(self.service),
        });
        let Some(to) = self.to else {
            return self.keys.rewrap(key, &items.collect::<Vec<_>>());
        };
        let asks = items.zip(rows).map(|(item, (row, _))| Ask {
            item,
            aad: self.aad(row),
        });
        to.rewrap(self.keys, key, &asks.collect::<Vec<_>>())
    }

    /// What a row's new wrap is bound to.
    fn aad(&self, row: &Row) -> Option<Aad> {
        let old = row.aad(self.service);
        self.to
            .map_or(old, |to| to.aad(old, Some(row.binding(self.service))))
    }

    fn take(
        &mut self,
        row: &Row,
        old: &WrappedDek,
        outcome: RewrapOutcome,
    ) -> Result<(), KeyringError> {
        let wrapped = outcome?;
        let aad = self.aad(row);
        let key = self.to.map_or(&row.key, |to| &to.target.locator);
        let newest = self.report.newest.entry(key.clone()).or_default();
        *newest = wrapped.version.max(*newest);
        if self.to.is_none() && wrapped.version <= old.version {
            add(&mut self.report.already_newest, 1);
            return Ok(());
        }
        if self.verify {
            let service = self.to.and_then(|to| to.target.service);
            let service = service.unwrap_or(self.keys);
            let dek = service.unwrap(key, &wrapped, aad.as_ref())?;
            if !ServiceDek::new(row, self.service, dek, None).fits(row) {
                return Err(KeyringError::WrongDek(row.dek_no));
            }
        }
        if *key != row.key {
            self.report.left.insert(row.key.clone());
        }
        self.moved.push(Moved {
            dek_no: row.dek_no,
            old: old.clone(),
            new: Wrap {
                wrapped,
                key: key.clone(),
                kek_id: self.to.map_or(row.kek_id, |to| to.kek_id),
                bound: aad.is_some(),
            },
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
            let new = &moved.new;
            (row.wrapped.as_ref() == Some(&moved.old)).then(|| Change {
                old: Some(row.clone()),
                new: Row {
                    wrapped: Some(new.wrapped.clone()),
                    key: new.key.clone(),
                    kek_id: new.kek_id,
                    bound: new.bound,
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
