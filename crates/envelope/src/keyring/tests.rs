//! Keyrings over a key service and a clock that the test moves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::cache::{CacheLimits, Clock, DekCache, FakeClock, Load, Partition};
use crate::key_service::{KeyService, ServiceError};
use crate::testing::{Service, locator};

const DAY: u64 = 24 * 60 * 60;

pub(super) struct Bench {
    dir: tempfile::TempDir,
    pub(super) service: Arc<Service>,
    pub(super) clock: Arc<FakeClock>,
    pub(super) options: DekOptions,
}

impl Bench {
    pub(super) fn new(limits: DekLimits) -> Self {
        Self::with(Service::new(), limits)
    }

    pub(super) fn with(service: Service, limits: DekLimits) -> Self {
        let bench = Self {
            dir: tempfile::tempdir().unwrap(),
            service: Arc::new(service),
            clock: FakeClock::start(),
            options: DekOptions { limits, key: None },
        };
        let keyring = Keyring::new("payments", locator()).unwrap();
        let now = bench.clock.now();
        ServiceDeks::create(&bench.store(), &*bench.service, &keyring, now).unwrap();
        bench
    }

    pub(super) fn store(&self) -> FileStore {
        FileStore::new(&self.dir.path().join("keyring"))
    }

    /// Another process: it shares the file and nothing else.
    pub(super) fn process(&self) -> ServiceDeks {
        self.process_with(CacheLimits::default())
    }

    fn process_with(&self, limits: CacheLimits) -> ServiceDeks {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        ServiceDeks::open(
            Box::new(self.store()),
            Arc::clone(&self.service) as Arc<dyn KeyService>,
            Partition::of(&[b"token"]),
            DekCache::with_clock(limits, clock),
            self.options.clone(),
        )
        .unwrap()
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        self.store().load().unwrap().rows().to_vec()
    }

    fn unwraps(&self) -> u64 {
        self.service.calls().unwrap
    }
}

fn one(bytes: u64) -> Load {
    Load { uses: 1, bytes }
}

/// The number of the DEK that one object is encrypted with.
pub(super) fn encrypt(deks: &ServiceDeks) -> u32 {
    deks.encrypting(one(10)).unwrap().dek_no()
}

pub(super) fn error<T>(result: Result<T, KeyringError>) -> KeyringError {
    result.err().unwrap()
}

#[test]
fn a_million_objects_are_one_call_and_a_few_writes() {
    let bench = Bench::new(DekLimits::default());
    let deks = bench.process();
    for _ in 0..20_000 {
        assert_eq!(encrypt(&deks), 1);
    }
    assert_eq!(bench.unwraps(), 1);
    assert_eq!(bench.rows()[0].uses, 20_000);
    // A process that ends gives back what it did not use; one that is killed does not.
    encrypt(&deks);
    assert_eq!(bench.rows()[0].uses, 30_000);
    deks.finish().unwrap();
    assert_eq!(
        (bench.rows()[0].uses, bench.rows()[0].bytes),
        (20_001, 200_010)
    );
    deks.finish().unwrap();
    let killed = bench.process();
    encrypt(&killed);
    drop(killed);
    assert_eq!(bench.rows()[0].uses, 30_001);
}

#[test]
fn the_same_dek_decrypts_by_number_and_by_id() {
    for service in [Service::new(), Service::unbound()] {
        let bench = Bench::with(service, DekLimits::default());
        let made = bench.process().encrypting(one(1)).unwrap();
        let reader = bench.process();
        let by_number = reader.decrypting(made.dek_no()).unwrap();
        let by_id = reader.decrypting_id(made.dek_id()).unwrap();
        assert!(by_number.bytes().ct_eq(made.bytes()) && by_id.bytes().ct_eq(made.bytes()));
        assert_eq!(bench.unwraps(), 2, "one for each process");
        let unknown = error(reader.decrypting(9));
        assert!(matches!(unknown, KeyringError::UnknownDek(9)));
        let unknown = error(reader.decrypting_id(&[0; 16]));
        assert!(matches!(unknown, KeyringError::UnknownDekId(_)));
    }
}

