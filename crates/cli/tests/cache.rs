//! The cache of DEKs before a real server, with a clock that the tests move (bug case DP-09).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]
#![allow(
    dead_code,
    reason = "each test binary uses its part of the support module"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use keyfold_client::{Client, ClientConfig, TransitKeys};
use keyfold_envelope::cache::{
    CacheCounters, CacheLimits, CachingKeyService, Clock, DekCache, Load, Moment,
};
use keyfold_envelope::keyring::{DekLimits, DekOptions, FileStore, Keyring, ServiceDeks};
use keyfold_envelope::{KeyService as _, Locator, ServiceError, WrappedDek};
use keyfold_secret::{Protected, Secret};
use support::Server;

const AGE: Duration = Duration::from_secs(10);
/// In the year 2027.
const START: u64 = 1_800_000_000;
const STEP: Duration = Duration::from_millis(100);

/// A clock that stands still until it is moved.
struct Hands(Mutex<Moment>);

impl Hands {
    fn new() -> Arc<Self> {
        let wall = Duration::from_secs(START);
        let steady = Duration::ZERO;
        Arc::new(Self(Mutex::new(Moment { steady, wall })))
    }

    fn pass(&self, time: Duration) {
        let mut now = self.0.lock().unwrap();
        now.steady += time;
        now.wall += time;
    }

    /// Somebody sets the clock on the wall.
    fn set(&self, wall: u64) {
        self.0.lock().unwrap().wall = Duration::from_secs(wall);
    }
}

impl Clock for Hands {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }
}

fn server() -> Server {
    let server = Server::dev();
    server.ok(&["secrets", "enable", "transit"]);
    server.ok(&["write", "-f", "transit/keys/payments"]);
    allow(&server);
    server
}

/// Lets tokens of the policy `user` use the key.
fn allow(server: &Server) {
    let policy = b"path \"transit/+/payments\" { capabilities = [\"read\", \"update\"] }\n";
    let written = server.piped(&["policy", "write", "user", "-"], policy);
    assert_eq!(written.code, 0, "{}", written.stderr);
}

fn keys(server: &Server, token: &str) -> Arc<TransitKeys> {
    let config = ClientConfig {
        address: server.address.clone(),
        token: Some(Secret::new(token.to_owned())),
        max_retries: 0,
        ..ClientConfig::default()
    };
    Arc::new(TransitKeys::new(Client::new(config).unwrap()).unwrap())
}

fn locator() -> Locator {
    "transit/payments".parse().unwrap()
}

/// How often the server decrypted with the key, by its census.
fn unwraps(server: &Server) -> u64 {
    let census = server.json(&["transit", "census", "payments"]);
    let versions = census["versions"].as_array().unwrap().iter();
    versions
        .filter_map(|version| version["operations"]["decrypt"].as_u64())
        .sum()
}

/// One DEK behind a cache.
struct One {
    wrapped: WrappedDek,
    keys: CachingKeyService,
}

impl One {
    fn new(server: &Server, clock: &Arc<Hands>) -> Self {
        let token = server.ok(&["token", "create", "-policy=user", "-field=token"]);
        let keys = keys(server, &token);
        let dek = Protected::init_with(|dek: &mut [u8; 32]| dek.fill(7));
        let wrapped = keys.wrap(&locator(), &dek, None).unwrap();
        let limits = CacheLimits {
            decrypt_age: AGE,
            ..CacheLimits::default()
        };
        let cache = DekCache::with_clock(limits, Arc::<Hands>::clone(clock));
        let partition = keys.partition();
        Self {
            wrapped,
            keys: CachingKeyService::with_cache(keys, partition, cache),
        }
    }

    fn open(&self) -> Result<(), ServiceError> {
        let dek = self.keys.unwrap(&locator(), &self.wrapped, None)?;
        assert_eq!(dek.expose(), &[7; 32]);
        Ok(())
    }

    fn counters(&self) -> CacheCounters {
        self.keys.counters()
    }
}

#[test]
fn a_dek_in_constant_use_is_asked_for_again_unseen_and_ends_with_the_policy() {
    let (server, clock) = (server(), Hands::new());
    let one = One::new(&server, &clock);
    let before = unwraps(&server);
    for _ in 0..600 {
        one.open().unwrap();
        one.open().unwrap();
        clock.pass(STEP);
        // For the thread that asks before the age ends.
        sleep(Duration::from_millis(1));
    }
    // A minute: each answer serves for 90 to 100 % of the age, and no use makes that longer.
    let asked = unwraps(&server) - before;
    assert!((6..=8).contains(&asked), "{asked}");
    assert!(one.counters().refreshes > 0, "{:?}", one.counters());

    server.ok(&["policy", "delete", "user"]);
    let mut left = AGE + STEP;
    while one.open().is_ok() {
        clock.pass(STEP);
        left = left.checked_sub(STEP).expect("it outlives the age");
    }
    for _ in 0..3 {
        assert!(matches!(one.open(), Err(ServiceError::Denied)));
    }
    assert_eq!(one.counters().entries, 0, "it is wiped");
    allow(&server);
    one.open().unwrap();
}

#[test]
fn a_clock_that_jumps_makes_no_dek_younger() {
    let (server, clock) = (server(), Hands::new());
    let one = One::new(&server, &clock);
    let before = unwraps(&server);
    let asked = |expected: u64, why: &str| {
        one.open().unwrap();
        assert_eq!(unwraps(&server) - before, expected, "{why}");
    };
    asked(1, "the first question");
    clock.set(START + 1);
    asked(1, "a second is not the age");
    clock.set(START + 3600);
    asked(2, "an hour is");
    clock.set(START - 3600);
    asked(2, "it was asked for just now");
    clock.pass(AGE + STEP);
    asked(3, "the age is over by the steady clock");

    let home = server.stop();
    clock.pass(AGE + STEP);
    assert!(matches!(one.open(), Err(ServiceError::Unreachable(_))));
    drop(home);
}

#[test]
fn a_dek_seals_as_many_objects_and_bytes_as_its_limits_say() {
    let (server, clock) = (server(), Hands::new());
    let keys = keys(&server, "root");
    let sealed_by = |name: &str, limits: DekLimits, bytes: u64, times: usize| {
        let store = FileStore::new(&server.path(name));
        let empty = Keyring::new("payments", locator()).unwrap();
        ServiceDeks::create(&store, &*keys, &empty, clock.now()).unwrap();
        let cache = DekCache::with_clock(CacheLimits::default(), Arc::<Hands>::clone(&clock));
        let options = DekOptions { limits, key: None };
        let (service, partition) = (Arc::clone(&keys), keys.partition());
        let deks = ServiceDeks::open(Box::new(store), service, partition, cache, options).unwrap();
        let mut counts = BTreeMap::new();
        for _ in 0..times {
            let key = deks.value_key(Load { uses: 1, bytes }).unwrap();
            *counts.entry(key.dek_no()).or_insert(0) += 1;
        }
        counts.into_values().collect::<Vec<u32>>()
    };
    let limits = DekLimits {
        uses: 100,
        block_uses: 7,
        bytes: 1 << 20,
        block_bytes: 1 << 10,
        ..DekLimits::default()
    };
    assert_eq!(sealed_by("uses", limits, 10, 250), [100, 100, 50]);
    let limits = DekLimits {
        bytes: 1000,
        block_bytes: 300,
        ..limits
    };
    assert_eq!(sealed_by("bytes", limits, 250, 10), [4, 4, 2]);
    // One that is longer than the limit has a DEK to itself.
    let alone = sealed_by("long", limits, 5000, 3);
    assert_eq!(alone, [1, 1, 1]);
}
