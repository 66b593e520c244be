//! From a header to the payload's key: context first, then the slots, then the commitment.

use keyfold_secret::Protected;

use crate::cobblestone::PayloadKey;
use crate::context::Context;
use crate::error::Error;
use crate::header::Header;
use crate::inspect::SlotInfo;
use crate::key_service::ServiceError;
use crate::recipient::Identity;
use crate::slot::Slot;

/// A payload key that the header commits to, and the slot it came from.
pub(crate) struct Unlocked {
    pub(crate) key: PayloadKey,
    pub(crate) slot: SlotInfo,
}

/// Unwraps the DEK by the first slot that opens this payload: that of the first identity, newest
/// first, then those of the others.
///
/// The answer is the error of the slot that should have opened it when none does, or that somebody
/// could not be asked: then another try may go well.
pub(crate) fn unlock(
    identities: &[&dyn Identity],
    header: &Header,
    context: &Context,
) -> Result<Unlocked, Error> {
    let (_, unlocked) = first_that_opens(identities, header, context)?;
    Ok(unlocked)
}

/// The same for who needs the DEK itself, to wrap it again.
pub(crate) fn unlock_dek(
    identities: &[&dyn Identity],
    header: &Header,
    context: &Context,
) -> Result<Protected<32>, Error> {
    let (dek, _) = first_that_opens(identities, header, context)?;
    Ok(dek)
}

fn first_that_opens(
    identities: &[&dyn Identity],
    header: &Header,
    context: &Context,
) -> Result<(Protected<32>, Unlocked), Error> {
    check_context(header, context)?;
    let candidates = header.slots.candidates();
    let (mut unasked, mut first_error) = (None, None);
    for identity in identities {
        let mut refused = Vec::new();
        for (index, slot) in &candidates {
            if slot.locator.is_some() && refused.contains(&&slot.locator) {
                continue;
            }
            match open_slot(*identity, header, slot) {
                None => {}
                Some(Ok((dek, key))) => {
                    let slot = SlotInfo::of(*index, slot);
                    return Ok((dek, Unlocked { key, slot }));
                }
                // Nobody will answer for the other slots either; another identity may.
                Some(Err(
                    error @ Error::Service(ServiceError::Unreachable(_) | ServiceError::Sealed),
                )) => {
                    unasked.get_or_insert(error);
                    break;
                }
                Some(Err(error)) => {
                    // The policy is about the key, whatever the version.
                    if let Error::Service(ServiceError::Denied | ServiceError::NotFound) = error {
                        refused.push(&slot.locator);
                    }
                    first_error.get_or_insert(error);
                }
            }
        }
    }
    let error = unasked.or(first_error);
    Err(error.unwrap_or(match header.slots.damaged() {
        0 => Error::NoUsableSlot,
        _ => Error::TornSlot,
    }))
}

/// Unwraps the DEK of one slot and checks it against the payload's commitment; `None` where the slot
/// is for somebody else.
pub(crate) fn open_slot<I: Identity + ?Sized>(
    identity: &I,
    header: &Header,
    slot: &Slot,
) -> Option<Result<(Protected<32>, PayloadKey), Error>> {
    Some(identity.open(&header.prelude, slot)?.and_then(|dek| {
        let key = PayloadKey::derive(&dek, &header.salt, &header.prelude.payload_context());
        if key.commits_to(&header.commitment) {
            Ok((dek, key))
        } else {
            Err(Error::WrongKey)
        }
    }))
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
    use crate::recipient::{Recipient, TransitKey};
    use crate::slot::{SLOT_LEN, SlotTable};
    use crate::testing::{Service, locator};

    fn header(service: &Service) -> Header {
        let locator = locator();
        let recipient = TransitKey::new(service, &locator);
        let made = seal_header(&[&recipient], &Context::new(), &Labels::default());
        made.unwrap().header
    }

    #[test]
    fn a_wrong_context_asks_nobody() {
        let service = Service::new();
        let header = header(&service);
        let other = Context::from_pairs(["a=b"]).unwrap();
        service.reset_calls();
        assert!(matches!(
            unlock(&[&service], &header, &other),
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
            unlock(&[&service], &one, &Context::new()),
            Err(Error::WrongKey)
        ));
        // Where the wrap is bound to its file, the server is the first to notice.
        let service = Service::new();
        let mut one = header(&service);
        one.slots = header(&service).slots;
        let error = unlock(&[&service], &one, &Context::new()).err();
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
            let error = unlock(&[&service], &changed, &Context::new()).err();
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
            unlock(&[&service], &header, &Context::new()),
            Err(Error::TornSlot)
        ));
        header.slots = SlotTable::parse(&[]);
        assert!(matches!(
            unlock(&[&service], &header, &Context::new()),
            Err(Error::NoUsableSlot)
        ));
    }

    #[test]
    fn the_service_s_refusals_come_through() {
        let service = Service::new();
        let header = header(&service);
        let error = || unlock(&[&service], &header, &Context::new()).err();
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
        assert!(unlock(&[&service], &header, &Context::new()).is_ok());
    }
    #[test]
    fn an_unreachable_server_does_not_keep_the_others_from_opening() {
        let (down, other, right) = (Service::new(), Service::new(), Service::new());
        down.fail_with(Some(ServiceError::Unreachable("refused".into())));
        let header = header(&right);
        let open = |identities: &[&dyn Identity]| unlock(identities, &header, &Context::new());
        assert!(open(&[&down, &other, &right]).is_ok());
        assert_eq!(right.calls().unwrap, 1);
        // Where none of them opens it, the one that was not asked is worth another try.
        for identities in [[&down, &other], [&other, &down]] {
            let identities = identities.map(|service| service as &dyn Identity);
            assert!(matches!(
                open(&identities).err(),
                Some(Error::Service(ServiceError::Unreachable(_)))
            ));
        }
        assert!(matches!(open(&[]).err(), Some(Error::NoUsableSlot)));
    }

    #[test]
    fn each_recipient_has_a_slot_that_opens() {
        let (one, two) = (Service::new(), Service::new());
        let (locator, context) = (locator(), Context::new());
        let recipients = [&one, &two].map(|service| TransitKey::new(service, &locator));
        let [first, second] = &recipients;
        let made = seal_header(&[first, second], &context, &Labels::default());
        let header = made.unwrap().header;
        for (service, index) in [(&one, 0), (&two, 1)] {
            let opened = unlock(&[service], &header, &context).unwrap();
            assert_eq!(opened.slot.index, index);
        }
        let none = seal_header(&[], &context, &Labels::default());
        assert!(matches!(none.err(), Some(Error::NoRecipient)));
        let seven = [first as &dyn Recipient; 7];
        let seven = seal_header(&seven, &context, &Labels::default());
        assert!(matches!(seven.err(), Some(Error::NoFreeSlot)));
    }
}