#[test]
fn a_day_an_amount_or_a_number_of_objects_makes_a_new_dek() {
    let limits = DekLimits {
        uses: 100,
        bytes: 10_000,
        block_uses: 7,
        block_bytes: 100,
        ..DekLimits::default()
    };
    let bench = Bench::new(limits);
    let deks = bench.process();
    let numbers: Vec<u32> = (0..250).map(|_| encrypt(&deks)).collect();
    let of = |dek_no| numbers.iter().filter(|number| **number == dek_no).count();
    assert_eq!((of(1), of(2), of(3)), (100, 100, 50));
    // One that is too long for what is left goes under the next DEK, and one that is too long for
    // any has a new DEK for itself.
    assert_eq!(deks.encrypting(one(9_900)).unwrap().dek_no(), 4);
    assert_eq!(deks.encrypting(one(50_000)).unwrap().dek_no(), 5);
    assert_eq!(encrypt(&deks), 6);
    bench.advance(DAY - 1);
    assert_eq!(encrypt(&deks), 6);
    bench.advance(1);
    assert_eq!(encrypt(&deks), 7);
    let rows = bench.rows();
    assert!(rows[..6].iter().all(|row| row.state == DekState::Retired));
    assert!(rows[..3].iter().all(|row| row.uses <= 100));
    // The old ones still decrypt.
    assert!((1..=7).all(|dek_no| deks.decrypting(dek_no).is_ok()));
}

#[test]
fn processes_that_make_a_dek_at_once_make_one() {
    let bench = Bench::new(DekLimits::default());
    let processes: Vec<_> = (0..6).map(|_| bench.process()).collect();
    bench.advance(DAY);
    let numbers = thread::scope(|scope| {
        let threads: Vec<_> = processes
            .iter()
            .map(|process| scope.spawn(|| encrypt(process)))
            .collect();
        let numbers = threads.into_iter().map(|thread| thread.join().unwrap());
        numbers.collect::<BTreeSet<_>>()
    });
    assert_eq!(numbers, BTreeSet::from([2]));
    assert_eq!(bench.rows().len(), 2);
}

#[test]
fn a_dek_made_by_hand_reaches_processes_within_their_block_or_a_minute() {
    let bench = Bench::new(DekLimits::default());
    let (one, two) = (bench.process(), bench.process());
    assert_eq!((encrypt(&one), encrypt(&two)), (1, 1));
    assert_eq!(one.rotate().unwrap(), 2);
    assert_eq!(encrypt(&one), 2);
    assert_eq!(encrypt(&two), 1, "it has a block of the first one");
    // What the other one makes is found at once.
    assert!(two.decrypting(2).is_ok());
    bench.advance(60);
    assert_eq!(encrypt(&two), 2);
}

#[test]
fn rotating_the_kek_is_noticed_and_a_rewrap_touches_each_row_once() {
    let bench = Bench::new(DekLimits::default());
    let deks = bench.process();
    encrypt(&deks);
    deks.rotate().unwrap();
    let before = deks.encrypting(one(1)).unwrap();
    assert_eq!(before.dek_no(), 2);
    bench.service.rotate();
    bench.service.reset_calls();
    let report = rewrap_keyring(&bench.store(), &*bench.service, false).unwrap();
    assert_eq!(
        (report.deks, report.rewrapped, report.server_calls),
        (2, 2, 1)
    );
    let calls = bench.service.calls();
    assert_eq!((calls.rewrap, calls.rewrap_items, calls.unwrap), (1, 2, 0));
    assert!(bench.rows().iter().all(|row| row.version() == Some(2)));
    bench.service.retire_below(2);
    // The old wrap does not open any more, the DEK is the same.
    bench.advance(20 * 60);
    let after = deks.encrypting(one(1)).unwrap();
    assert!(after.bytes().ct_eq(before.bytes()));
    assert!(deks.decrypting(1).is_ok());
    let again = rewrap_keyring(&bench.store(), &*bench.service, true).unwrap();
    assert_eq!((again.rewrapped, again.already_newest), (0, 2));

    // Without a rewrap a new DEK takes over once the present one was asked for again.
    bench.service.rotate();
    assert_eq!(encrypt(&deks), 2, "not before its age ends");
    bench.advance(15 * 60);
    assert_eq!(encrypt(&deks), 3);
    assert_eq!(bench.rows()[2].version(), Some(3));
    assert_eq!(encrypt(&bench.process()), 3);
}

