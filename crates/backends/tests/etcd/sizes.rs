//! What is larger than etcd takes in one request, and what is left of it.

use std::time::Duration;

use keyfold_core::ports::storage::{Batch, MAX_VALUE, Storage, StorageError};

use super::cluster::Cluster;

/// Waits for what is done some time.
async fn until_count(cluster: &Cluster, prefix: &str, wanted: usize) {
    for _ in 0..2000 {
        if cluster.count(prefix).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!(
        "{} keys below {prefix}, not {wanted}",
        cluster.count(prefix).await
    );
}

fn value(bytes: usize, seed: u8) -> Vec<u8> {
    (0..bytes).map(|n| (n / 7) as u8 ^ seed).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_go_with_the_values_that_they_are_of() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let prefix = cluster.prefix();
    let store = cluster.open(&prefix).await;
    let generation = format!("{prefix}/g/");
    for (batch, keys) in [
        (Batch::new().put("a", value(1_200_000, 1)), 1 + 3),
        (Batch::new().put("a", value(600_000, 2)), 1 + 2),
        (
            Batch::new().put("b", value(600_000, 3)).put("a", "small"),
            2 + 2,
        ),
        // Nothing of it is applied, nor left.
        (Batch::new().absent("b").put("b", value(9_000_000, 4)), 4),
        (Batch::new().delete("b"), 1),
    ] {
        let is_refused = batch.checks.len() == 1;
        let committed = store.commit(batch).await;
        assert_eq!(committed.is_err(), is_refused, "{:?}", committed.err());
        until_count(&cluster, &generation, keys).await;
    }
    let entry = store.get("a").await.unwrap().unwrap();
    assert!(entry.value == b"small");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_are_one_commit_and_too_many_are_refused() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let store = cluster.open(&cluster.prefix()).await;
    let mut feed = store.watch();
    // Together more than a request, with more operations than a transaction.
    let mut batch = Batch::new();
    for n in 0..1500 {
        batch = batch.put(format!("k/{n:04}"), value(2000, n as u8));
    }
    let revision = store.commit(batch).await.unwrap();
    let change = feed.recv().await.unwrap();
    assert_eq!((change.revision, change.keys.len()), (revision, 1500));
    for n in [0usize, 1, 777, 1499] {
        let entry = store.get(&format!("k/{n:04}")).await.unwrap().unwrap();
        assert_eq!(entry.revision, revision);
        assert!(entry.value == value(2000, n as u8));
    }
    let mut huge = Batch::new();
    for n in 0..20_000 {
        huge = huge.put(format!("huge/{n:0200}"), "");
    }
    let refused = store.commit(huge).await;
    let Err(StorageError::TooLong(why)) = refused else {
        panic!("{:?}", refused.err())
    };
    assert!(why.contains("20000 changes"), "{why}");
    assert!(store.list("huge/", "", 1).await.unwrap().names.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_value_comes_back() {
    let Some(cluster) = Cluster::of(1) else {
        return;
    };
    let store = cluster.open("largest").await;
    let largest = value(MAX_VALUE, 9);
    let batch = Batch::new().put("a", largest.clone());
    store.commit(batch).await.unwrap();
    assert!(store.get("a").await.unwrap().unwrap().value == largest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generations_that_do_not_count_are_removed() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let prefix = cluster.prefix();
    let store = cluster.open(&prefix).await;
    let generations = format!("{prefix}/g/");
    for n in 0..3000 {
        if n % 1000 == 0 {
            let mut batch = Batch::new();
            for n in n..n + 1000 {
                batch = batch.put(format!("old/{n}"), "");
            }
            store.commit(batch).await.unwrap();
        }
    }
    let mut given_up = store.stage().await.unwrap();
    let entry = ("lost".to_owned(), value(700_000, 5));
    given_up.add(vec![entry]).await.unwrap();
    until_count(&cluster, &generations, 3000 + 1 + 2).await;
    let mut staged = store.stage().await.unwrap();
    let entry = ("new".to_owned(), value(700_000, 6));
    staged.add(vec![entry]).await.unwrap();
    staged.adopt().await.unwrap();
    until_count(&cluster, &generations, 1 + 2).await;
    let entry = store.get("new").await.unwrap().unwrap();
    assert!(entry.value == value(700_000, 6));
}
