//! Envelopes that no key of a server opens: there is nothing to do about them, each night again.

use std::sync::Arc;

use super::*;
use crate::cache::{CacheLimits, Clock as _, DekCache, Partition, SystemClock};
use crate::edit::{Which, add_slot, remove_slots};
use crate::encrypt::{EncryptOptions, encrypt_file};
use crate::error::Error;
use crate::keyring::{DekOptions, FileStore, Keyring, KeyringRecipient, ServiceDeks};
use crate::recipient::{Passphrase, Recipient, XWingIdentity};

fn keyring(service: &Arc<Service>, path: &Path) -> ServiceDeks {
    let (store, empty) = (
        FileStore::new(path),
        Keyring::new("payments", locator()).unwrap(),
    );
    ServiceDeks::create(&store, &**service, &empty, SystemClock::new().now()).unwrap();
    ServiceDeks::open(
        Box::new(store),
        Arc::clone(service) as Arc<dyn KeyService>,
        Partition::of(&[b"token"]),
        DekCache::new(CacheLimits::default()),
        DekOptions::default(),
    )
    .unwrap()
}

fn sealed(recipient: &dyn Recipient, dir: &Path, name: &str) -> PathBuf {
    let (input, output) = (dir.join(".plain"), dir.join(name));
    std::fs::write(&input, b"text").unwrap();
    let options = EncryptOptions::default();
    encrypt_file(
        &[recipient],
        &Context::new(),
        &input,
        &output,
        &options,
        &NoProgress,
    )
    .unwrap();
    std::fs::remove_file(&input).unwrap();
    output
}

#[test]
fn a_keyring_an_offline_key_and_a_passphrase_leave_nothing_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let service = Arc::new(Service::new());
    let deks = keyring(&service, &dir.path().join("keyring"));
    let offline = XWingIdentity::generate().unwrap().recipient();
    let recipients: [(u8, &dyn Recipient); 3] = [
        (2, &KeyringRecipient::new(&deks, 4)),
        (4, &offline),
        (5, &Passphrase::cheap("x")),
    ];
    let others = recipients.map(|(kind, recipient)| {
        let path = sealed(recipient, &data, &format!("{kind}.kf"));
        assert_eq!(inspect(&path).unwrap().slots[0].kind, kind);
        path
    });
    let contents = || others.each_ref().map(|path| std::fs::read(path).unwrap());
    let before = contents();
    envelope(&service, &data, "keyed.kf", b"text");
    service.rotate();

    let report = plain_run(&service, &data);
    assert_eq!(
        (report.rewrapped, report.already_newest, report.failed),
        (1, 3, 0),
        "{report:?}"
    );
    let options = RewrapOptions::default();
    let store = Directories::new(vec![data.clone()], Durability::File);
    let new = Service::new();
    new.move_to_cluster("new");
    let target = || Target {
        locator: locator(),
        service: Some(&new),
        from: None,
    };
    let report = move_wraps(&*service, &store, target(), &options, &NoProgress).unwrap();
    assert_eq!(
        (report.rewrapped, report.already_newest, report.failed),
        (1, 3, 0)
    );
    let report = retire_moved(&*service, &store, target(), &options, &NoProgress).unwrap();
    assert_eq!(
        (report.finished, report.already_newest, report.failed),
        (1, 3, 0)
    );
    assert!(contents() == before);

    // Damage is told: what was there may be what opens it.
    let mut bytes = before[0].clone();
    bytes[PRELUDE_LEN + SLOT_LEN..PRELUDE_LEN + 2 * SLOT_LEN].fill(7);
    std::fs::write(&others[0], bytes).unwrap();
    let report = plain_run(&service, &others[0]);
    assert!(matches!(report.failures[0].error, Error::TornSlot));
}

#[test]
fn a_wrap_that_was_removed_is_not_made_anew_from_a_retired_one() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    service.rotate();
    plain_run(&service, &path);
    let passphrase = Passphrase::cheap("x");
    add_slot(&path, &[&service], &Context::new(), &passphrase).unwrap();
    let slots = inspect(&path).unwrap().slots;
    let is_newest = |slot: &&crate::inspect::SlotInfo| slot.kind == 1 && slot.version == 2;
    let newest = slots.iter().find(is_newest).unwrap().index;
    remove_slots(&path, &Which::Number(newest), false).unwrap();
    let before = std::fs::read(&path).unwrap();
    let report = plain_run(&service, &path);
    assert_eq!((report.already_newest, report.failed), (1, 0));
    assert!(std::fs::read(&path).unwrap() == before);
}
