//! Atomicity, checks, revisions, and what a batch may hold.

use std::sync::Arc;

use super::{commit, is_conflict, is_invalid, value};
use crate::ports::storage::{Batch, MAX_KEY, MAX_VALUE, Storage, StorageError};

/// All of a batch becomes visible, in one commit.
pub(super) async fn atomic(store: &dyn Storage) {
    commit(store, Batch::new().put("old", "1")).await;
    let revision = commit(
        store,
        Batch::new().put("a/b", "2").put("c", "").delete("old"),
    )
    .await;
    for (key, expected) in [("a/b", "2"), ("c", "")] {
        let entry = store
            .get(key)
            .await
            .expect("get works")
            .expect("a put key is there");
        assert!(
            entry.value == expected.as_bytes(),
            "{key} has the value that was put"
        );
        assert_eq!(
            entry.revision, revision,
            "an entry has the revision of its commit"
        );
    }
    assert!(value(store, "old").await.is_none(), "a deleted key is gone");
    commit(store, Batch::new().delete("never/was")).await;
    commit(store, Batch::new()).await;
}

/// A batch with one failing check changes nothing at all.
pub(super) async fn conflict_changes_nothing(store: &dyn Storage) {
    commit(store, Batch::new().put("taken", "1").put("other", "1")).await;
    let result = store
        .commit(Batch::new().absent("taken").put("new", "2").delete("other"))
        .await;
    assert!(
        matches!(&result, Err(StorageError::Conflict(key)) if key == "taken"),
        "a conflict names the key"
    );
    assert!(
        value(store, "new").await.is_none(),
        "a conflict writes nothing"
    );
    assert!(
        value(store, "other").await.is_some(),
        "a conflict deletes nothing"
    );

    let checked = Batch::new().absent("free").absent("free").put("free", "3");
    commit(store, checked).await;
    assert!(
        value(store, "free").await.is_some(),
        "an absent key can be created"
    );
    commit(store, Batch::new().delete("free")).await;
    commit(store, Batch::new().absent("free")).await;

    commit(store, Batch::new().present("taken").put("new", "4")).await;
    let gone = store.commit(Batch::new().present("free").put("new", "5"));
    assert!(
        matches!(&gone.await, Err(StorageError::Conflict(key)) if key == "free"),
        "what is gone is not present"
    );
    assert_eq!(value(store, "new").await, Some(b"4".to_vec()));
}

/// `Unchanged` holds for the very commit that wrote the entry last, whatever else is written.
pub(super) async fn unchanged_holds_until_the_next_write(store: &dyn Storage) {
    let first = commit(store, Batch::new().put("k", "1")).await;
    commit(store, Batch::new().put("unrelated", "1")).await;
    let second = commit(store, Batch::new().unchanged("k", first).put("k", "2")).await;
    let stale = store
        .commit(Batch::new().unchanged("k", first).put("k", "3"))
        .await;
    assert!(
        is_conflict(&stale),
        "a second writer from the same revision loses"
    );
    assert!(
        value(store, "k").await.as_deref() == Some(b"2".as_slice()),
        "and changes nothing"
    );

    commit(store, Batch::new().delete("k")).await;
    let gone = store
        .commit(Batch::new().unchanged("k", second).put("k", "4"))
        .await;
    assert!(is_conflict(&gone), "a deleted entry is changed");
    let never = store.commit(Batch::new().unchanged("never", second)).await;
    assert!(is_conflict(&never), "an absent entry is not unchanged");
    commit(store, Batch::new().put("k", "2")).await;
    let again = store.commit(Batch::new().unchanged("k", second)).await;
    assert!(
        is_conflict(&again),
        "the same value from a later commit is changed"
    );
}