#[test]
fn a_reader_finds_a_wrap_that_moved_under_it() {
    let bench = Bench::new(DekLimits::default());
    let reader = bench.process();
    bench.service.rotate();
    rewrap_keyring(&bench.store(), &*bench.service, true).unwrap();
    bench.service.retire_below(2);
    assert!(reader.decrypting(1).is_ok());
    bench.service.rotate();
    bench.service.retire_below(3);
    let refused = error(bench.process().decrypting(1));
    assert!(matches!(
        refused,
        KeyringError::Service(ServiceError::BelowMinimum)
    ));
    // Nothing new is encrypted under what can't be decrypted.
    assert_eq!(encrypt(&bench.process()), 2);
}

#[test]
fn a_denied_service_encrypts_and_decrypts_nothing_and_recovers() {
    let bench = Bench::new(DekLimits::default());
    let deks = bench.process();
    for refusal in [
        ServiceError::Denied,
        ServiceError::Sealed,
        ServiceError::Unreachable("down".to_owned()),
    ] {
        bench.service.fail_with(Some(refusal.clone()));
        for failed in [error(deks.encrypting(one(1))), error(deks.decrypting(1))] {
            assert!(matches!(failed, KeyringError::Service(found) if found == refusal));
        }
    }
    bench.service.fail_with(None);
    assert_eq!(encrypt(&deks), 1);
    assert!(deks.decrypting(1).is_ok());
}

#[test]
fn a_row_that_was_changed_is_noticed() {
    let bench = Bench::new(DekLimits::default());
    bench.process().rotate().unwrap();
    let path = bench.dir.path().join("keyring");
    let json = std::fs::read_to_string(&path).unwrap();
    let rows = bench.rows();
    let commitments: Vec<_> = rows.iter().map(|row| hex::encode(row.commitment)).collect();
    let other = "0".repeat(64);
    std::fs::write(&path, json.replace(&commitments[0], &other)).unwrap();
    let wrong = error(bench.process().decrypting(1));
    assert!(matches!(wrong, KeyringError::WrongDek(1)));
    std::fs::write(&path, json.replace(&commitments[1], &other)).unwrap();
    let wrong = error(bench.process().encrypting(one(1)));
    assert!(matches!(wrong, KeyringError::WrongDek(2)));
    // The whole keyring as another service's.
    let renamed = json.replace("\"service\": \"payments\"", "\"service\": \"salaries\"");
    std::fs::write(&path, renamed).unwrap();
    let deks = bench.process();
    for wrong in [error(deks.decrypting(1)), error(deks.encrypting(one(1)))] {
        assert!(matches!(
            wrong,
            KeyringError::Service(ServiceError::WrongKey)
        ));
    }
}

#[test]
fn wraps_that_change_places_do_not_fit_even_where_the_server_binds_nothing() {
    let bench = Bench::with(Service::unbound(), DekLimits::default());
    bench.process().rotate().unwrap();
    let rows = bench.rows();
    let changes: Vec<_> = [(0, 1), (1, 0)]
        .map(|(at, from): (usize, usize)| Change {
            old: Some(rows[at].clone()),
            new: Row {
                wrapped: rows[from].wrapped.clone(),
                ..rows[at].clone()
            },
        })
        .to_vec();
    bench.store().save(&changes).unwrap();
    let deks = bench.process();
    assert!(matches!(
        error(deks.decrypting(1)),
        KeyringError::WrongDek(1)
    ));
    assert!(matches!(
        error(deks.encrypting(one(1))),
        KeyringError::WrongDek(2)
    ));
}

#[test]
fn a_pinned_key_is_the_only_one() {
    let mut bench = Bench::new(DekLimits::default());
    bench.options.key = Some("transit/mine".parse().unwrap());
    let deks = bench.process();
    for refused in [
        error(deks.encrypting(one(1))),
        error(deks.decrypting(1)),
        error(deks.rotate()),
    ] {
        assert!(matches!(refused, KeyringError::OtherKey { .. }));
    }
    assert_eq!(bench.unwraps(), 0);
    bench.options.key = Some(locator());
    assert_eq!(encrypt(&bench.process()), 1);
}

