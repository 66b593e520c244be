use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::*;
use crate::context::Context;
use crate::decrypt::{DecryptOptions, decrypt_file};
use crate::header::{Header, PRELUDE_LEN};
use crate::inspect::{inspect, payload_sha256};
use crate::slot::SLOT_LEN;
use crate::testing::{Service, envelope, locator};
use crate::unlock::unlock;

fn run(service: &Service, paths: &[PathBuf], options: RewrapOptions) -> RewrapReport {
    rewrap(service, paths, options, &NoProgress).unwrap()
}

fn plain_run(service: &Service, path: &Path) -> RewrapReport {
    run(service, &[path.to_owned()], RewrapOptions::default())
}

fn opens(service: &Service, path: &Path, plaintext: &[u8]) {
    let out = path.with_extension("out");
    let options = DecryptOptions {
        overwrite: true,
        ..DecryptOptions::default()
    };
    decrypt_file(
        &[service],
        &Context::new(),
        path,
        &out,
        &options,
        &NoProgress,
    )
    .unwrap();
    assert_eq!(std::fs::read(&out).unwrap(), plaintext);
    std::fs::remove_file(&out).unwrap();
}

#[test]
fn writes_two_sectors_and_leaves_the_payload() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let path = envelope(&service, dir.path(), "a.kf", &[5; 40_000]);
    let (before, hash) = (
        std::fs::read(&path).unwrap(),
        payload_sha256(&path).unwrap(),
    );
    service.rotate();

    let report = plain_run(&service, dir.path());
    assert_eq!(
        (report.envelopes, report.rewrapped, report.bytes_written),
        (1, 1, 1024)
    );
    assert_eq!(report.payload_bytes, before.len() as u64 - 4096);
    let after = std::fs::read(&path).unwrap();
    let changed: Vec<_> = (0..before.len())
        .filter(|at| before[*at] != after[*at])
        .collect();
    assert!(
        changed.iter().all(|at| (512..1536).contains(at)),
        "{changed:?}"
    );
    assert_eq!(payload_sha256(&path).unwrap(), hash);
    assert_eq!(service.calls().unwrap, 0, "no DEK was seen");

    service.retire_below(2);
    opens(&service, &path, &[5; 40_000]);
}

#[test]
fn a_second_run_writes_and_asks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    service.rotate();
    plain_run(&service, &path);
    let bytes = std::fs::read(&path).unwrap();
    service.reset_calls();
    let report = plain_run(&service, &path);
    assert_eq!(
        (
            report.already_newest,
            report.bytes_written,
            report.server_calls
        ),
        (1, 0, 0)
    );
    // A token that may not read the key's versions has the server compare them.
    service.hide_versions();
    let report = plain_run(&service, &path);
    assert_eq!(
        (
            report.already_newest,
            report.bytes_written,
            report.server_calls
        ),
        (1, 0, 1)
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn many_rotations_reuse_retired_slots() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::unbound();
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    for version in 2..20 {
        service.rotate();
        assert_eq!(plain_run(&service, &path).bytes_written, 1024);
        service.retire_below(version);
        opens(&service, &path, b"text");
    }
    assert_eq!(inspect(&path).unwrap().slots.len(), 6);
}

#[test]
fn batches_by_256_and_sends_each_wrap_once() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let first = envelope(&service, dir.path(), "0.kf", b"text");
    for copy in 1..300 {
        std::fs::copy(&first, dir.path().join(format!("{copy}.kf"))).unwrap();
    }
    for other in 0..299 {
        envelope(&service, dir.path(), &format!("other{other}.kf"), b"text");
    }
    service.rotate();
    let report = plain_run(&service, dir.path());
    assert_eq!((report.rewrapped, report.server_calls), (599, 2));
    let calls = service.calls();
    assert_eq!(calls.rewrap, 2);
    // The copies' wrap may be met on both sides of a full queue.
    assert!((300..=301).contains(&calls.rewrap_items), "{calls:?}");
    assert_eq!(plain_run(&service, dir.path()).already_newest, 599);
}

