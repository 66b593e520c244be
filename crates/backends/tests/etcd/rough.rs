//! Members that go away in the middle, and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keyfold_backends::storage::Etcd;
use keyfold_core::ports::nodes::Nodes;
use keyfold_core::ports::storage::{Batch, Revision, Storage, StorageError};
use tokio::sync::broadcast::error::TryRecvError;

use super::cluster::Cluster;

const WRITERS: usize = 4;

/// Makes one key after the other, and counts in one that all share, until it is told to stop. What
/// has no answer is counted by nobody, and is in the store once or not at all.
async fn write(store: Arc<Etcd>, id: usize, stop: Arc<AtomicBool>) -> Vec<(String, Revision)> {
    let mut done = Vec::new();
    for n in 0.. {
        let key = format!("w{id}/{n}");
        loop {
            if stop.load(Ordering::Relaxed) {
                return done;
            }
            let Ok(count) = store.get("count").await else {
                continue;
            };
            let count = count.unwrap();
            let number: usize = std::str::from_utf8(&count.value).unwrap().parse().unwrap();
            let batch = Batch::new()
                .absent(&key)
                .unchanged("count", count.revision)
                .put("count", (number + 1).to_string())
                .put(&key, "");
            match store.commit(batch).await {
                Ok(revision) => {
                    done.push((key, revision));
                    break;
                }
                Err(StorageError::Conflict(name)) => assert_eq!(name, "count", "done twice"),
                Err(StorageError::Failed(_)) => {}
                Err(StorageError::Unknown(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_that_are_killed_lose_nothing_and_do_nothing_twice() {
    let Some(cluster) = Cluster::of(3) else {
        return;
    };
    let store = cluster.open("rough").await;
    store.commit(Batch::new().put("count", "0")).await.unwrap();
    let mut feed = store.watch();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|id| tokio::spawn(write(store.clone(), id, stop.clone())))
        .collect();
    for member in [0, 1, 2] {
        cluster.kill(member);
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.start(member);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut done = Vec::new();
    for writer in writers {
        done.extend(writer.await.unwrap());
    }
    assert!(done.len() > WRITERS, "{} were done", done.len());
    for (key, revision) in &done {
        let entry = store.get(key).await.unwrap().unwrap();
        assert_eq!(entry.revision, *revision, "{key}");
    }
    let mut keys = 0;
    for id in 0..WRITERS {
        let page = store.list(&format!("w{id}/"), "", 0).await.unwrap();
        keys += page.names.len();
    }
    let count = store.get("count").await.unwrap().unwrap();
    assert_eq!(count.value, keys.to_string().as_bytes());

    let (mut told, mut is_replaced) = (Vec::new(), false);
    loop {
        match feed.try_recv() {
            Ok(change) => {
                is_replaced |= change.replaced;
                told.push(change.revision);
            }
            Err(TryRecvError::Lagged(_)) => is_replaced = true,
            Err(_) => break,
        }
    }
    assert!(told.is_sorted(), "in order");
    for (key, revision) in &done {
        assert!(is_replaced || told.contains(revision), "{key} was told");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_that_is_gone_ends_the_lease_and_heals_by_itself() {
    let Some(cluster) = Cluster::of(1) else {
        return;
    };
    let mut options = cluster.options("gone");
    options.freshness = Duration::from_millis(400);
    let store = Arc::new(Etcd::open(options).await.unwrap());
    let (node, mut feed) = (store.clone(), store.watch());
    tokio::spawn(async move {
        while let Ok(change) = feed.recv().await {
            node.applied(change.revision);
        }
    });
    store.join().await.unwrap();
    let first = store.commit(Batch::new().put("a", "1")).await.unwrap();
    cluster.kill(0);
    while store.lease() > Instant::now() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let late = {
        let store = store.clone();
        tokio::spawn(async move { store.commit(Batch::new().put("a", "2")).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    cluster.start(0);
    let second = late.await.unwrap().unwrap();
    assert!(second > first);
    while store.lease() <= Instant::now() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let entry = store.get("a").await.unwrap().unwrap();
    assert_eq!((&*entry.value, entry.revision), (&b"2"[..], second));
}
