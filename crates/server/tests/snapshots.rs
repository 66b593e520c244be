//! Snapshots on a schedule.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]
#![allow(dead_code, reason = "each test binary uses its part of the site")]

mod site;

use std::fs;
use std::path::Path;
use std::time::Duration;

use keyfold_server::snapshot::inspect;
use site::{PLAIN, Site};

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Looks until it is so, for a while.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..300 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}")
}

fn config(folder: &Path) -> String {
    format!(
        "{PLAIN}\nsnapshots {{ path = \"{}\" interval = \"1s\" retain = 2 }}",
        folder.display()
    )
}

impl Site {
    /// A line of the metrics.
    async fn metric(&self, name: &str) -> Option<String> {
        let url = format!("{}/v1/sys/metrics?format=prometheus", self.base);
        let request = self.client.get(url).header("X-Vault-Token", &self.token);
        let text = request.send().await.unwrap().text().await.unwrap();
        let mut lines = text.lines();
        let found = lines.find(|line| line.starts_with(name))?;
        found.rsplit_once(' ').map(|(_, value)| value.to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn made_while_open_and_the_newest_kept() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("made/by/it");
    let mut site = Site::start(&config(&folder)).await;
    site.open().await;
    until("three of them were made", async || {
        let saved = site.metric("vault_snapshots_total{result=\"saved\"}").await;
        saved.is_some_and(|saved| saved.parse::<u64>().unwrap() >= 3)
    })
    .await;
    assert!(site.metric("vault_snapshot_age_seconds").await.is_some());
    site.server.shutdown().await.unwrap();
    let files = files(&folder);
    assert!((1..=3).contains(&files.len()), "{files:?}");
    for file in files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "kfsnap"))
    {
        assert!(inspect(file).unwrap().records > 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_counted_and_harms_nothing() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("a-file");
    fs::write(&folder, "in the way").unwrap();
    let mut site = Site::start(&config(&folder)).await;
    site.open().await;
    until("it is told", async || {
        let failed = site
            .metric("vault_snapshots_total{result=\"failed\"}")
            .await;
        failed.is_some_and(|failed| failed != "0")
    })
    .await;
    assert!(site.metric("vault_snapshot_age_seconds").await.is_none());
    assert_eq!(site.get("sys/health").await.0, 200);
    site.server.shutdown().await.unwrap();
}