#[test]
fn a_destroyed_dek_opens_nothing_and_the_others_do() {
    let bench = Bench::new(DekLimits::default());
    let (deks, other) = (bench.process(), bench.process());
    encrypt(&deks);
    assert!(other.decrypting(1).is_ok());
    deks.destroy(1).unwrap();
    deks.destroy(1).unwrap();
    assert!(matches!(
        error(deks.decrypting(1)),
        KeyringError::Destroyed(1)
    ));
    assert_eq!(encrypt(&deks), 2);
    assert!(matches!(
        error(deks.destroy(7)),
        KeyringError::UnknownDek(7)
    ));
    bench.advance(60);
    assert!(matches!(
        error(other.decrypting(1)),
        KeyringError::Destroyed(1)
    ));
    assert_eq!(bench.rows()[0].wrapped, None);
    assert_eq!(
        rewrap_keyring(&bench.store(), &*bench.service, false)
            .unwrap()
            .deks,
        1
    );
}

#[test]
fn a_keyring_that_can_not_be_read_any_more_is_used_for_some_minutes() {
    let bench = Bench::new(DekLimits::default());
    let deks = bench.process_with(CacheLimits {
        decrypt_age: Duration::from_secs(DAY),
        decrypt_idle: Duration::from_secs(DAY),
        ..CacheLimits::default()
    });
    assert!(deks.decrypting(1).is_ok());
    std::fs::remove_file(bench.dir.path().join("keyring")).unwrap();
    bench.advance(14 * 60);
    assert!(deks.decrypting(1).is_ok());
    bench.advance(60);
    assert!(matches!(
        error(deks.decrypting(1)),
        KeyringError::NoKeyring(_)
    ));
}

#[test]
fn a_keyring_that_becomes_another_service_s_is_not_used() {
    let bench = Bench::new(DekLimits::default());
    let deks = bench.process();
    encrypt(&deks);
    let path = bench.dir.path().join("keyring");
    std::fs::remove_file(&path).unwrap();
    let other = Keyring::new("salaries", locator()).unwrap();
    let now = bench.clock.now();
    ServiceDeks::create(&bench.store(), &*bench.service, &other, now).unwrap();
    assert!(matches!(
        error(deks.decrypting(2)),
        KeyringError::Malformed(_)
    ));
    bench.advance(15 * 60);
    assert!(matches!(
        error(deks.encrypting(one(1))),
        KeyringError::Malformed(_)
    ));
    assert!(matches!(
        error(deks.decrypting(1)),
        KeyringError::Malformed(_)
    ));
}

#[test]
fn keys_are_nowhere_on_disk() {
    let bench = Bench::new(DekLimits::default());
    let deks = bench.process();
    let mut secrets = Vec::new();
    let mut step = |what: &str| {
        for dek_no in 1..=deks.keyring().unwrap().rows().len() as u32 {
            secrets.extend(deks.decrypting(dek_no).map(|dek| *dek.bytes().expose()));
        }
        assert!(!secrets.is_empty());
        for entry in std::fs::read_dir(bench.dir.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            for secret in &secrets {
                assert!(!shows(&bytes, secret), "after {what}");
            }
        }
    };
    step("create");
    encrypt(&deks);
    step("use");
    deks.rotate().unwrap();
    step("rotate");
    bench.service.rotate();
    rewrap_keyring(&bench.store(), &*bench.service, true).unwrap();
    step("rewrap");
    deks.finish().unwrap();
    deks.destroy(1).unwrap();
    step("destroy");
}

/// Whether a file holds a key, as bytes, hex or base64.
fn shows(file: &[u8], key: &[u8; 32]) -> bool {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(key);
    let forms = [
        key.to_vec(),
        hex::encode(key).into_bytes(),
        base64.into_bytes(),
    ];
    forms
        .iter()
        .any(|form| file.windows(form.len()).any(|window| window == form))
}
