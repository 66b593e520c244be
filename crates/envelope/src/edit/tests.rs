use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;

use super::*;
use crate::NoProgress;
use crate::header::{HEADER_LEN, SLOTS_AT};
use crate::inspect::{inspect, payload_sha256};
use crate::recipient::{Passphrase, TransitKey, XWingIdentity};
use crate::rewrap::{RewrapOptions, RewrapReport, rewrap};
use crate::store::{Directories, Durability};
use crate::testing::{Service, envelope, locator};
use crate::unlock::unlock;

fn opens(path: &Path, identity: &dyn Identity) -> Result<(), Error> {
    let header = Header::parse_prefix(&std::fs::read(path)?)?;
    unlock(&[identity], &header, &Context::new()).map(drop)
}

fn rewrapped(service: &Service, path: &Path) -> RewrapReport {
    let store = Directories::new(vec![path.to_owned()], Durability::File);
    rewrap(service, &store, &RewrapOptions::default(), &NoProgress).unwrap()
}

#[test]
fn added_recipients_open_and_removed_ones_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let (service, context) = (Service::new(), Context::new());
    let path = envelope(&service, dir.path(), "a.kf", &[7; 100]);
    let payload = payload_sha256(&path).unwrap();
    let (identity, passphrase) = (XWingIdentity::generate().unwrap(), Passphrase::cheap("x"));
    let recipient = identity.recipient();
    let added = add_slot(&path, &[&service], &context, &recipient).unwrap();
    assert_eq!((added.index, added.kind, added.generation), (1, 4, 2));
    // The next one is added without the server.
    let added = add_slot(&path, &[&identity], &context, &passphrase).unwrap();
    assert_eq!((added.index, added.kind, added.generation), (4, 5, 3));
    for one in [&service as &dyn Identity, &identity, &passphrase] {
        opens(&path, one).unwrap();
    }
    let again = add_slot(&path, &[&identity], &context, &recipient);
    assert!(matches!(again, Err(Error::SlotExists)));
    // One sector is left, which the rotation of the transit key needs.
    let full = add_slot(&path, &[&identity], &context, &passphrase);
    assert!(matches!(full, Err(Error::NoFreeSlot)));
    let wrong = add_slot(&path, &[&Passphrase::cheap("y")], &context, &passphrase);
    assert!(matches!(wrong, Err(Error::WrongIdentity("passphrase"))));

    let remove = |which, force| remove_slots(&path, &which, force);
    for number in [2, 3, 5, 6] {
        let none = remove(Which::Number(number), true);
        assert!(matches!(none, Err(Error::NoSuchSlot)), "sector {number}");
    }
    let removed = remove(Which::Number(1), false).unwrap();
    assert_eq!(removed.len(), 1);
    assert!(matches!(opens(&path, &identity), Err(Error::NoUsableSlot)));
    assert!(
        std::fs::read(&path).unwrap()[1024..2560]
            .iter()
            .all(|b| *b == 0)
    );
    let removed = remove(Which::Key(locator()), false).unwrap();
    assert_eq!(removed[0].locator, Some(locator()));
    assert!(opens(&path, &service).is_err());
    opens(&path, &passphrase).unwrap();
    assert!(matches!(
        remove(Which::Number(4), false),
        Err(Error::LastSlot)
    ));
    assert_eq!(payload_sha256(&path).unwrap(), payload);
    assert_eq!(remove(Which::Number(4), true).unwrap().len(), 1);
    assert!(inspect(&path).unwrap().slots.is_empty());
}

#[test]
fn an_offline_envelope_gets_a_key_of_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let (service, context) = (Service::new(), Context::new());
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    let passphrase = Passphrase::cheap("x");
    add_slot(&path, &[&service], &context, &passphrase).unwrap();
    remove_slots(&path, &Which::Key(locator()), false).unwrap();
    let locator = locator();
    let key = TransitKey::new(&service, &locator);
    let added = add_slot(&path, &[&passphrase], &context, &key).unwrap();
    assert_eq!(
        (added.index, added.version, added.locator),
        (0, 1, Some(locator.clone()))
    );
    opens(&path, &service).unwrap();
}

/// All retired wraps of a key go with it, and what is damaged can be cleaned away.
#[test]
fn retired_and_damaged_slots_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (service, context) = (Service::new(), Context::new());
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    let passphrase = Passphrase::cheap("x");
    add_slot(&path, &[&service], &context, &passphrase).unwrap();
    service.rotate();
    rewrapped(&service, &path);
    assert_eq!(inspect(&path).unwrap().slots.len(), 3);
    let removed = remove_slots(&path, &Which::Key(locator()), false).unwrap();
    assert_eq!(removed.len(), 2);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[SLOTS_AT] = 9;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(inspect(&path).unwrap().damaged_slots, [0]);
    assert!(
        remove_slots(&path, &Which::Number(0), false)
            .unwrap()
            .is_empty()
    );
    assert!(inspect(&path).unwrap().damaged_slots.is_empty());
    opens(&path, &passphrase).unwrap();
}

