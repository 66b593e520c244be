//! A version of a transit key that was exported: it opens the slots of type 1 that the server wrapped
//! with it, without the server.

use keyfold_secret::{Protected, Secret};

use super::{Identity, text, wrap};
use crate::error::Error;
use crate::header::Prelude;
use crate::locator::Locator;
use crate::slot::Slot;

/// One version of an `aes256-gcm96` key.
pub struct ExportedKek {
    locator: Locator,
    version: u32,
    key: Protected<32>,
}

impl ExportedKek {
    /// The key's place, version and material.
    #[must_use]
    pub fn new(locator: Locator, version: u32, key: Protected<32>) -> Self {
        Self {
            locator,
            version,
            key,
        }
    }

    /// One line, `KEYFOLD-KEK-… mount/key`. Whoever reads it opens what this version wrapped.
    #[must_use]
    pub fn text(&self) -> Secret<String> {
        text::of_kek(&self.locator, self.version, &self.key)
    }
}

impl Identity for ExportedKek {
    fn open(&self, prelude: &Prelude, slot: &Slot) -> Option<Result<Protected<32>, Error>> {
        // The cluster is not looked at: a key may have moved to another one with a snapshot.
        if slot.transit()? != &self.locator || slot.version != self.version {
            return None;
        }
        let aad = slot.is_aad_bound().then(|| prelude.aad());
        let aad = aad.as_ref().map_or(&[][..], |aad| aad);
        let dek = wrap::unwrap(&self.key, aad, &slot.blob);
        Some(dek.ok_or(Error::WrongIdentity("exported key")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipient::{Recipient as _, TransitKey};
    use crate::testing::{Service, locator, prelude};

    fn exported(service: &Service, place: &str, version: u32) -> ExportedKek {
        let key = service.export(version as usize);
        let key = Protected::init_with(|out| out.copy_from_slice(&key));
        ExportedKek::new(place.parse().unwrap(), version, key)
    }

    #[test]
    fn it_opens_what_the_server_wrapped() {
        let dek = Protected::init_with(|dek| dek.fill(5));
        for service in [Service::new(), Service::unbound()] {
            service.rotate();
            let locator = locator();
            let slot = TransitKey::new(&service, &locator).wrap(&prelude(1), &dek);
            let slot = slot.unwrap();
            let open = |kek: ExportedKek| kek.open(&prelude(1), &slot);
            let right = open(exported(&service, "transit/payments", 2));
            assert!(right.unwrap().unwrap().ct_eq(&dek));
            assert!(open(exported(&service, "transit/payments", 1)).is_none());
            assert!(open(exported(&service, "transit/other", 2)).is_none());
            let other = Service::new();
            other.rotate();
            let wrong = open(exported(&other, "transit/payments", 2)).unwrap();
            assert!(matches!(wrong.err(), Some(Error::WrongIdentity(_))));
            let moved = exported(&service, "transit/payments", 2);
            let moved = moved.open(&prelude(2), &slot).unwrap();
            assert_eq!(moved.is_ok(), !slot.is_aad_bound());
        }
    }
}
