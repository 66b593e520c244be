//! Named locks.

use std::time::Duration;

use crate::ports::storage::{LockGuard, Storage};

const LONG: Duration = Duration::from_secs(3600);

async fn take(store: &dyn Storage, ttl: Duration) -> Option<Box<dyn LockGuard>> {
    store.lock("sweeper", ttl).await.expect("lock works")
}

/// One holder for each name, until it lets go.
pub(super) async fn exclusive(store: &dyn Storage) {
    let first = take(store, LONG).await.expect("a free lock is given");
    assert!(first.held(), "the holder holds it");
    assert!(
        take(store, LONG).await.is_none(),
        "a second taker gets nothing"
    );
    let other = store.lock("rotator", LONG).await.expect("lock works");
    assert!(other.is_some(), "names do not disturb each other");
    drop(first);
    let second = take(store, LONG).await.expect("a dropped lock is free");
    assert!(second.held(), "the next holder holds it");
}

/// A lock whose time has passed is free, and its late holder cannot harm the next one.
pub(super) async fn expiring(store: &dyn Storage) {
    let late = take(store, Duration::from_millis(20))
        .await
        .expect("a free lock is given");
    let next = loop {
        if let Some(guard) = take(store, LONG).await {
            break guard;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(!late.held(), "an expired holder knows it");
    drop(late);
    assert!(next.held(), "the next holder keeps it");
    assert!(
        take(store, LONG).await.is_none(),
        "the expired holder's end frees nothing"
    );
}
