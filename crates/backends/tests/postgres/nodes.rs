//! Two nodes on one store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyfold_backends::storage::Postgres;
use keyfold_core::ports::nodes::Nodes;
use keyfold_core::ports::storage::{Batch, Change, Revision, Storage, StorageError};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use super::cluster::Cluster;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn two(cluster: &Cluster, freshness: Duration) -> (Arc<Postgres>, Arc<Postgres>) {
    let table = cluster.table();
    let open = async || {
        let mut options = cluster.options(&table);
        options.freshness = freshness;
        Arc::new(Postgres::open(options).await.unwrap())
    };
    (open().await, open().await)
}

async fn heard(feed: &mut Receiver<Change>) -> Change {
    let change = timeout(PATIENCE, feed.recv()).await;
    change.expect("a node hears of every commit").unwrap()
}

async fn until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it never holds");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_hears_of_every_commit_once_and_in_order() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let (a, b) = two(&cluster, Duration::from_secs(1)).await;
    let mut feeds = [a.watch(), b.watch()];
    let writers: Vec<_> = (0..8)
        .map(|id| {
            let store = if id % 2 == 0 { a.clone() } else { b.clone() };
            let other = if id % 2 == 0 { b.clone() } else { a.clone() };
            tokio::spawn(async move {
                let mut done = Vec::new();
                for n in 0..10 {
                    let key = format!("w{id}/{n}");
                    let batch = Batch::new().put(&key, "").delete(format!("gone{id}"));
                    let revision = store.commit(batch).await.unwrap();
                    let entry = other.get(&key).await.unwrap().unwrap();
                    assert_eq!(entry.revision, revision, "the other node reads it at once");
                    done.push((revision, vec![key, format!("gone{id}")]));
                }
                done
            })
        })
        .collect();
    let mut expected = Vec::new();
    for writer in writers {
        expected.extend(writer.await.unwrap());
    }
    expected.sort();
    for feed in &mut feeds {
        for (revision, keys) in &expected {
            let change = heard(feed).await;
            assert_eq!((&change.revision, &change.keys), (revision, keys));
            assert!(!change.replaced);
        }
    }
    let last = a.commit(Batch::new().put("x", "")).await.unwrap();
    for feed in &mut feeds {
        assert_eq!(heard(feed).await.revision, last, "and of nothing else");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_is_settled_once_the_other_has_heard_of_it() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let (a, b) = two(&cluster, Duration::from_secs(60)).await;
    let mut feed = b.watch();
    assert!(b.lease() <= Instant::now(), "no lease before it joins");
    b.join().await.unwrap();
    assert!(b.lease() > Instant::now());
    a.join().await.unwrap();
    let follower = b.clone();
    tokio::spawn(async move {
        while let Ok(change) = feed.recv().await {
            follower.applied(change.revision);
        }
    });
    for n in 0..5 {
        let revision = a
            .commit(Batch::new().put(format!("k{n}"), ""))
            .await
            .unwrap();
        assert_eq!(a.at(), revision, "the newest is one's own");
        a.settled(revision, PATIENCE).await.unwrap();
        assert!(b.at() >= revision, "it had applied it by then");
        assert!(b.reached(revision, PATIENCE).await);
    }
    let members = a.members().await.unwrap();
    assert_eq!(members.len(), 2);
    assert_eq!(members.iter().filter(|member| member.own).count(), 1);
    assert!(members.iter().all(|member| member.alive));

    b.leave().await;
    assert!(b.lease() <= Instant::now());
    let members = a.members().await.unwrap();
    assert_eq!(members.len(), 1, "it is no member any more");
}

/// It hears of the change, but its caches do not: it must not answer by the time that the other does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_does_not_follow_is_not_waited_for_and_answers_nothing() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let (a, b) = two(&cluster, Duration::from_millis(300)).await;
    let _idle = b.watch();
    b.join().await.unwrap();
    let revision = a.commit(Batch::new().put("k", "")).await.unwrap();
    a.settled(revision, PATIENCE).await.unwrap();
    assert!(b.lease() <= Instant::now(), "its lease has run out");
    assert!(b.at() < revision);
    assert!(!b.reached(revision, Duration::from_millis(1)).await);
    b.applied(revision);
    until(move || b.lease() > Instant::now()).await;
}

#[tokio::test]
async fn a_lock_is_held_by_one_node_and_the_late_one_writes_nothing() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let (a, b) = two(&cluster, Duration::from_secs(1)).await;
    let long = Duration::from_secs(3600);
    let first = a.lock("chores", long).await.unwrap().unwrap();
    assert!(b.lock("chores", long).await.unwrap().is_none());
    let fence = first.fence();
    drop(first);
    let begun = Instant::now();
    let second = loop {
        if let Some(guard) = b.lock("chores", long).await.unwrap() {
            break guard;
        }
        assert!(begun.elapsed() < PATIENCE, "a dropped lock is free");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(second.fence() > fence);
    let late = a
        .commit(Batch::new().held("chores", fence).put("k", "late"))
        .await;
    assert!(matches!(late, Err(StorageError::Conflict(name)) if name == "chores"));
    let batch = Batch::new().held("chores", second.fence()).put("k", "now");
    b.commit(batch).await.unwrap();
    assert!(a.get("k").await.unwrap().unwrap().value == b"now");
}

#[tokio::test]
async fn a_store_that_was_set_back_or_has_forgotten_changes_is_told_of() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let table = cluster.table();
    let store = cluster.open(&table).await;
    for n in 0..5 {
        store
            .commit(Batch::new().put(format!("k{n}"), ""))
            .await
            .unwrap();
    }
    let mut feed = store.watch();
    for (text, last) in [
        ("UPDATE t_meta SET revision = 50", 50),
        (
            "UPDATE t_meta SET revision = 3; DELETE FROM t_changes WHERE revision > 3",
            3,
        ),
    ] {
        cluster.sql(&text.replace("t_", &format!("{table}_"))).await;
        let change = heard(&mut feed).await;
        assert!(change.replaced, "everything may have changed");
        assert_eq!(change.revision, Revision(last));
    }
    let revision = store.commit(Batch::new().put("k", "")).await.unwrap();
    assert_eq!(
        (revision, heard(&mut feed).await.revision),
        (Revision(4), Revision(4))
    );
}

#[tokio::test]
async fn a_restore_on_one_node_ends_a_stage_of_the_other() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let (a, b) = two(&cluster, Duration::from_secs(1)).await;
    a.commit(Batch::new().put("old", "")).await.unwrap();
    let mut feed = b.watch();
    let mut first = a.stage().await.unwrap();
    first.add(vec![("x".into(), b"1".to_vec())]).await.unwrap();
    let mut second = b.stage().await.unwrap();
    second.add(vec![("y".into(), b"2".to_vec())]).await.unwrap();
    let mut whole = a.whole().await.unwrap();
    assert!(matches!(
        first.adopt().await,
        Err(StorageError::Conflict(_))
    ));
    let revision = second.adopt().await.unwrap();
    assert_eq!(a.list("", "", 0).await.unwrap().names, ["y"]);
    let mut change = heard(&mut feed).await;
    // What was committed before the feed was asked for may still come.
    while change.revision < revision {
        assert!(!change.replaced);
        change = heard(&mut feed).await;
    }
    assert!(change.replaced && change.revision == revision);
    let kept = whole.next().await.unwrap();
    assert!(
        kept == [("old".to_owned(), Vec::new())],
        "who reads the whole still sees it"
    );
}
