//! What has to survive a restart.

use super::{Stores, commit, is_conflict, value};
use crate::ports::storage::Batch;

/// Entries, their revisions, deletions, and the growth of revisions survive.
pub(super) async fn keeps_everything(stores: &dyn Stores) {
    let store = stores.fresh().await;
    let first = commit(&*store, Batch::new().put("a", "1").put("b", "1")).await;
    let last = commit(
        &*store,
        Batch::new().put("a", "2").delete("b").put("c/d", "3"),
    )
    .await;
    let checked = commit(&*store, Batch::new().absent("b")).await;

    let Some(store) = stores.reopen(store).await else {
        return;
    };
    let entry = store
        .get("a")
        .await
        .expect("get works")
        .expect("an acknowledged put is kept");
    assert!(entry.value == b"2", "with its last value");
    assert_eq!(entry.revision, last, "and its revision");
    assert!(
        value(&*store, "b").await.is_none(),
        "an acknowledged delete is kept"
    );
    let page = store.list("", "", 0).await.expect("list works");
    assert_eq!(page.names, ["a", "c/"], "listings are as before");

    let stale = store
        .commit(Batch::new().unchanged("a", first).put("a", "3"))
        .await;
    assert!(is_conflict(&stale), "checks hold across restarts");
    let next = commit(&*store, Batch::new().unchanged("a", last).put("a", "3")).await;
    assert!(
        next > checked,
        "no revision is used again, not even one that wrote nothing"
    );

    if let Some(store) = stores.reopen(store).await {
        assert!(
            value(&*store, "a").await.as_deref() == Some(b"3".as_slice()),
            "nor lost later"
        );
    }
}
