//! Whole runs: batches, calls, ends.

use super::*;

#[test]
fn calls_are_as_large_as_the_service_likes_and_each_wrap_is_sent_once() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let first = envelope(&service, dir.path(), "0.kf", b"text");
    for copy in 1..30 {
        std::fs::copy(&first, dir.path().join(format!("{copy}.kf"))).unwrap();
    }
    for other in 0..29 {
        envelope(&service, dir.path(), &format!("other{other}.kf"), b"text");
    }
    service.rotate();
    service.takes(10);
    let one = RewrapOptions {
        workers: NonZeroUsize::new(1),
        ..RewrapOptions::default()
    };
    let dry = RewrapOptions {
        dry_run: true,
        ..one
    };
    let planned = run(&service, &[dir.path().to_owned()], dry);
    assert_eq!(service.calls().rewrap, 0);
    let report = run(&service, &[dir.path().to_owned()], one);
    assert_eq!((report.rewrapped, report.wraps_sent), (59, 30));
    assert_eq!(service.calls().rewrap_items, 30);
    assert_eq!(report.server_calls, service.calls().rewrap);
    assert!((3..=4).contains(&report.server_calls), "{report:?}");
    assert_eq!(
        (planned.rewrapped, planned.wraps_sent, planned.server_calls),
        (59, 30, report.server_calls)
    );
    assert_eq!(plain_run(&service, dir.path()).already_newest, 59);
}

#[test]
fn a_batch_is_made_durable_together_and_does_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    for number in 0..40 {
        envelope(&service, dir.path(), &format!("{number}.kf"), b"text");
    }
    service.rotate();
    let report = batch_run(&service, dir.path());
    assert_eq!((report.rewrapped, report.failed), (40, 0));
    assert_eq!(report.bytes_written, 40 * 1024);
    service.retire_below(2);
    opens(&service, &dir.path().join("7.kf"), b"text");
    let again = batch_run(&service, dir.path());
    assert_eq!((again.already_newest, again.bytes_written), (40, 0));
}

/// Counts what a run tells, and ends it after some changes.
#[derive(Default)]
struct Watcher {
    changed: std::sync::atomic::AtomicU64,
    failed: std::sync::Mutex<Vec<PathBuf>>,
    most: Option<u64>,
}

impl crate::progress::Progress for Watcher {}

impl Watch for Watcher {
    fn done(&self, done: &Done<'_>) {
        use std::sync::atomic::Ordering::Relaxed;
        match done.outcome {
            Outcome::Failed(_) => self.failed.lock().unwrap().push(done.place.to_owned()),
            Outcome::Rewrapped { old, version } => {
                assert_eq!((old.version, version), (1, 2));
                self.changed.fetch_add(1, Relaxed);
            }
            _ => {}
        }
    }

    fn stops(&self) -> bool {
        let changed = self.changed.load(std::sync::atomic::Ordering::Relaxed);
        self.most.is_some_and(|most| changed >= most)
    }
}

#[test]
fn bad_items_are_told_and_the_rest_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    for number in 0..20 {
        envelope(&service, dir.path(), &format!("{number}.kf"), b"text");
    }
    // Every slot torn, a header cut off, a prelude changed.
    let damage = |name: &str, change: fn(&mut Vec<u8>)| {
        let path = dir.path().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let bad = [
        damage("3.kf", |bytes| bytes[600] ^= 1),
        damage("7.kf", |bytes| bytes.truncate(1000)),
        damage("9.kf", |bytes| bytes[300] = 1),
    ];
    service.rotate();
    let watcher = Watcher::default();
    let store = Directories::new(vec![dir.path().to_owned()], Durability::Batch);
    let report = rewrap(&service, &store, &RewrapOptions::default(), &watcher).unwrap();
    assert_eq!((report.rewrapped, report.failed), (17, 3));
    let mut told = watcher.failed.into_inner().unwrap();
    told.sort();
    assert_eq!(told, bad);
    assert_eq!(watcher.changed.into_inner(), 17);
}

#[test]
fn a_run_that_is_to_end_finishes_what_it_writes_and_goes_on_later() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    for number in 0..20 {
        envelope(&service, dir.path(), &format!("{number}.kf"), b"text");
    }
    service.rotate();
    let watcher = Watcher {
        most: Some(1),
        ..Watcher::default()
    };
    let options = RewrapOptions {
        // A turn is at most what is allowed in a second.
        store_rate: NonZeroU32::new(5),
        workers: NonZeroUsize::new(1),
        ..RewrapOptions::default()
    };
    let store = Directories::new(vec![dir.path().to_owned()], Durability::File);
    let report = rewrap(&service, &store, &options, &watcher).unwrap();
    assert_eq!(report.stopped, Some(Stopped::Interrupted));
    assert_eq!((report.rewrapped, report.failed), (5, 0));
    let report = plain_run(&service, dir.path());
    assert_eq!((report.rewrapped, report.already_newest), (15, 5));
}

#[test]
fn a_server_that_goes_away_fails_no_item() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    envelope(&service, dir.path(), "a.kf", b"text");
    service.rotate();
    service.hide_versions();
    service.fail_with(Some(ServiceError::Sealed));
    let report = plain_run(&service, dir.path());
    assert_eq!(report.stopped, Some(Stopped::Service(ServiceError::Sealed)));
    assert_eq!((report.failed, report.rewrapped), (0, 0));
}
