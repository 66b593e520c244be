use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::cache::{CacheLimits, DekCache, Partition};
use crate::decrypt::{DecryptOptions, decrypt_file};
use crate::encrypt::{EncryptOptions, encrypt_file};
use crate::inspect::{Inspection, inspect};
use crate::keyring::{DekOptions, FileStore, Keyring, KeyringError, KeyringRecipient};
use crate::progress::{NoProgress, Progress};
use crate::recipient::{Recipient, TransitKey};
use crate::testing::{Service, envelope, locator};

fn run(service: &Service, path: &Path) -> ReencryptReport {
    let options = ReencryptOptions::default();
    let paths = [path.to_owned()];
    reencrypt(
        service,
        None,
        &Context::new(),
        &paths,
        &options,
        &NoProgress,
    )
}

fn opens(service: &Service, path: &Path, plaintext: &[u8]) {
    let out = path.with_extension("out");
    let (context, options) = (Context::new(), DecryptOptions::default());
    decrypt_file(&[service], &context, path, &out, &options, &NoProgress).unwrap();
    assert!(std::fs::read(&out).unwrap() == plaintext);
    std::fs::remove_file(&out).unwrap();
}

fn look(path: &Path) -> Inspection {
    inspect(path).unwrap()
}

#[test]
fn it_has_a_new_dek_and_the_same_plaintext() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    // No bytes, whole chunks, several batches.
    for (name, len) in [("a.kf", 0), ("b.kf", 32_768), ("c.kf", 600_000)] {
        let plaintext: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let path = envelope(&service, dir.path(), name, &plaintext);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let (before, old) = (look(&path), std::fs::read(&path).unwrap());
        let report = run(&service, &path);
        assert_eq!((report.reencrypted, report.failed), (1, 0), "{report:?}");
        assert_eq!(report.plaintext_bytes, len as u64);
        let after = look(&path);
        assert_ne!(after.object_id, before.object_id);
        assert_ne!(after.commitment, before.commitment);
        assert_eq!(after.labels, before.labels);
        assert_eq!(after.file_len, before.file_len);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        opens(&service, &path, &plaintext);
        // The old DEK opens nothing of it: not one chunk is the same.
        let new = std::fs::read(&path).unwrap();
        let chunks = old[4096..].chunks(16_400).zip(new[4096..].chunks(16_400));
        assert!(chunks.into_iter().all(|(old, new)| old != new));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn the_newest_version_wraps_it() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    service.rotate();
    run(&service, &path);
    service.retire_below(2);
    opens(&service, &path, b"text");
    assert_eq!(look(&path).slots.len(), 1, "no old wrap came along");
}

#[test]
fn on_any_error_the_old_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let good = envelope(&service, dir.path(), "good.kf", &[7; 100_000]);
    let bytes = std::fs::read(&good).unwrap();
    let damaged = |at: usize, len: usize| {
        let mut bytes = bytes[..len].to_vec();
        bytes[at] ^= 1;
        bytes
    };
    for (what, bytes) in [
        (
            "a corrupt chunk",
            damaged(4096 + 3 * 16_400 + 9, bytes.len()),
        ),
        ("the last byte", damaged(bytes.len() - 1, bytes.len())),
        ("cut", damaged(300, 4096 + 16_400)),
        ("cut between chunks", bytes[..4096 + 16_400].to_vec()),
        ("a wrong commitment", damaged(4070, bytes.len())),
    ] {
        let path = dir.path().join("bad.kf");
        std::fs::write(&path, &bytes).unwrap();
        let report = run(&service, &path);
        assert_eq!((report.reencrypted, report.failed), (0, 1), "{what}");
        assert!(std::fs::read(&path).unwrap() == bytes, "{what}");
    }
    // A context that is missing, a hard link, a lock.
    let report = reencrypt(
        &service,
        None,
        &Context::from_pairs(["a=b"]).unwrap(),
        std::slice::from_ref(&good),
        &ReencryptOptions::default(),
        &NoProgress,
    );
    assert!(matches!(report.failures[0].error, Error::WrongContext));
    std::fs::hard_link(&good, dir.path().join("other.kf")).unwrap();
    let report = run(&service, &good);
    assert!(matches!(report.failures[0].error, Error::OtherNames(2)));
    std::fs::remove_file(dir.path().join("other.kf")).unwrap();
    service.fail_with(Some(ServiceError::Denied));
    let report = run(&service, &good);
    assert!(matches!(
        report.failures[0].error,
        Error::Service(ServiceError::Denied)
    ));
    service.fail_with(Some(ServiceError::Sealed));
    let report = run(&service, &good);
    assert_eq!(report.stopped, Some(Stopped::Service(ServiceError::Sealed)));
    assert!(std::fs::read(&good).unwrap() == bytes);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_link_stays_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    std::fs::create_dir(dir.path().join("real")).unwrap();
    let path = envelope(&service, &dir.path().join("real"), "a.kf", b"text");
    let link = dir.path().join("link.kf");
    symlink("real/a.kf", &link).unwrap();
    let before = look(&path).object_id;
    assert_eq!(run(&service, &link).reencrypted, 1);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_ne!(look(&path).object_id, before);
    opens(&service, &path, b"text");
}

/// Keeps what was made, and ends a run after some envelopes.
struct Keeper {
    made: Mutex<HashSet<[u8; 16]>>,
    left: AtomicU64,
}

impl Progress for Keeper {}