#[test]
fn a_dry_run_only_counts() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    let before = std::fs::read(&path).unwrap();
    service.rotate();
    let dry = RewrapOptions {
        dry_run: true,
        ..RewrapOptions::default()
    };
    let report = run(&service, std::slice::from_ref(&path), dry);
    assert_eq!(
        (report.rewrapped, report.bytes_written, report.server_calls),
        (1, 0, 0)
    );
    assert_eq!(report.newest[&locator()], 2);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn verify_proves_the_new_wrap_before_it_writes() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::unbound();
    let path = envelope(&service, dir.path(), "a.kf", &[1; 20_000]);
    service.rotate();
    let with = |verify| RewrapOptions {
        verify,
        ..RewrapOptions::default()
    };
    let good = std::fs::read(&path).unwrap();

    // A slot of another file: a rewrap can't tell, the commitment can.
    let other = std::fs::read(envelope(&service, dir.path(), "b.kf", b"")).unwrap();
    std::fs::remove_file(dir.path().join("b.kf")).unwrap();
    service.rotate();
    let mut swapped = good.clone();
    swapped[512..1024].copy_from_slice(&other[512..1024]);
    std::fs::write(&path, &swapped).unwrap();
    let report = run(&service, std::slice::from_ref(&path), with(Verify::Commit));
    assert!(matches!(
        report.failures[..],
        [FileFailure {
            error: Error::WrongKey,
            ..
        }]
    ));
    assert_eq!(std::fs::read(&path).unwrap(), swapped);

    // A corrupt payload: only the full check reads it.
    let mut corrupt = good.clone();
    corrupt[4096] ^= 1;
    std::fs::write(&path, &corrupt).unwrap();
    let report = run(&service, std::slice::from_ref(&path), with(Verify::Full));
    let [
        FileFailure {
            error: Error::CorruptChunk { chunk: 0 },
            ..
        },
    ] = report.failures[..]
    else {
        panic!("{:?}", report.failures);
    };
    assert_eq!(std::fs::read(&path).unwrap(), corrupt);
    let report = run(&service, std::slice::from_ref(&path), with(Verify::Slot));
    assert_eq!(report.rewrapped, 1);

    std::fs::write(&path, &good).unwrap();
    assert_eq!(
        run(&service, std::slice::from_ref(&path), with(Verify::Full)).rewrapped,
        1
    );
}

#[test]
fn failures_name_the_file_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    let before = std::fs::read(&path).unwrap();
    std::fs::write(dir.path().join("notes.txt"), "text").unwrap();
    service.rotate();
    service.retire_below(2);
    let report = plain_run(&service, dir.path());
    assert_eq!((report.envelopes, report.other_files), (1, 1));
    let [
        FileFailure {
            path: failed,
            error: Error::VersionBelowMinimum { version: 1, .. },
        },
    ] = &report.failures[..]
    else {
        panic!("{:?}", report.failures);
    };
    assert_eq!(*failed, path);
    assert_eq!(std::fs::read(&path).unwrap(), before);

    service.retire_below(1);
    service.fail_with(Some(ServiceError::Unreachable("refused".into())));
    let report = plain_run(&service, dir.path());
    assert!(report.stopped.is_some());
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn wraps_of_another_cluster_are_left_alone_beside_one_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::unbound();
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    let mut header = std::fs::read(&path).unwrap();
    let ours = header[512..1024].to_vec();
    service.move_to_cluster("elsewhere");
    service.rotate();
    assert_eq!(
        plain_run(&service, &path).rewrapped,
        1,
        "alone it is the one to move"
    );
    let theirs = std::fs::read(&path).unwrap()[1024..1536].to_vec();
    header[512..1024].copy_from_slice(&theirs);
    header[1024..1536].copy_from_slice(&ours);
    std::fs::write(&path, &header).unwrap();
    service.rotate();
    plain_run(&service, &path);
    let slots = inspect(&path).unwrap().slots;
    let states: Vec<_> = slots.iter().map(|s| (s.version, s.state)).collect();
    use SlotState::{Active, Retired};
    assert_eq!(states, [(2, Retired), (1, Active), (3, Active)]);
}

#[test]
fn a_locked_envelope_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    service.rotate();
    let other = File::open(&path).unwrap();
    other.lock().unwrap();
    let report = plain_run(&service, &path);
    assert!(matches!(
        report.failures[..],
        [FileFailure {
            error: Error::Busy,
            ..
        }]
    ));
}

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
        let job = jobs(&header, "cluster").remove(0);
        let wrapped = service
            .rewrap(&job.locator, std::slice::from_ref(&job.item))
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
                prelude: &header.prelude,
                source: (job.index, &job.slot),
                superseded: &[],
                new: Some(Slot {
                    state: SlotState::Active,
                    ..new
                }),
                read_back: false,
            };
            let result = apply::apply(&disk, change);
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
    let job = jobs(&header, "cluster").remove(0);
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
        prelude: &header.prelude,
        source: (job.index, &job.slot),
        superseded: &[],
        new: Some(Slot {
            version,
            ..job.slot.clone()
        }),
        read_back: true,
    };
    assert_eq!(apply::apply(&disk, change(2)).unwrap(), Written::default());
    assert!(matches!(
        apply::apply(&disk, change(3)),
        Err(Error::SlotsChanged)
    ));
}
