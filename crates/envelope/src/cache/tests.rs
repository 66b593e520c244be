//! The cache over a key service, with threads and a clock that the test moves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use keyfold_secret::Protected;

use super::clock::FakeClock;
use super::*;
use crate::key_service::{
    Aad, KeyService, KeyVersions, RewrapItem, RewrapOutcome, ServiceError, WrappedDek,
};
use crate::locator::Locator;
use crate::testing::{Service, locator};

/// A service whose answers wait until they may come.
struct Gate {
    service: Service,
    open: Mutex<bool>,
    changed: Condvar,
    panics: AtomicBool,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            service: Service::new(),
            open: Mutex::new(true),
            changed: Condvar::new(),
            panics: AtomicBool::new(false),
        })
    }

    fn set(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.changed.notify_all();
    }

    fn unwraps(&self) -> u64 {
        self.service.calls().unwrap
    }
}

impl KeyService for Gate {
    fn wrap(
        &self,
        locator: &Locator,
        dek: &Protected<32>,
        aad: Option<&Aad>,
    ) -> Result<WrappedDek, ServiceError> {
        self.service.wrap(locator, dek, aad)
    }

    fn unwrap(
        &self,
        locator: &Locator,
        wrapped: &WrappedDek,
        aad: Option<&Aad>,
    ) -> Result<Protected<32>, ServiceError> {
        let answer = self.service.unwrap(locator, wrapped, aad);
        let mut open = self.open.lock().unwrap();
        while !*open {
            open = self.changed.wait(open).unwrap();
        }
        drop(open);
        assert!(!self.panics.load(Ordering::SeqCst), "as the test wants it");
        answer
    }

    fn rewrap(
        &self,
        locator: &Locator,
        items: &[RewrapItem],
    ) -> Result<Vec<RewrapOutcome>, ServiceError> {
        self.service.rewrap(locator, items)
    }

    fn versions(&self, locator: &Locator) -> Result<Option<KeyVersions>, ServiceError> {
        self.service.versions(locator)
    }

    fn binds_aad(&self) -> bool {
        self.service.binds_aad()
    }

    fn cluster_id(&self) -> Result<String, ServiceError> {
        self.service.cluster_id()
    }
}

struct Bench {
    gate: Arc<Gate>,
    clock: Arc<FakeClock>,
    cache: Arc<DekCache<Protected<32>>>,
    keys: Arc<CachingKeyService>,
    dek: Protected<32>,
    wrapped: WrappedDek,
}

fn bench(offline_ttl: u64) -> Bench {
    let limits = CacheLimits {
        offline_ttl: Duration::from_secs(offline_ttl),
        ..CacheLimits::default()
    };
    let (gate, clock) = (Gate::new(), FakeClock::start());
    let cache = DekCache::with_clock(limits, Arc::clone(&clock) as Arc<dyn Clock>);
    let dek = Protected::<32>::init_with(|dek| dek.fill(7));
    let wrapped = gate.wrap(&locator(), &dek, Some(&AAD)).unwrap();
    let keys = identity(&gate, &cache, b"one");
    Bench {
        gate,
        clock,
        cache,
        keys,
        dek,
        wrapped,
    }
}

const AAD: Aad = [5; 32];

fn identity(
    gate: &Arc<Gate>,
    cache: &Arc<DekCache<Protected<32>>>,
    token: &[u8],
) -> Arc<CachingKeyService> {
    let (gate, cache) = (Arc::clone(gate), Arc::clone(cache));
    let partition = Partition::of(&[token]);
    Arc::new(CachingKeyService::with_cache(gate, partition, cache))
}

impl Bench {
    fn unwrap(&self) -> Result<(), ServiceError> {
        let found = self.keys.unwrap(&locator(), &self.wrapped, Some(&AAD))?;
        assert!(found.ct_eq(&self.dek));
        Ok(())
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Keeps the DEK in use for so long, so that it is never idle.
    fn use_for(&self, seconds: u64) {
        for _ in 0..seconds / 10 {
            self.advance(10);
            self.unwrap().unwrap();
        }
    }

    /// Waits for what another thread does, which comes or the test fails.
    fn until(&self, what: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !what(self) {
            assert!(start.elapsed() < Duration::from_secs(60), "it never came");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn one_call_for_many_uses_and_one_for_many_threads() {
    let bench = bench(0);
    bench.gate.set(false);
    let start = Barrier::new(9);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                bench.unwrap().unwrap();
            });
        }
        start.wait();
        bench.until(|bench| bench.cache.counters().misses == 8);
        bench.gate.set(true);
    });
    bench.unwrap().unwrap();
    assert_eq!(bench.gate.unwraps(), 1);
    let counters = bench.keys.counters();
    assert_eq!((counters.hits, counters.entries), (1, 1));
}

