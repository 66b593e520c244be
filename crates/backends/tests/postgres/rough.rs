//! Connections that end in the middle, and a database that goes away and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keyfold_backends::storage::Postgres;
use keyfold_core::ports::nodes::Nodes;
use keyfold_core::ports::storage::{Batch, Revision, Storage, StorageError};
use tokio::sync::broadcast::error::TryRecvError;

use super::cluster::{Cluster, options};

const WRITERS: usize = 4;
const COMMITS: usize = 12;

/// Each writer makes one key after the other, and counts in one that all share.
async fn write(store: Arc<Postgres>, id: usize) -> Vec<(String, Revision)> {
    let mut done = Vec::new();
    for n in 0..COMMITS {
        let key = format!("w{id}/{n}");
        loop {
            let count = store.get("count").await.unwrap().unwrap();
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
                Err(StorageError::Conflict(name)) => assert_eq!(name, "count"),
                Err(error) => panic!("{error}"),
            }
        }
    }
    done
}

async fn all_write(store: &Arc<Postgres>) -> Vec<(String, Revision)> {
    let writers: Vec<_> = (0..WRITERS)
        .map(|id| tokio::spawn(write(store.clone(), id)))
        .collect();
    let mut done = Vec::new();
    for writer in writers {
        done.extend(writer.await.unwrap());
    }
    done
}

/// Nothing that was acknowledged is lost, nothing was done twice.
async fn check(store: &Postgres, done: &[(String, Revision)]) {
    for (key, revision) in done {
        let entry = store.get(key).await.unwrap().unwrap();
        assert_eq!(entry.revision, *revision, "{key}");
    }
    let count = store.get("count").await.unwrap().unwrap();
    assert_eq!(count.value, (WRITERS * COMMITS).to_string().as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_are_ended_in_the_middle_lose_nothing_and_do_nothing_twice() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let url = format!("{}?application_name=rough", cluster.url("postgres"));
    let store = Postgres::open(options(&url, &cluster.table()))
        .await
        .unwrap();
    let store = Arc::new(store);
    store.commit(Batch::new().put("count", "0")).await.unwrap();
    let mut feed = store.watch();
    let is_over = Arc::new(AtomicBool::new(false));
    let (killing, stop) = (cluster.clone(), is_over.clone());
    let killer = tokio::spawn(async move {
        let mut ended = 0;
        while !stop.load(Ordering::Relaxed) {
            let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE application_name = 'rough'";
            ended += killing.sql(kill).await.len();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        ended
    });
    let done = all_write(&store).await;
    is_over.store(true, Ordering::Relaxed);
    assert!(killer.await.unwrap() > 0);
    check(&store, &done).await;

    let mut told = Vec::new();
    let mut is_replaced = false;
    loop {
        match feed.try_recv() {
            Ok(change) => {
                is_replaced |= change.replaced;
                told.push(change.revision);
            }
            Err(TryRecvError::Empty) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(told.is_sorted() && told.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(
        is_replaced || done.iter().all(|(_, revision)| told.contains(revision)),
        "each is told, or that some were missed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_restarts_is_found_again() {
    let Some(cluster) = Cluster::new() else {
        return;
    };
    let cluster = Arc::new(cluster);
    let mut options = cluster.options("restarted");
    options.freshness = Duration::from_millis(200);
    let store = Arc::new(Postgres::open(options).await.unwrap());
    store.commit(Batch::new().put("count", "0")).await.unwrap();
    let has_lease = |store: &Postgres| store.lease() > Instant::now();
    let mut feed = store.watch();
    store.join().await.unwrap();
    assert!(has_lease(&store));
    let follower = store.clone();
    tokio::spawn(async move {
        while let Ok(change) = feed.recv().await {
            follower.applied(change.revision);
        }
    });
    let restarting = cluster.clone();
    let watched = store.clone();
    let restart = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(50));
        restarting.stop();
        // Who is cut off falls silent.
        while watched.lease() > Instant::now() {
            std::thread::sleep(Duration::from_millis(5));
        }
        restarting.start();
    });
    let done = all_write(&store).await;
    restart.await.unwrap();
    check(&store, &done).await;
    while !has_lease(&store) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
