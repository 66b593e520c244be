//! Tests of keyrings that move to another KEK.

use std::sync::Arc;

use super::tests::{Bench, encrypt, error};
use super::*;
use crate::cache::{CacheLimits, Clock, DekCache, Partition};
use crate::rewrap::Target;
use crate::testing::{Service, locator};

#[test]
fn a_keyring_moves_to_another_server_and_its_next_dek_is_made_there() {
    let bench = Bench::with(Service::unbound(), DekLimits::default());
    let deks = bench.process();
    encrypt(&deks);
    deks.rotate().unwrap();
    let before = deks.decrypting(1).unwrap();
    let new = Service::new();
    new.move_to_cluster("new");
    let target = |from: Option<&str>| Target {
        locator: locator(),
        service: Some(&new),
        from: from.map(|from| from.parse().unwrap()),
    };
    let moved = |from| move_keyring(&bench.store(), &*bench.service, target(from), true).unwrap();
    let report = moved(Some("transit/others"));
    assert_eq!(
        (report.deks, report.rewrapped, report.already_newest),
        (2, 0, 2)
    );
    let report = moved(None);
    assert_eq!(
        (report.deks, report.rewrapped, report.server_calls),
        (2, 2, 1)
    );
    assert!(report.failures.is_empty() && report.left.is_empty());
    assert!(
        bench.rows().iter().all(|row| row.bound),
        "as its server binds"
    );
    let report = moved(None);
    assert_eq!((report.rewrapped, report.already_newest), (0, 2));

    let process = |service: Service| {
        let clock = Arc::clone(&bench.clock) as Arc<dyn Clock>;
        ServiceDeks::open(
            Box::new(bench.store()),
            Arc::new(service),
            Partition::of(&[b"token"]),
            DekCache::with_clock(CacheLimits::default(), clock),
            bench.options.clone(),
        )
        .unwrap()
    };
    let reader = process(new);
    let after = reader.decrypting(1).unwrap();
    assert!(after.bytes().ct_eq(before.bytes()));
    assert_eq!(reader.rotate().unwrap(), 3);
    assert!(
        error(process(Service::new()).decrypting(1))
            .to_string()
            .contains("open")
    );
}

#[test]
fn the_newest_row_takes_the_keyring_along() {
    let bench = Bench::new(DekLimits::default());
    let keyring = bench.store().load().unwrap();
    let old = keyring.rows().last().unwrap().clone();
    let key: crate::locator::Locator = "transit/next".parse().unwrap();
    let new = Row {
        key: key.clone(),
        ..old.clone()
    };
    let change = Change {
        old: Some(old),
        new,
    };
    assert_eq!(*keyring.with(&[change]).unwrap().key(), key);
}
