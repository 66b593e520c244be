//! Storage `postgresql` on a PostgreSQL from Debian's packages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

mod cluster;
mod nodes;
mod races;
mod refusals;
mod rough;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use keyfold_core::ports::storage::{Batch, MAX_KEY, Storage};
use keyfold_core::testing::{Stores, storage_suite};

use cluster::Cluster;

struct Tables {
    cluster: Arc<Cluster>,
    last: Mutex<String>,
}

#[async_trait]
impl Stores for Tables {
    async fn fresh(&self) -> Arc<dyn Storage> {
        let table = self.cluster.table();
        self.last.lock().unwrap().clone_from(&table);
        self.cluster.open(&table).await
    }

    async fn reopen(&self, store: Arc<dyn Storage>) -> Option<Arc<dyn Storage>> {
        drop(store);
        let table = self.last.lock().unwrap().clone();
        Some(self.cluster.open(&table).await)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keeps_the_contract() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    storage_suite(&Tables {
        cluster,
        last: Mutex::default(),
    })
    .await;
}

/// The suite's longest key is one letter, which an index makes small. These are not: they differ only
/// far behind what the index has of them.
#[tokio::test]
async fn long_keys_are_kept_found_and_listed_in_order() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    let store = cluster.open(&cluster.table()).await;
    let mut stem = String::new();
    let mut number = 1u32;
    while stem.len() < MAX_KEY - 100 {
        // No two pieces are alike.
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        stem.push_str(&format!("{number:08x}"));
    }
    let mut ends = vec![
        "",
        "a",
        "a/1",
        "a/2",
        "a0",
        "b/1",
        "z",
        "ä",
        "ä/1",
        "\u{10ffff}",
    ];
    for end in &ends {
        let batch = Batch::new().absent(format!("p/{stem}{end}"));
        let batch = batch.put(format!("p/{stem}{end}"), *end);
        store.commit(batch).await.unwrap();
    }
    for end in &ends {
        let entry = store.get(&format!("p/{stem}{end}")).await.unwrap();
        assert!(entry.unwrap().value == end.as_bytes());
    }
    let mut joined: Vec<String> = Vec::new();
    loop {
        let after = joined.last().cloned().unwrap_or_default();
        let page = store.list("p/", &after, 3).await.unwrap();
        joined.extend(page.names);
        if !page.more {
            break;
        }
    }
    ends.retain(|end| !end.contains('/'));
    ends.extend(["a/", "b/", "ä/"]);
    ends.sort_unstable();
    let wanted: Vec<_> = ends.iter().map(|end| format!("{stem}{end}")).collect();
    assert!(joined == wanted, "each name once, in byte order");
    let below = store.list(&format!("p/{stem}a/"), "", 0).await.unwrap();
    assert_eq!(below.names, ["1", "2"]);

    let mut whole = store.whole().await.unwrap();
    let mut keys = Vec::new();
    loop {
        let portion = whole.next().await.unwrap();
        if portion.is_empty() {
            break;
        }
        keys.extend(portion.into_iter().map(|(key, _)| key));
    }
    assert!(keys.len() == 10 && keys.is_sorted());
}
