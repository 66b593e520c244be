//! Moves to another server: both open it, until the first one's wraps are retired.

use super::again::{Refusal, Row, wrap};
use super::*;
use crate::error::Error;
use crate::key_service::{KeyService as _, WrappedDek};

/// A stock server with an envelope, and a Keyfold server to move to.
fn two() -> (tempfile::TempDir, PathBuf, Service, Service) {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Service::unbound(), Service::new());
    new.move_to_cluster("new");
    let path = envelope(&old, dir.path(), "a.kf", b"text");
    (dir, path, old, new)
}

fn to(new: &Service) -> Target<'_> {
    Target {
        locator: locator(),
        service: Some(new),
        from: None,
    }
}

fn moved(old: &Service, new: &Service, path: &Path, verify: Verify) -> RewrapReport {
    let store = Directories::new(vec![path.to_owned()], Durability::File);
    let options = RewrapOptions {
        verify,
        ..RewrapOptions::default()
    };
    move_wraps(old, &store, to(new), &options, &NoProgress).unwrap()
}

fn ended(old: &Service, new: &Service, path: &Path) -> RewrapReport {
    let store = Directories::new(vec![path.to_owned()], Durability::Batch);
    let options = RewrapOptions::default();
    retire_moved(old, &store, to(new), &options, &NoProgress).unwrap()
}

#[test]
fn both_servers_open_it_until_the_move_ends() {
    let (_dir, path, old, new) = two();
    let hash = payload_sha256(&path).unwrap();
    let early = ended(&old, &new, &path);
    assert!(matches!(early.failures[0].error, Error::NotMoved(_)));

    let report = moved(&old, &new, &path, Verify::Full);
    assert_eq!(
        (report.rewrapped, report.bytes_written),
        (1, 512),
        "{report:?}"
    );
    opens(&old, &path, b"text");
    opens(&new, &path, b"text");
    let slots = inspect(&path).unwrap().slots;
    let states: Vec<_> = slots.iter().map(|s| (s.state, s.aad_bound)).collect();
    let active = SlotState::Active;
    assert_eq!(
        states,
        [(active, false), (active, true)],
        "each as its server binds"
    );
    let again = moved(&old, &new, &path, Verify::None);
    assert_eq!((again.already_newest, again.bytes_written), (1, 0));

    // Each server rotates what is its own meanwhile.
    for service in [&old, &new] {
        service.rotate();
        assert_eq!(plain_run(service, &path).bytes_written, 1024);
        opens(&old, &path, b"text");
        opens(&new, &path, b"text");
    }

    let report = ended(&old, &new, &path);
    assert_eq!((report.finished, report.bytes_written), (1, 512));
    let active = |slot: &&crate::inspect::SlotInfo| slot.state == SlotState::Active;
    let slots = inspect(&path).unwrap().slots;
    assert_eq!(slots.iter().filter(active).count(), 1);
    old.fail_with(Some(ServiceError::NotFound));
    opens(&new, &path, b"text");
    assert_eq!(ended(&old, &new, &path).already_newest, 1);
    assert_eq!(payload_sha256(&path).unwrap(), hash);
}

#[test]
fn what_the_new_wrap_does_not_open_keeps_the_old_one() {
    let (dir, path, old, new) = two();
    let other = envelope(&old, dir.path(), "b.kf", b"other");
    for path in [&path, &other] {
        moved(&old, &new, path, Verify::None);
    }
    // The new slot of another file stands in the place of this one's.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1024..1536].copy_from_slice(&std::fs::read(&other).unwrap()[1024..1536]);
    std::fs::write(&path, &bytes).unwrap();
    let report = ended(&old, &new, dir.path());
    assert_eq!((report.finished, report.failed), (1, 1));
    assert_eq!(report.failures[0].path, path);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    opens(&old, &path, b"text");
}

#[test]
fn a_move_is_from_one_key_where_that_is_said() {
    let (_dir, path, old, new) = two();
    let target = Target {
        from: Some("transit/others".parse().unwrap()),
        ..to(&new)
    };
    let store = Directories::new(vec![path.clone()], Durability::File);
    let options = RewrapOptions::default();
    let report = move_wraps(&old, &store, target, &options, &NoProgress).unwrap();
    assert_eq!((report.already_newest, report.bytes_written), (1, 0));
}

#[test]
fn a_key_that_is_not_there_ends_the_move_before_it_starts() {
    let (_dir, path, old, new) = two();
    new.fail_with(Some(ServiceError::NotFound));
    let store = Directories::new(vec![path], Durability::File);
    let options = RewrapOptions::default();
    let refused = move_wraps(&old, &store, to(&new), &options, &NoProgress);
    assert!(matches!(
        refused,
        Err(Error::Service(ServiceError::NotFound))
    ));
}

#[test]
fn a_wrap_that_stands_alone_is_replaced_once() {
    let (old, new) = (Service::unbound(), Service::new());
    new.move_to_cluster("new");
    let run = |row: &Row, verify, dry_run| {
        let options = RewrapOptions {
            verify,
            dry_run,
            ..RewrapOptions::default()
        };
        move_wraps(&old, row, to(&new), &options, &NoProgress).unwrap()
    };
    let before = wrap(&old);
    let row = Row::new(before.clone(), [Refusal::Busy]);
    let report = run(&row, Verify::None, true);
    assert_eq!((report.rewrapped, row.held()), (1, Some(before.clone())));
    let report = run(&row, Verify::Commit, false);
    assert_eq!((report.rewrapped, report.failed), (1, 0), "{report:?}");
    let moved = row.held().unwrap();
    let opened = new.unwrap(&locator(), &moved, None).unwrap();
    assert!(opened.ct_eq(&old.unwrap(&locator(), &before, None).unwrap()));
    // Nothing about it says so, and it is not taken for damaged.
    old.rotate();
    old.retire_below(2);
    for _ in 0..2 {
        let report = run(&row, Verify::None, false);
        assert_eq!((report.already_newest, report.failed), (1, 0), "{report:?}");
        assert_eq!(row.held().as_ref(), Some(&moved));
        new.rotate();
    }
    // What neither opens is.
    let torn = WrappedDek {
        version: 1,
        blob: vec![1; 60],
    };
    let row = Row::new(torn.clone(), []);
    let report = run(&row, Verify::None, false);
    assert_eq!((report.already_newest, report.failed), (0, 1));
    assert_eq!(row.held(), Some(torn));
    // Nothing is left behind that a move could end with.
    let options = RewrapOptions::default();
    let report = retire_moved(&old, &row, to(&new), &options, &NoProgress).unwrap();
    assert_eq!((report.already_newest, report.failed), (1, 0));
}
