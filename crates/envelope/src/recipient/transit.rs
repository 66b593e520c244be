//! Slots of type 1: a key of a server wraps the DEK.

use keyfold_secret::Protected;

use super::{Identity, Recipient};
use crate::error::Error;
use crate::header::Prelude;
use crate::key_service::{KeyService, ServiceError, WrappedDek};
use crate::locator::Locator;
use crate::slot::{FLAG_AAD_BOUND, Slot, TYPE_TRANSIT, kek_id};

/// A key of a server, as a recipient.
#[derive(Clone, Copy)]
pub struct TransitKey<'a> {
    service: &'a dyn KeyService,
    locator: &'a Locator,
}

impl<'a> TransitKey<'a> {
    /// The key at `locator`, whose newest version wraps.
    #[must_use]
    pub fn new(service: &'a dyn KeyService, locator: &'a Locator) -> Self {
        Self { service, locator }
    }
}

impl Recipient for TransitKey<'_> {
    fn wrap(&self, prelude: &Prelude, dek: &Protected<32>) -> Result<Slot, Error> {
        let aad = self.service.binds_aad().then(|| prelude.aad());
        let wrapped = self.service.wrap(self.locator, dek, aad.as_ref())?;
        let wrap_len = wrapped.blob.len();
        let slot = Slot {
            flags: if aad.is_some() { FLAG_AAD_BOUND } else { 0 },
            version: wrapped.version,
            kek_id: kek_id(&self.service.cluster_id()?, self.locator),
            locator: Some(self.locator.clone()),
            ..Slot::new(TYPE_TRANSIT, wrapped.blob)
        };
        // What rotates such slots writes one sector.
        if slot.span != 1 {
            return Err(Error::WrapSize(wrap_len));
        }
        Ok(slot)
    }
}

impl<S: KeyService + ?Sized> Identity for S {
    fn open(&self, prelude: &Prelude, slot: &Slot) -> Option<Result<Protected<32>, Error>> {
        let locator = slot.transit()?;
        let wrapped = WrappedDek {
            version: slot.version,
            blob: slot.blob.clone(),
        };
        let aad = slot.is_aad_bound().then(|| prelude.aad());
        let dek = self.unwrap(locator, &wrapped, aad.as_ref());
        Some(dek.map_err(|error| match error {
            ServiceError::BelowMinimum => Error::VersionBelowMinimum {
                locator: locator.clone(),
                version: slot.version,
            },
            other => Error::Service(other),
        }))
    }
}