/// Sixteen writers that all demand absence: exactly one creates.
pub(super) async fn one_of_sixteen_creates(store: Arc<dyn Storage>) {
    for round in 0..20 {
        let key = format!("race/{round}");
        let racers: Vec<_> = (0..16u8)
            .map(|id| {
                let (store, key) = (Arc::clone(&store), key.clone());
                let batch = Batch::new().absent(&key).put(&key, [id]);
                tokio::spawn(async move { (id, store.commit(batch).await) })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            let (id, result) = racer.await.expect("a commit does not panic");
            assert!(
                result.is_ok() || is_conflict(&result),
                "a racer wins or gets a conflict"
            );
            if result.is_ok() {
                winners.push(id);
            }
        }
        assert_eq!(winners.len(), 1, "exactly one creates");
        assert!(
            value(&*store, &key).await == Some(winners),
            "and it is the winner's value"
        );
    }
}

/// Counters kept by read, check and write never lose a step.
pub(super) async fn no_increment_is_lost(store: Arc<dyn Storage>) {
    commit(&*store, Batch::new().put("counter", [0])).await;
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..10 {
                    while !increment(&*store).await {}
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer does not panic");
    }
    assert!(
        value(&*store, "counter").await == Some(vec![80]),
        "all 80 increments are counted"
    );
}

async fn increment(store: &dyn Storage) -> bool {
    let entry = store
        .get("counter")
        .await
        .expect("get works")
        .expect("the counter is there");
    let next: Vec<u8> = entry.value.iter().map(|n| n + 1).collect();
    let result = store
        .commit(
            Batch::new()
                .unchanged("counter", entry.revision)
                .put("counter", next),
        )
        .await;
    assert!(
        result.is_ok() || is_conflict(&result),
        "a loser gets a conflict"
    );
    result.is_ok()
}

/// Each commit has a revision greater than all before it.
pub(super) async fn revisions_grow(store: &dyn Storage) {
    let mut last = commit(store, Batch::new().put("k", "0")).await;
    for step in 1..50 {
        let batch = match step % 3 {
            0 => Batch::new().put("k", "1"),
            1 => Batch::new().delete("k"),
            _ => Batch::new().absent("nothing"),
        };
        let revision = commit(store, batch).await;
        assert!(revision > last, "revisions grow");
        last = revision;
    }
}

/// The largest key and big values come back as they were; anything larger is refused.
pub(super) async fn sizes(store: &dyn Storage) {
    let long = "k".repeat(MAX_KEY);
    let big: Vec<u8> = (0..8_000_000u32)
        .map(|n| n.to_le_bytes().into_iter().fold(7, |a, b| a ^ b))
        .collect();
    commit(
        store,
        Batch::new()
            .put(&long, "v")
            .put("big", big.clone())
            .put("none", ""),
    )
    .await;
    assert!(
        value(store, &long).await.is_some(),
        "a key of the maximal length is kept"
    );
    assert!(
        value(store, "big").await == Some(big),
        "a big value comes back unchanged"
    );
    assert!(
        value(store, "none").await == Some(vec![]),
        "an empty value is a value"
    );

    let longer = store
        .commit(Batch::new().put("k".repeat(MAX_KEY + 1), "v"))
        .await;
    assert!(is_invalid(&longer), "a longer key is refused");
    let bigger = store
        .commit(Batch::new().put("bigger", vec![0; MAX_VALUE + 1]))
        .await;
    assert!(is_invalid(&bigger), "a larger value is refused");
}

/// A batch that breaks the contract changes nothing, not even its valid part.
pub(super) async fn invalid_is_refused(store: &dyn Storage) {
    commit(store, Batch::new().put("victim", "1")).await;
    let bad = [
        "", "/", "/a", "a/", "a//b", "a\0b", "a\nb", "\u{7f}", "a/\u{85}",
    ];
    for key in bad {
        for batch in [
            Batch::new().put("bystander", "2").put(key, "2"),
            Batch::new().put("bystander", "2").delete(key),
            Batch::new().put("bystander", "2").absent(key),
            Batch::new().delete("victim").put(key, "2"),
        ] {
            let result = store.commit(batch).await;
            assert!(is_invalid(&result), "key {key:?} is refused");
        }
        assert!(
            value(store, key).await.is_none(),
            "key {key:?} has no entry"
        );
    }
    let twice = [
        Batch::new().put("victim", "2").put("victim", "3"),
        Batch::new().put("victim", "2").delete("victim"),
        Batch::new().delete("victim").delete("victim"),
    ];
    for batch in twice {
        assert!(
            is_invalid(&store.commit(batch).await),
            "a key stands in one put or delete"
        );
    }
    assert!(
        value(store, "bystander").await.is_none(),
        "an invalid batch writes nothing"
    );
    assert!(
        value(store, "victim").await.as_deref() == Some(b"1".as_slice()),
        "nor deletes"
    );
    for key in ["a b", "ü/ß", "日本", "a.b/..", "%2F", "\u{10ffff}"] {
        commit(store, Batch::new().put(key, key)).await;
        assert!(
            value(store, key).await.as_deref() == Some(key.as_bytes()),
            "{key} is a key"
        );
    }
}