#[test]
fn all_who_wait_are_told_of_a_failure_and_the_next_call_asks_anew() {
    let bench = bench(0);
    bench.gate.service.fail_with(Some(ServiceError::Denied));
    bench.gate.set(false);
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..4).map(|_| scope.spawn(|| bench.unwrap())).collect();
        bench.until(|bench| bench.cache.counters().misses == 4);
        bench.gate.set(true);
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Err(ServiceError::Denied));
        }
    });
    assert_eq!(bench.gate.unwraps(), 1);
    bench.gate.service.fail_with(None);
    bench.unwrap().unwrap();
    assert_eq!(bench.gate.unwraps(), 2);
}

#[test]
fn a_panic_of_the_service_leaves_nobody_waiting() {
    let bench = bench(0);
    bench.gate.panics.store(true, Ordering::SeqCst);
    bench.gate.set(false);
    thread::scope(|scope| {
        let leader = scope.spawn(|| bench.unwrap());
        bench.until(|bench| bench.cache.counters().misses == 1);
        let waiter = scope.spawn(|| bench.unwrap());
        bench.until(|bench| bench.cache.counters().misses == 2);
        bench.gate.set(true);
        assert!(leader.join().is_err());
        assert!(matches!(
            waiter.join().unwrap(),
            Err(ServiceError::Other(_))
        ));
    });
    bench.gate.panics.store(false, Ordering::SeqCst);
    bench.unwrap().unwrap();
}

#[test]
fn age_counts_from_the_question_whatever_the_use() {
    let bench = bench(0);
    bench.unwrap().unwrap();
    // No refresh succeeds, and the DEK is in constant use.
    let down = ServiceError::Unreachable("down".to_owned());
    bench.gate.service.fail_with(Some(down.clone()));
    bench.use_for(290);
    bench.advance(9);
    bench.unwrap().unwrap();
    bench.advance(1);
    assert_eq!(bench.unwrap(), Err(down));
    // It recovers by itself.
    bench.gate.service.fail_with(None);
    bench.unwrap().unwrap();
}

#[test]
fn near_the_end_of_its_age_a_dek_is_asked_for_in_the_background() {
    let bench = bench(0);
    bench.unwrap().unwrap();
    bench.use_for(260);
    assert_eq!(bench.gate.unwraps(), 1, "not before 90 %");
    bench.gate.set(false);
    // 290 seconds are above 95 %; the answer does not come, and nobody waits for it.
    bench.use_for(30);
    bench.until(|bench| bench.gate.unwraps() == 2);
    bench.unwrap().unwrap();
    bench.gate.set(true);
    bench.until(|bench| bench.cache.counters().refreshes == 1);
    // The new age counts from the second question, which was put at most 20 seconds ago.
    bench.use_for(240);
    assert_eq!(bench.gate.unwraps(), 2);
    let counters = bench.cache.counters();
    assert_eq!((counters.misses, counters.failed_refreshes), (1, 0));
}

#[test]
fn a_refusal_found_by_a_refresh_drops_the_dek_at_once() {
    for refusal in [
        ServiceError::Denied,
        ServiceError::NotFound,
        ServiceError::BelowMinimum,
    ] {
        let bench = bench(3600);
        bench.unwrap().unwrap();
        bench.use_for(260);
        bench.gate.service.fail_with(Some(refusal.clone()));
        for _ in 0..3 {
            bench.advance(10);
            // The refresh that the first of these begins may be done before the others.
            let _ = bench.unwrap();
        }
        bench.until(|bench| bench.cache.counters().refusals == 1);
        assert_eq!(bench.unwrap(), Err(refusal), "before its age has ended");
        assert_eq!(bench.cache.counters().entries, 0);
    }
}

#[test]
fn an_idle_dek_is_wiped_without_being_looked_up() {
    let bench = bench(0);
    bench.unwrap().unwrap();
    bench.advance(30);
    bench.cache.sweep();
    assert_eq!(bench.cache.counters().entries, 0);
    bench.unwrap().unwrap();
    assert_eq!(bench.gate.unwraps(), 2);
}

