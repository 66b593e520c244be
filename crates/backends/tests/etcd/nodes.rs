//! Two nodes on one store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyfold_backends::storage::Etcd;
use keyfold_backends::storage::etcd::{Options, Tls};
use keyfold_core::ports::nodes::Nodes;
use keyfold_core::ports::storage::{Batch, Change, Storage, StorageError};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use super::cluster::Cluster;
use super::proxy::Proxy;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

async fn two(cluster: &Cluster, freshness: Duration) -> (Arc<Etcd>, Arc<Etcd>) {
    let prefix = cluster.prefix();
    let open = async || {
        let mut options = cluster.options(&prefix);
        options.freshness = freshness;
        Arc::new(Etcd::open(options).await.unwrap())
    };
    (open().await, open().await)
}

async fn heard(feed: &mut Receiver<Change>) -> Change {
    let change = timeout(PATIENCE, feed.recv()).await;
    change.expect("a node hears of every commit").unwrap()
}

/// Does what core does with a feed.
fn apply(node: &Arc<Etcd>) {
    let (node, mut feed) = (node.clone(), node.watch());
    tokio::spawn(async move {
        while let Ok(change) = feed.recv().await {
            node.applied(change.revision);
        }
    });
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
    // Longer than anybody waits here: what settles is word of the other.
    let (a, b) = two(&cluster, Duration::from_secs(60)).await;
    assert!(b.lease() <= Instant::now(), "no lease before it joins");
    assert!(a.members().await.unwrap().is_empty(), "nobody has joined");
    apply(&a);
    apply(&b);
    b.join().await.unwrap();
    assert!(b.lease() > Instant::now());
    a.join().await.unwrap();
    for n in 0..5 {
        let batch = Batch::new().put(format!("k{n}"), "");
        let revision = a.commit(batch).await.unwrap();
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
    let revision = a.commit(Batch::new().put("k0", "")).await.unwrap();
    a.settled(revision, PATIENCE).await.unwrap();
    assert_eq!(a.members().await.unwrap().len(), 1, "it is no member");
    b.join().await.unwrap();
    assert!(b.at() >= revision, "it knows what was committed meanwhile");
    assert_eq!(a.members().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_whose_caches_hear_nothing_is_waited_for_no_longer_than_its_lease() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let (a, b) = two(&cluster, Duration::from_millis(300)).await;
    let _deaf = b.watch();
    b.join().await.unwrap();
    a.join().await.unwrap();
    let revision = a.commit(Batch::new().put("k", "1")).await.unwrap();
    a.settled(revision, PATIENCE).await.unwrap();
    assert!(
        b.lease() <= Instant::now(),
        "it answers nothing from memory"
    );
    b.applied(revision);
    until(|| b.lease() > Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leases_go_on_while_others_write_elsewhere() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let (a, _) = two(&cluster, Duration::from_millis(400)).await;
    apply(&a);
    a.join().await.unwrap();
    let first = a.lease();
    let elsewhere = cluster.prefix();
    for n in 0..40 {
        cluster.put(&format!("{elsewhere}/x"), &n.to_string()).await;
    }
    until(|| a.lease() > first + Duration::from_secs(1)).await;
}

/// One node whose way can be cut, and another.
async fn cut_and_whole(cluster: &Cluster, freshness: Duration) -> (Proxy, Arc<Etcd>, Arc<Etcd>) {
    let (proxy, prefix) = (Proxy::to(&cluster.url(0)).await, cluster.prefix());
    let open = async |url: &str| {
        let mut options = Options::new(url, &prefix, &Tls::default()).unwrap();
        options.freshness = freshness;
        Arc::new(Etcd::open(options).await.unwrap())
    };
    let a = open(&proxy.url()).await;
    (proxy, a, open(&cluster.url(0)).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_compaction_hides_is_everything() {
    let Some(cluster) = Cluster::of(1) else {
        return;
    };
    let (proxy, a, b) = cut_and_whole(&cluster, Duration::from_secs(1)).await;
    let mut feed = a.watch();
    let first = b.commit(Batch::new().put("a", "1")).await.unwrap();
    assert_eq!(heard(&mut feed).await.revision, first);
    let mut old = b.whole().await.unwrap();
    proxy.cut();
    b.commit(Batch::new().put("a", "2")).await.unwrap();
    let last = b.commit(Batch::new().put("b", "2")).await.unwrap();
    let compact = serde_json::json!({"revision": last.0.to_string(), "physical": true});
    cluster.ask("kv/compaction", compact).await;
    proxy.heal();
    let change = heard(&mut feed).await;
    assert!(change.replaced && change.revision == last);
    let next = b.commit(Batch::new().put("c", "3")).await.unwrap();
    let change = heard(&mut feed).await;
    assert_eq!((change.revision, change.replaced), (next, false));

    let Err(StorageError::Failed(why)) = old.next().await else {
        panic!("it was read")
    };
    assert!(why.contains("compacted"), "{why}");
    let mut whole = a.whole().await.unwrap();
    assert_eq!(whole.revision(), next);
    assert_eq!(whole.next().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_is_cut_off_loses_its_lease_and_hears_of_everything_later() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let (proxy, a, b) = cut_and_whole(&cluster, Duration::from_millis(500)).await;
    apply(&a);
    apply(&b);
    a.join().await.unwrap();
    b.join().await.unwrap();
    proxy.cut();
    let revision = b.commit(Batch::new().put("k", "1")).await.unwrap();
    b.settled(revision, PATIENCE).await.unwrap();
    assert!(
        a.lease() <= Instant::now(),
        "it answers nothing from memory"
    );
    proxy.heal();
    until(|| a.lease() > Instant::now()).await;
    assert!(a.at() >= revision, "it knows what was committed meanwhile");
}
