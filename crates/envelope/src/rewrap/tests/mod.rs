mod again;
mod elsewhere;
mod moves;
mod power;
mod runs;

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::plan::newest;
use super::*;
use crate::context::Context;
use crate::decrypt::{DecryptOptions, decrypt_file};
use crate::header::{HEADER_LEN, Header, PRELUDE_LEN};
use crate::inspect::{inspect, payload_sha256};
use crate::key_service::ServiceError;
use crate::progress::NoProgress;
use crate::slot::{SLOT_LEN, Slot, SlotState};
use crate::store::{Change, Content, Directories, Durability, Unreadable, Written};
use crate::store::{Sectors, apply};
use crate::testing::{Service, envelope, locator};
use crate::unlock::unlock;

fn run(service: &Service, paths: &[PathBuf], options: RewrapOptions) -> RewrapReport {
    let store = Directories::new(paths.to_vec(), Durability::File);
    rewrap(service, &store, &options, &NoProgress).unwrap()
}

fn plain_run(service: &Service, path: &Path) -> RewrapReport {
    run(service, &[path.to_owned()], RewrapOptions::default())
}

fn batch_run(service: &Service, path: &Path) -> RewrapReport {
    let store = Directories::new(vec![path.to_owned()], Durability::Batch);
    rewrap(service, &store, &RewrapOptions::default(), &NoProgress).unwrap()
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
        (1, 0, 1),
        "there would be one call"
    );
    assert_eq!(service.calls().rewrap, 0);
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
        [Unreadable {
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
        Unreadable {
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
        Unreadable {
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
        [Unreadable {
            error: Error::Busy,
            ..
        }]
    ));
}
