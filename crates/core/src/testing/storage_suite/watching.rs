//! The change feed that keeps caches fresh.

use std::sync::Arc;

use tokio::sync::broadcast::error::TryRecvError;

use super::commit;
use crate::ports::storage::{Batch, Revision, Storage};

/// Sixteen writers at once: each commit is announced once, in revision order, with its keys.
pub(super) async fn in_order_and_complete(store: Arc<dyn Storage>) {
    commit(&*store, Batch::new().put("before", "")).await;
    let mut feed = store.watch();
    let writers: Vec<_> = (0..16)
        .map(|id| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut done = Vec::new();
                for n in 0..5 {
                    let (kept, gone) = (format!("w{id}/{n}"), format!("gone{id}"));
                    let batch = Batch::new().put(&kept, "").delete(&gone);
                    done.push((commit(&*store, batch).await, vec![kept, gone]));
                }
                done
            })
        })
        .collect();
    let mut expected: Vec<(Revision, Vec<String>)> = Vec::new();
    for writer in writers {
        expected.extend(writer.await.expect("a writer does not panic"));
    }
    expected.sort();
    let mut seen = Vec::new();
    for _ in &expected {
        let change = feed.recv().await.expect("the feed has every commit");
        seen.push((change.revision, change.keys));
    }
    assert!(
        seen == expected,
        "every commit after the call, in order, with its keys"
    );
    assert_eq!(
        feed.try_recv(),
        Err(TryRecvError::Empty),
        "and nothing else"
    );
}

/// What changed nothing is not announced.
pub(super) async fn failures_are_silent(store: &dyn Storage) {
    commit(store, Batch::new().put("k", "")).await;
    let mut feed = store.watch();
    let conflict = store
        .commit(Batch::new().absent("k").put("other", ""))
        .await;
    let invalid = store.commit(Batch::new().put("a//b", "")).await;
    assert!(
        conflict.is_err() && invalid.is_err(),
        "both batches are refused"
    );
    let revision = commit(store, Batch::new().put("k", "2")).await;
    let change = feed.recv().await.expect("the feed goes on");
    assert_eq!(
        change.revision, revision,
        "only the commit that happened is announced"
    );
}

/// A writer that has its answer finds its own change in the feed: caches are dropped in time.
pub(super) async fn told_before_the_writer(store: &dyn Storage) {
    let mut feed = store.watch();
    for n in 0..20 {
        let revision = commit(store, Batch::new().put(format!("k{n}"), "")).await;
        let change = feed.try_recv().expect("announced no later than answered");
        assert_eq!(change.revision, revision, "the feed is in step");
    }
}
