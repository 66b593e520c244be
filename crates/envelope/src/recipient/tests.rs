use super::*;
use crate::testing::{Service, locator};
use crate::{
    Context, DecryptOptions, EncryptOptions, NoProgress, Opened, decrypt_stream, encrypt_stream,
};

const PLAIN: &[u8] = b"what nobody may change";

/// One recipient of each kind.
struct All {
    service: Service,
    identity: XWingIdentity,
    passphrase: Passphrase,
}

impl All {
    fn new() -> Self {
        Self {
            service: Service::new(),
            identity: XWingIdentity::generate().unwrap(),
            passphrase: Passphrase::cheap("correct horse"),
        }
    }

    fn identities(&self) -> [&dyn Identity; 3] {
        [&self.service, &self.identity, &self.passphrase]
    }

    fn encrypt(&self) -> Vec<u8> {
        let (locator, recipient) = (locator(), self.identity.recipient());
        let key = TransitKey::new(&self.service, &locator);
        let recipients: [&dyn Recipient; 3] = [&key, &recipient, &self.passphrase];
        let mut file = Vec::new();
        encrypt_stream(
            &recipients,
            &Context::new(),
            PLAIN,
            &mut file,
            &EncryptOptions::default(),
            &NoProgress,
        )
        .unwrap();
        file
    }
}

/// What was released must be a beginning of the plaintext, and all of it where nothing failed.
fn open(identities: &[&dyn Identity], file: &[u8]) -> Result<Opened, Error> {
    let mut released = Vec::new();
    let options = DecryptOptions {
        workers: std::num::NonZeroUsize::new(1),
        ..DecryptOptions::default()
    };
    let context = Context::new();
    let result = decrypt_stream(
        identities,
        &context,
        file,
        &mut released,
        &options,
        &NoProgress,
    );
    match result {
        Ok(_) => assert_eq!(released, PLAIN),
        Err(_) => assert!(released.is_empty()),
    }
    result
}

#[test]
fn each_recipient_opens_alone_and_says_so() {
    let all = All::new();
    let file = all.encrypt();
    for (identity, (kind, index)) in all.identities().iter().zip([(1, 0), (4, 1), (5, 4)]) {
        let opened = open(&[*identity], &file).unwrap();
        assert_eq!((opened.slot.kind, opened.slot.index), (kind, index));
    }
    let other = All::new();
    let others: [&dyn Identity; 2] = [&other.service, &other.identity];
    assert!(open(&others, &file).is_err());
    // The first that opens it is enough: the server is not asked.
    all.service.reset_calls();
    open(&[&all.identity, &all.service], &file).unwrap();
    assert_eq!(all.service.calls().unwrap, 0);
    let wrong = Passphrase::cheap("x");
    let error = open(&[&wrong], &file).unwrap_err();
    assert!(matches!(error, Error::WrongIdentity("passphrase")));
    assert_eq!(open(&[&wrong, &all.service], &file).unwrap().slot.kind, 1);
}

/// Each byte of the header in turn: an error, or the same plaintext by another slot.
#[test]
fn a_flipped_byte_releases_nothing_else() {
    let all = All::new();
    let good = all.encrypt();
    // Bytes 512, 1024 and 3072 start the three slots.
    let slot_of = |at: usize| match at {
        512..1024 => Some(0),
        1024..2560 => Some(1),
        2560..3072 => Some(2),
        _ => None,
    };
    for at in 0..4096 {
        let mut file = good.clone();
        file[at] ^= 1 << (at % 8);
        // Each of them alone costs more, so not for every byte.
        let alone = match at % 3 {
            0 => all.identities().map(|one| Some(open(&[one], &file))),
            _ => [const { None }; 3],
        };
        let together = open(&all.identities(), &file);
        match slot_of(at) {
            Some(slot) => {
                for (number, result) in alone.iter().enumerate() {
                    let as_it_should = |result: &Result<_, _>| result.is_err() == (number == slot);
                    assert!(result.as_ref().is_none_or(as_it_should), "byte {at}");
                }
                assert!(together.unwrap().damaged_slots > 0, "byte {at}");
            }
            // The empty sector became a damaged one, which a reader passes over.
            None if (3072..3584).contains(&at) => assert!(together.is_ok(), "byte {at}"),
            None => {
                assert!(together.is_err(), "byte {at}");
                assert!(alone.iter().flatten().all(Result::is_err), "byte {at}");
            }
        }
    }
}

#[test]
fn slots_of_another_envelope_open_nothing() {
    let all = All::new();
    let (file, other) = (all.encrypt(), all.encrypt());
    for (sectors, identity) in [
        (512..1024, &all.service as &dyn Identity),
        (1024..2560, &all.identity),
        (2560..3072, &all.passphrase),
    ] {
        let mut moved = file.clone();
        moved[sectors.clone()].copy_from_slice(&other[sectors.clone()]);
        assert!(open(&[identity], &moved).is_err(), "{sectors:?}");
        assert!(open(&all.identities(), &moved).is_ok(), "{sectors:?}");
    }
    let mut moved = file.clone();
    moved[512..3584].copy_from_slice(&other[512..3584]);
    assert!(open(&all.identities(), &moved).is_err());
}