impl Watch for Keeper {
    fn done(&self, done: &Done<'_>) {
        if let Outcome::Replacing { object_id } = done.outcome {
            self.made.lock().unwrap().insert(*object_id);
            self.left.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn stops(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

#[test]
fn a_run_goes_on_where_an_earlier_one_ended() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    for number in 0..10 {
        envelope(&service, dir.path(), &format!("{number}.kf"), b"text");
    }
    let keeper = Keeper {
        made: Mutex::default(),
        left: AtomicU64::new(4),
    };
    let mut options = ReencryptOptions {
        workers: NonZeroUsize::new(1),
        ..ReencryptOptions::default()
    };
    let paths = [dir.path().to_owned()];
    let first = reencrypt(&service, None, &Context::new(), &paths, &options, &keeper);
    assert_eq!(first.stopped, Some(Stopped::Interrupted));
    assert_eq!(first.reencrypted, 4);
    options.made = keeper.made.into_inner().unwrap();
    let second = reencrypt(
        &service,
        None,
        &Context::new(),
        &paths,
        &options,
        &NoProgress,
    );
    assert_eq!((second.already_made, second.reencrypted), (4, 6));
    opens(&service, &dir.path().join("3.kf"), b"text");
}

#[test]
fn what_a_killed_run_left_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::new();
    let path = envelope(&service, dir.path(), "a.kf", b"text");
    let left = dir.path().join(".a.kf.0123456789abcdef.part");
    let used = dir.path().join(".a.kf.0123456789abcdee.part");
    let other = dir.path().join(".b.kf.0123456789abcdef.part");
    for part in [&left, &used, &other] {
        std::fs::write(part, "half").unwrap();
    }
    let in_use = std::fs::File::open(&used).unwrap();
    in_use.lock().unwrap();
    run(&service, &path);
    assert!(!left.exists() && used.exists() && other.exists());
}

/// A keyring with its first DEK.
fn keyring(service: &Arc<Service>, path: &Path) -> ServiceDeks {
    let cache = DekCache::new(CacheLimits::default());
    let store = FileStore::new(path);
    let keyring = Keyring::new("payments", locator()).unwrap();
    ServiceDeks::create(&store, &**service, &keyring, cache.now()).unwrap();
    let keys = Arc::clone(service) as Arc<dyn KeyService>;
    let partition = Partition::of(&[b"token"]);
    ServiceDeks::open(
        Box::new(store),
        keys,
        partition,
        cache,
        DekOptions::default(),
    )
    .unwrap()
}

/// An envelope for the keyring, and the key where it is given.
fn under(deks: &ServiceDeks, key: Option<&TransitKey<'_>>, path: &Path, plaintext: &[u8]) {
    let plain = path.with_extension("plain");
    std::fs::write(&plain, plaintext).unwrap();
    let keyring = KeyringRecipient::new(deks, 4);
    let key = key.into_iter().map(|key| key as &dyn Recipient);
    let recipients: Vec<_> = key.chain([&keyring as &dyn Recipient]).collect();
    let (context, options) = (Context::new(), EncryptOptions::default());
    encrypt_file(&recipients, &context, &plain, path, &options, &NoProgress).unwrap();
    std::fs::remove_file(&plain).unwrap();
}

#[test]
fn what_is_under_a_keyring_comes_under_its_next_dek() {
    let (dir, service) = (tempfile::tempdir().unwrap(), Arc::new(Service::new()));
    let deks = keyring(&service, &dir.path().join("ring"));
    let (path, both) = (dir.path().join("a.kf"), dir.path().join("b.kf"));
    under(&deks, None, &path, b"text");
    let key = locator();
    under(
        &deks,
        Some(&TransitKey::new(&*service, &key)),
        &both,
        b"more",
    );
    let (context, options) = (Context::new(), ReencryptOptions::default());
    let run = |deks, options: &ReencryptOptions| {
        let paths = [path.clone(), both.clone()];
        reencrypt(&*service, deks, &context, &paths, options, &NoProgress)
    };
    let before = (std::fs::read(&path).unwrap(), std::fs::read(&both).unwrap());
    let refused = |report: &ReencryptReport, why: fn(&KeyringError) -> bool| {
        assert_eq!((report.reencrypted, report.failed), (0, 2), "{report:?}");
        let mut errors = report.failures.iter().map(|failure| &failure.error);
        assert!(errors.all(|error| matches!(error, Error::Keyring(error) if why(error))));
    };
    refused(
        &run(None, &options),
        |error| matches!(error, KeyringError::NotNamed(place) if place.ends_with("ring")),
    );
    let dry = ReencryptOptions {
        dry_run: true,
        ..options.clone()
    };
    for options in [&dry, &options] {
        refused(&run(Some(&deks), options), |error| {
            matches!(error, KeyringError::Current(1))
        });
    }
    let other = keyring(&service, &dir.path().join("other"));
    refused(&run(Some(&other), &options), |error| {
        matches!(error, KeyringError::UnknownDekId(_))
    });
    let now = (std::fs::read(&path).unwrap(), std::fs::read(&both).unwrap());
    assert!(now == before, "nothing was changed");

    assert_eq!(deks.rotate().unwrap(), 2);
    let report = run(Some(&deks), &options);
    assert_eq!((report.reencrypted, report.failed), (2, 0), "{report:?}");
    let slots = |path: &Path| -> Vec<_> {
        let slots = look(path).slots.into_iter();
        slots.map(|slot| (slot.kind, slot.version)).collect()
    };
    assert_eq!(
        (slots(&path), slots(&both)),
        (vec![(2, 2)], vec![(1, 1), (2, 2)])
    );
    deks.destroy(1).unwrap();
    for (path, plaintext) in [(&path, b"text"), (&both, b"more")] {
        let out = dir.path().join("out");
        let options = DecryptOptions::default();
        decrypt_file(&[&deks], &context, path, &out, &options, &NoProgress).unwrap();
        assert_eq!(std::fs::read(&out).unwrap(), plaintext);
        std::fs::remove_file(&out).unwrap();
    }
    opens(&service, &both, b"more");
}
