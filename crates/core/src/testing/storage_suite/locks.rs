//! Named locks.

use std::time::Duration;

use super::{commit, is_conflict, value};
use crate::ports::storage::{Batch, LockGuard, Storage, StorageError};

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

/// What a holder writes under its fencing token is refused once another has held the lock.
pub(super) async fn fencing(store: &dyn Storage) {
    let first = take(store, LONG).await.expect("a free lock is given");
    let late = first.fence();
    commit(store, Batch::new().held("sweeper", late).put("a", "1")).await;
    let other = Batch::new().held("rotator", late).put("b", "1");
    assert!(
        is_conflict(&store.commit(other).await),
        "a token is for one name"
    );
    drop(first);
    let next = take(store, LONG).await.expect("a dropped lock is free");
    assert!(next.fence() > late, "tokens grow");
    let stale = Batch::new()
        .held("sweeper", late)
        .put("a", "2")
        .put("b", "2");
    let stale = store.commit(stale).await;
    assert!(
        matches!(&stale, Err(StorageError::Conflict(name)) if name == "sweeper"),
        "a conflict names the lock"
    );
    assert!(
        value(store, "a").await.as_deref() == Some(b"1".as_slice())
            && value(store, "b").await.is_none(),
        "and changes nothing"
    );
    commit(
        store,
        Batch::new().held("sweeper", next.fence()).put("a", "3"),
    )
    .await;
    drop(next);

    let brief = Duration::from_millis(20);
    let paused = take(store, brief).await.expect("a dropped lock is free");
    while paused.held() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _next = loop {
        if let Some(guard) = take(store, LONG).await {
            break guard;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let stale = Batch::new().held("sweeper", paused.fence()).put("a", "4");
    assert!(
        is_conflict(&store.commit(stale).await),
        "a holder whose time has passed writes nothing"
    );
}
