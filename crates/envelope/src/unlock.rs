//! From a header to the payload's key: context first, then the slots, then the commitment.

use crate::cobblestone::PayloadKey;
use crate::context::Context;
use crate::error::Error;
use crate::header::Header;
use crate::key_service::{KeyService, ServiceError, WrappedDek};
use crate::locator::Locator;
use crate::slot::Slot;

/// A payload key that the header commits to, and the slot it came from.
pub(crate) struct Unlocked {
    pub(crate) key: PayloadKey,
    pub(crate) locator: Locator,
    pub(crate) version: u32,
}

/// Unwraps the DEK by the first slot that opens this payload.
///
/// The answer is the error of the slot that should have opened it, the newest active one, when
/// none does.
pub(crate) fn unlock(
    service: &dyn KeyService,
    header: &Header,
    context: &Context,
) -> Result<Unlocked, Error> {
    check_context(header, context)?;
    let mut first_error = None;
    let mut refused = Vec::new();
    for (_, slot) in header.slots.candidates() {
        if refused.contains(&slot.transit()) {
            continue;
        }
        match open_slot(service, header, slot) {
            Ok(unlocked) => return Ok(unlocked),
            // Nobody will answer for the other slots either.
            Err(error @ Error::Service(ServiceError::Unreachable(_) | ServiceError::Sealed)) => {
                return Err(error);
            }
            Err(error) => {
                // The policy is about the key, whatever the version.
                if let Error::Service(ServiceError::Denied | ServiceError::NotFound) = error {
                    refused.push(slot.transit());
                }
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or(match header.slots.damaged() {
        0 => Error::NoUsableSlot,
        _ => Error::TornSlot,
    }))
}

/// Unwraps the DEK of one slot and checks it against the payload's commitment.
pub(crate) fn open_slot(
    service: &dyn KeyService,
    header: &Header,
    slot: &Slot,
) -> Result<Unlocked, Error> {
    let locator = slot.transit().ok_or(Error::NoUsableSlot)?;
    let wrapped = WrappedDek {
        version: slot.version,
        blob: slot.blob.clone(),
    };
    let aad = slot.is_aad_bound().then(|| header.prelude.aad());
    let dek = service
        .unwrap(locator, &wrapped, aad.as_ref())
        .map_err(|error| match error {
            ServiceError::BelowMinimum => Error::VersionBelowMinimum {
                locator: locator.clone(),
                version: slot.version,
            },
            other => Error::Service(other),
        })?;
    let key = PayloadKey::derive(&dek, &header.salt, &header.prelude.payload_context());
    if !key.commits_to(&header.commitment) {
        return Err(Error::WrongKey);
    }
    Ok(Unlocked {
        key,
        locator: locator.clone(),
        version: slot.version,
    })
}

/// Refuses a wrong encryption context before anybody is asked for a key.
fn check_context(header: &Header, context: &Context) -> Result<(), Error> {
    if header.prelude.matches(context) {
        Ok(())
    } else {
        Err(Error::WrongContext)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encrypt::seal_header;
    use crate::labels::Labels;
    use crate::slot::{SLOT_LEN, SlotTable};
    use crate::testing::{Service, locator};

    fn header(service: &Service) -> Header {
        seal_header(service, &locator(), &Context::new(), &Labels::default())
            .unwrap()
            .header
    }

    #[test]
    fn a_wrong_context_asks_nobody() {
        let service = Service::new();
        let header = header(&service);
        let other = Context::from_pairs(["a=b"]).unwrap();
        service.reset_calls();
        assert!(matches!(
            unlock(&service, &header, &other),
            Err(Error::WrongContext)
        ));
        assert_eq!(service.calls().unwrap, 0);
    }

    #[test]
    fn a_slot_of_another_file_is_a_wrong_key() {
        let service = Service::unbound();
        let mut one = header(&service);
        one.slots = header(&service).slots;
        assert!(matches!(
            unlock(&service, &one, &Context::new()),
            Err(Error::WrongKey)
        ));
        // Where the wrap is bound to its file, the server is the first to notice.
        let service = Service::new();
        let mut one = header(&service);
        one.slots = header(&service).slots;
        let error = unlock(&service, &one, &Context::new()).err();
        assert!(matches!(
            error,
            Some(Error::Service(ServiceError::WrongKey))
        ));
    }

    #[test]
    fn a_changed_prelude_salt_or_commitment_is_a_wrong_key() {
        let service = Service::unbound();
        let good = header(&service).encode();
        for at in (16..32).chain(4040..4096) {
            let mut bytes = good;
            bytes[at] ^= 0x10;
            let changed = Header::parse(&bytes).unwrap();
            let error = unlock(&service, &changed, &Context::new()).err();
            assert!(
                matches!(error, Some(Error::WrongKey)),
                "byte {at}: {error:?}"
            );
        }
    }

    #[test]
    fn a_torn_only_slot_and_no_slot_differ() {
        let service = Service::new();
        let mut header = header(&service);
        let mut table = *header.slots.as_bytes();
        table[SLOT_LEN / 2..SLOT_LEN].fill(0);
        header.slots = SlotTable::parse(&table);
        assert!(matches!(
            unlock(&service, &header, &Context::new()),
            Err(Error::TornSlot)
        ));
        header.slots = SlotTable::parse(&[]);
        assert!(matches!(
            unlock(&service, &header, &Context::new()),
            Err(Error::NoUsableSlot)
        ));
    }

    #[test]
    fn the_service_s_refusals_come_through() {
        let service = Service::new();
        let header = header(&service);
        let error = || unlock(&service, &header, &Context::new()).err();
        service.fail_with(Some(ServiceError::Denied));
        assert!(matches!(
            error(),
            Some(Error::Service(ServiceError::Denied))
        ));
        service.fail_with(Some(ServiceError::Sealed));
        assert!(matches!(
            error(),
            Some(Error::Service(ServiceError::Sealed))
        ));
        service.fail_with(None);
        service.rotate();
        service.retire_below(2);
        assert!(matches!(
            error(),
            Some(Error::VersionBelowMinimum { version: 1, .. })
        ));
        service.retire_below(1);
        assert!(unlock(&service, &header, &Context::new()).is_ok());
    }
}
