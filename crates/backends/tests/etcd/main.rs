//! Storage `etcd` on an etcd from Debian's packages.
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
mod proxy;
mod races;
mod refusals;
mod rough;
mod sizes;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use keyfold_core::ports::storage::Storage;
use keyfold_core::testing::{Stores, storage_suite};

use cluster::Cluster;

struct Prefixes {
    cluster: Arc<Cluster>,
    last: Mutex<String>,
}

#[async_trait]
impl Stores for Prefixes {
    async fn fresh(&self) -> Arc<dyn Storage> {
        let prefix = self.cluster.prefix();
        self.last.lock().unwrap().clone_from(&prefix);
        self.cluster.open(&prefix).await
    }

    async fn reopen(&self, store: Arc<dyn Storage>) -> Option<Arc<dyn Storage>> {
        drop(store);
        let prefix = self.last.lock().unwrap().clone();
        Some(self.cluster.open(&prefix).await)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keeps_the_contract() {
    let Some(cluster) = Cluster::shared() else {
        return;
    };
    storage_suite(&Prefixes {
        cluster,
        last: Mutex::default(),
    })
    .await;
}
