//! Writes that are cut, sectors that rot, runs that meet.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::fs::FileExt;

use super::*;

/// A header on a disk that loses power at a chosen byte.
struct Disk {
    bytes: RefCell<[u8; HEADER_LEN]>,
    /// Bytes that still reach the platter.
    power: Cell<usize>,
}

impl Sectors for Disk {
    fn read(&self) -> io::Result<[u8; HEADER_LEN]> {
        Ok(*self.bytes.borrow())
    }

    fn write(&self, sector: usize, bytes: &[u8]) -> io::Result<()> {
        let len = self.power.get().min(SLOT_LEN);
        self.power.set(self.power.get() - len);
        let at = PRELUDE_LEN + sector * SLOT_LEN;
        self.bytes.borrow_mut()[at..at + len].copy_from_slice(&bytes[..len]);
        if len < SLOT_LEN {
            Err(io::ErrorKind::Other.into())
        } else {
            Ok(())
        }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Power fails after every single byte of the protocol, with free slots and with none: the file
/// opens each time, and a second run leaves one active slot, of the newest version.
#[test]
fn power_may_fail_at_any_byte() {
    let dir = tempfile::tempdir().unwrap();
    for rotations_before in [0, 7] {
        let service = Service::new();
        let path = envelope(&service, dir.path(), "a.kf", b"text");
        for _ in 0..rotations_before {
            service.rotate();
            plain_run(&service, &path);
        }
        service.rotate();
        let whole = std::fs::read(&path).unwrap();
        let start: [u8; HEADER_LEN] = whole[..HEADER_LEN].try_into().unwrap();
        let header = Header::parse(&start).unwrap();
        let job = newest(&Content::Header(Box::new(header.clone())), "cluster")
            .unwrap()
            .remove(0);
        let wrapped = service
            .rewrap(&job.locator, std::slice::from_ref(&job.ask.item))
            .unwrap()
            .remove(0)
            .unwrap();
        for power in 0..=2 * SLOT_LEN {
            let disk = Disk {
                bytes: RefCell::new(start),
                power: Cell::new(power),
            };
            let new = Slot {
                version: wrapped.version,
                blob: wrapped.blob.clone(),
                ..job.slot.clone()
            };
            let change = Change {
                prelude: Some(header.prelude.clone()),
                source: (job.index, job.slot.clone()),
                superseded: Vec::new(),
                new: Some(Slot {
                    state: SlotState::Active,
                    ..new
                }),
                keeps_source: false,
            };
            let result = apply(&disk, &change);
            assert_eq!(result.is_ok(), power == 2 * SLOT_LEN);

            let torn = disk.bytes.into_inner();
            let context = Context::new();
            let opened = unlock(&[&service], &Header::parse(&torn).unwrap(), &context);
            assert!(opened.is_ok(), "power {power}");

            // The rest of the story on the real file, at the ends and a few places between.
            if power % 97 != 0 && power != SLOT_LEN && power != 2 * SLOT_LEN {
                continue;
            }
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all_at(&torn, 0).unwrap();
            drop(file);
            let report = plain_run(&service, &path);
            assert!(
                report.failures.is_empty(),
                "power {power}: {:?}",
                report.failures
            );
            let slots = inspect(&path).unwrap().slots;
            let active: Vec<_> = slots
                .iter()
                .filter(|s| s.state == SlotState::Active)
                .collect();
            assert!(matches!(active[..], [slot] if slot.version == wrapped.version));
            opens(&service, &path, b"text");
        }
        std::fs::remove_file(&path).unwrap();
    }
}

/// A torn sector may also have its new half at the end.
#[test]
fn sectors_torn_the_other_way_round_open_too() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    let before = std::fs::read(&path).unwrap();
    service.rotate();
    plain_run(&service, &path);
    let after = std::fs::read(&path).unwrap();
    for (sector, other) in [(1, &before), (0, &after)] {
        for half in [0, SLOT_LEN / 2] {
            // `other` is the state of the sectors that are not being written.
            let mut torn = other.clone();
            let at = PRELUDE_LEN + sector * SLOT_LEN;
            torn[at..at + SLOT_LEN].copy_from_slice(&before[at..at + SLOT_LEN]);
            let written = at + half..at + half + SLOT_LEN / 2;
            torn[written.clone()].copy_from_slice(&after[written]);
            std::fs::write(&path, &torn).unwrap();
            opens(&service, &path, b"text");
        }
    }
}

#[test]
fn a_rotten_newest_slot_is_healed_from_the_retired_one() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    service.rotate();
    plain_run(&service, &path);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1024 + 200] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    opens(&service, &path, b"text");
    let report = plain_run(&service, &path);
    assert_eq!((report.rewrapped, report.bytes_written), (1, 512));
    service.retire_below(2);
    opens(&service, &path, b"text");
}

#[test]
fn a_faster_run_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    let header = Header::parse_prefix(&std::fs::read(&path).unwrap()).unwrap();
    let job = newest(&Content::Header(Box::new(header.clone())), "cluster")
        .unwrap()
        .remove(0);
    service.rotate();
    plain_run(&service, &path);
    let disk = Disk {
        bytes: RefCell::new(
            std::fs::read(&path).unwrap()[..HEADER_LEN]
                .try_into()
                .unwrap(),
        ),
        power: Cell::new(usize::MAX),
    };
    let change = |version| Change {
        prelude: Some(header.prelude.clone()),
        source: (job.index, job.slot.clone()),
        superseded: Vec::new(),
        new: Some(Slot {
            version,
            ..job.slot.clone()
        }),
        keeps_source: false,
    };
    assert_eq!(apply(&disk, &change(2)).unwrap(), Written::default());
    assert!(matches!(apply(&disk, &change(3)), Err(Error::SlotsChanged)));
}
