//! A keyring as it was read, made ready for look-ups.

use std::collections::HashMap;
use std::sync::Arc;

use super::document::Keyring;
use super::error::KeyringError;
use super::row::Row;
use crate::cache::{CacheId, Partition, Purpose};

/// A keyring and the names that its DEKs have in the cache.
pub(super) struct Snapshot {
    pub(super) keyring: Keyring,
    /// In the order of the rows.
    seats: Vec<Arc<Seat>>,
    by_id: HashMap<[u8; 16], usize>,
}

/// One row.
pub(super) struct Seat {
    pub(super) row: Row,
    id: Option<CacheId>,
}

impl Snapshot {
    pub(super) fn new(keyring: Keyring, partition: &Partition) -> Self {
        let service = keyring.service();
        let seats = keyring.rows().iter().map(|row| {
            Arc::new(Seat {
                row: row.clone(),
                id: cache_id(row, service, partition),
            })
        });
        let ids = keyring.rows().iter().enumerate();
        Self {
            seats: seats.collect(),
            by_id: ids.map(|(at, row)| (row.dek_id, at)).collect(),
            keyring,
        }
    }

    /// The DEK that encrypts.
    pub(super) fn active(&self) -> Option<Arc<Seat>> {
        self.numbered(self.keyring.active()?.dek_no)
    }

    pub(super) fn numbered(&self, dek_no: u32) -> Option<Arc<Seat>> {
        let at = self
            .seats
            .binary_search_by_key(&dek_no, |seat| seat.row.dek_no);
        self.seats.get(at.ok()?).cloned()
    }

    pub(super) fn with_id(&self, dek_id: &[u8; 16]) -> Option<Arc<Seat>> {
        self.seats.get(*self.by_id.get(dek_id)?).cloned()
    }
}

impl Seat {
    /// The name of its DEK in the cache, or why it has none.
    pub(super) fn cache_id(&self, purpose: Purpose) -> Result<CacheId, KeyringError> {
        let id = self.id.ok_or(KeyringError::Destroyed(self.row.dek_no))?;
        Ok(id.with_purpose(purpose))
    }
}

/// What the cache keeps is a DEK *in its row*: its commitment depends on service, number and id.
fn cache_id(row: &Row, service: &str, partition: &Partition) -> Option<CacheId> {
    let wrapped = row.wrapped.as_ref()?;
    let number = row.dek_no.to_be_bytes();
    let place = [service.as_bytes(), &number, &row.dek_id].concat();
    let aad = row.aad(service);
    Some(CacheId::new(
        Purpose::Decrypt,
        partition,
        &row.kek_id,
        wrapped,
        aad.as_ref(),
        &place,
    ))
}