/// Rotations go on around the offline slots, and leave every byte of them.
#[test]
fn rotation_leaves_offline_slots_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (service, context) = (Service::new(), Context::new());
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    let (identity, passphrase) = (XWingIdentity::generate().unwrap(), Passphrase::cheap("x"));
    add_slot(&path, &[&service], &context, &identity.recipient()).unwrap();
    add_slot(&path, &[&service], &context, &passphrase).unwrap();
    let offline = std::fs::read(&path).unwrap()[1024..3072].to_vec();
    for version in 2..9 {
        service.rotate();
        let report = rewrapped(&service, &path);
        assert_eq!((report.rewrapped, report.bytes_written), (1, 1024));
        service.retire_below(version);
        for one in [&service as &dyn Identity, &identity, &passphrase] {
            opens(&path, one).unwrap();
        }
        assert!(std::fs::read(&path).unwrap()[1024..3072] == offline);
    }
}

#[test]
fn another_file_in_the_same_place_gets_no_slot() {
    let dir = tempfile::tempdir().unwrap();
    let (service, context) = (Service::new(), Context::new());
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    let other = std::fs::read(envelope(&service, dir.path(), "b.kf", b"text")).unwrap();
    let opened = Header::parse_prefix(&std::fs::read(&path).unwrap()).unwrap();
    let dek = unlock_dek(&[&service], &opened, &context).unwrap();
    let slot = Passphrase::cheap("x").wrap(&opened.prelude, &dek).unwrap();
    std::fs::write(&path, &other).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let result = add(&file, &opened, slot);
    assert!(matches!(result, Err(Error::SlotsChanged)));
    assert_eq!(std::fs::read(&path).unwrap(), other);
}

/// A header on a disk that loses power at a chosen byte.
struct Disk {
    bytes: RefCell<[u8; HEADER_LEN]>,
    power: Cell<usize>,
}

impl Disk {
    fn of(path: &Path, power: usize) -> Self {
        let bytes = std::fs::read(path).unwrap();
        Self {
            bytes: RefCell::new(bytes[..HEADER_LEN].try_into().unwrap()),
            power: Cell::new(power),
        }
    }

    fn opens(&self, identity: &dyn Identity) -> bool {
        let header = Header::parse(&self.bytes.borrow()).unwrap();
        unlock(&[identity], &header, &Context::new()).is_ok()
    }
}

impl Sectors for Disk {
    fn read(&self) -> io::Result<[u8; HEADER_LEN]> {
        Ok(*self.bytes.borrow())
    }

    fn write(&self, sector: usize, bytes: &[u8]) -> io::Result<()> {
        let len = self.power.get().min(bytes.len());
        self.power.set(self.power.get() - len);
        let at = SLOTS_AT + sector * SLOT_LEN;
        self.bytes.borrow_mut()[at..at + len].copy_from_slice(&bytes[..len]);
        if len < bytes.len() {
            Err(io::ErrorKind::Other.into())
        } else {
            Ok(())
        }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Power fails after each byte of an addition of three sectors, into empty sectors and over retired
/// slots, and of its removal: those who could open the envelope before still can.
#[test]
fn power_may_fail_at_any_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (service, context) = (Service::new(), Context::new());
    let identity = XWingIdentity::generate().unwrap();
    for rotations in [0, 7] {
        let path = envelope(&service, dir.path(), "a.kf", b"text");
        for _ in 0..rotations {
            service.rotate();
            rewrapped(&service, &path);
        }
        let opened = Header::parse_prefix(&std::fs::read(&path).unwrap()).unwrap();
        let dek = unlock_dek(&[&service], &opened, &context).unwrap();
        let slot = identity.recipient().wrap(&opened.prelude, &dek).unwrap();
        for power in (0..3 * SLOT_LEN).step_by(31).chain([512, 1024, 1535, 1536]) {
            let disk = Disk::of(&path, power);
            let result = add(&disk, &opened, slot.clone());
            assert_eq!(result.is_ok(), power == 1536, "power {power}");
            assert!(disk.opens(&service), "power {power}");
            assert_eq!(disk.opens(&identity), power == 1536);
            // The place of the half-written slot is used by the next try.
            disk.power.set(usize::MAX);
            if power < 1536 {
                add(&disk, &opened, slot.clone()).unwrap();
            }
            assert!(disk.opens(&service) && disk.opens(&identity));

            let number = disk.bytes.borrow()[SLOTS_AT..]
                .chunks(SLOT_LEN)
                .position(|sector| sector[1] == 4 && sector[2] == 3)
                .unwrap();
            disk.power.set(power);
            let removed = remove(&disk, &Which::Number(number), false);
            assert_eq!(removed.is_ok(), power == 1536);
            assert!(disk.opens(&service), "power {power}");
            assert_eq!(disk.opens(&identity), power == 0);
        }
        std::fs::remove_file(&path).unwrap();
    }
}