#[test]
fn an_outage_is_bridged_only_where_that_is_allowed_and_only_so_long() {
    let down = || ServiceError::Unreachable("down".to_owned());
    let strict = bench(0);
    strict.unwrap().unwrap();
    strict.gate.service.fail_with(Some(down()));
    strict.advance(31);
    assert_eq!(strict.unwrap(), Err(down()));

    let lenient = bench(600);
    lenient.unwrap().unwrap();
    lenient.gate.service.fail_with(Some(ServiceError::Sealed));
    lenient.advance(899);
    lenient.unwrap().unwrap();
    let asked = lenient.gate.unwraps();
    // For a moment the server is not asked again.
    lenient.unwrap().unwrap();
    assert_eq!(lenient.gate.unwraps(), asked);
    assert_eq!(lenient.cache.counters().offline_uses, 2);
    lenient.advance(1);
    assert_eq!(lenient.unwrap(), Err(ServiceError::Sealed));

    // A refusal is no outage, and what it drops does not come back with one.
    let refused = bench(600);
    refused.unwrap().unwrap();
    refused.advance(301);
    refused.gate.service.fail_with(Some(ServiceError::Denied));
    assert_eq!(refused.unwrap(), Err(ServiceError::Denied));
    refused.gate.service.fail_with(Some(down()));
    assert_eq!(refused.unwrap(), Err(down()));
    let other = ServiceError::Other("500".to_owned());
    refused.gate.service.fail_with(Some(other.clone()));
    assert_eq!(refused.unwrap(), Err(other));
}

#[test]
fn an_encrypting_dek_is_never_used_in_an_outage() {
    let bench = bench(3600);
    let id = CacheId::new(
        Purpose::Encrypt,
        &Partition::of(&[]),
        &[0; 16],
        &bench.wrapped,
        None,
        &[],
    );
    let load = Load { uses: 1, bytes: 1 };
    let ask = |answer: Result<(), ServiceError>| -> Ask<Protected<32>> {
        Box::new(move || answer.map(|()| Protected::init_with(|dek| dek.fill(7))))
    };
    assert!(bench.cache.fetch(id, load, || ask(Ok(()))).is_ok());
    bench.advance(15 * 60);
    let sealed = bench
        .cache
        .fetch(id, load, || ask(Err(ServiceError::Sealed)));
    assert_eq!(sealed.err(), Some(ServiceError::Sealed));
    assert_eq!(bench.cache.counters().offline_uses, 0);
}

#[test]
fn a_dek_encrypts_so_often_and_so_much_and_then_the_server_is_asked() {
    let limits = CacheLimits {
        encrypt_uses: 100,
        encrypt_bytes: 1000,
        ..CacheLimits::default()
    };
    let cache = DekCache::<u8>::with_clock(limits, FakeClock::start());
    let id = |number| {
        let wrapped = WrappedDek {
            version: 1,
            blob: vec![number],
        };
        let partition = Partition::of(&[]);
        CacheId::new(Purpose::Encrypt, &partition, &[0; 16], &wrapped, None, &[])
    };
    let asked = |number, times, load| {
        let asked = Mutex::new(0);
        for _ in 0..times {
            let fetched = cache.fetch(id(number), load, || {
                *asked.lock().unwrap() += 1;
                Box::new(|| Ok(1))
            });
            assert!(fetched.is_ok());
        }
        asked.into_inner().unwrap()
    };
    assert_eq!(asked(1, 250, Load { uses: 1, bytes: 0 }), 3);
    assert_eq!(
        asked(
            2,
            25,
            Load {
                uses: 1,
                bytes: 100
            }
        ),
        3
    );
    // One that is above the limit by itself is given its DEK, and the next one asks.
    assert_eq!(
        asked(
            3,
            2,
            Load {
                uses: 1,
                bytes: 5000
            }
        ),
        2
    );
}

#[test]
fn identities_do_not_share_what_one_of_them_had_unwrapped() {
    let bench = bench(3600);
    bench.unwrap().unwrap();
    let other = identity(&bench.gate, &bench.cache, b"two");
    bench.gate.service.fail_with(Some(ServiceError::Denied));
    let denied = other.unwrap(&locator(), &bench.wrapped, Some(&AAD));
    assert_eq!(denied.err(), Some(ServiceError::Denied));
    bench.unwrap().unwrap();
    assert_eq!(bench.gate.unwraps(), 2);
}

#[test]
fn what_was_asked_for_before_a_clear_is_not_kept() {
    let bench = bench(0);
    bench.gate.set(false);
    thread::scope(|scope| {
        let asking = scope.spawn(|| bench.unwrap());
        bench.until(|bench| bench.gate.unwraps() == 1);
        bench.cache.clear();
        bench.gate.set(true);
        asking.join().unwrap().unwrap();
    });
    assert_eq!(bench.cache.counters().entries, 0);
    bench.unwrap().unwrap();
    assert_eq!(bench.gate.unwraps(), 2);
}
