//! The embedded store against `kill -9`, and against a second process.
//!
//! The tests start this very program again as their child: [`child`] is a test that does nothing
//! unless it is told where its store is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use keyfold_backends::storage::Redb;
use keyfold_core::ports::storage::{Batch, Revision, Storage};

const STORE: &str = "KEYFOLD_TEST_STORE";
const ROUND: &str = "KEYFOLD_TEST_ROUND";
const WRITERS: usize = 8;
const ROUNDS: usize = 20;

/// The child: writes pairs of keys for ever, and says which it was told are safe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(path), Ok(round)) = (std::env::var(STORE), std::env::var(ROUND)) else {
        return;
    };
    let store = match Redb::open(path) {
        Ok(store) => Arc::new(store),
        Err(error) => return println!("\nrefused {error}"),
    };
    let writers: Vec<_> = (0..WRITERS)
        .map(|id| {
            let (store, round) = (Arc::clone(&store), round.clone());
            tokio::spawn(async move {
                for n in 0.. {
                    let name = format!("{round}/{id}/{n}");
                    let value = name.repeat(1 + n % 50);
                    let batch = Batch::new()
                        .put(format!("left/{name}"), value.clone())
                        .put(format!("right/{name}"), value)
                        .put(format!("latest/{round}-{id}"), name.clone());
                    let revision = store.commit(batch).await.unwrap();
                    println!("\nsafe {name} {} .", revision.0);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn every_acknowledged_write_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let mut safe: Vec<(String, u64)> = Vec::new();
    for round in 0..ROUNDS {
        let mut child = start(&path, round);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .filter_map(|line| parse(&line))
                .collect::<Vec<_>>()
        });
        // Some children die while they open, some in the middle of their work.
        std::thread::sleep(Duration::from_millis((round as u64 * 37) % 150 + 5));
        child.kill().unwrap();
        child.wait().unwrap();
        safe.extend(reader.join().unwrap());
        let store = Redb::open(&path).unwrap();
        check(&store, &safe).await;
    }
    assert!(safe.len() > ROUNDS, "the children did work");
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let _first = Redb::open(&path).unwrap();
    let output = start(&path, 0).wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("refused") && text.contains("in use by another process"),
        "{text}"
    );
}

fn start(path: &Path, round: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env(STORE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn parse(line: &str) -> Option<(String, u64)> {
    // A line that the kill cut off has no full stop: its write was not acknowledged to us.
    let (name, revision) = line
        .strip_prefix("safe ")?
        .strip_suffix(" .")?
        .split_once(' ')?;
    Some((name.to_owned(), revision.parse().ok()?))
}

/// Nothing acknowledged is missing, and no pair is torn.
async fn check(store: &Redb, safe: &[(String, u64)]) {
    let mut last = 0;
    for (name, revision) in safe {
        let entry = store
            .get(&format!("left/{name}"))
            .await
            .unwrap()
            .expect("an acked write");
        assert_eq!(
            entry.revision,
            Revision(*revision),
            "{name} was written by its own commit"
        );
        last = last.max(*revision);
    }
    let mut pairs = 0;
    for round in store.list("left/", "", 0).await.unwrap().names {
        for writer in store
            .list(&format!("left/{round}"), "", 0)
            .await
            .unwrap()
            .names
        {
            let folder = format!("{round}{writer}");
            let left = store
                .list(&format!("left/{folder}"), "", 0)
                .await
                .unwrap()
                .names;
            let right = store
                .list(&format!("right/{folder}"), "", 0)
                .await
                .unwrap()
                .names;
            assert_eq!(left, right, "both of a pair or none");
            let numbers: HashSet<&String> = left.iter().collect();
            // Each writer waits for its answers, so its numbers have no gap.
            assert!(
                (0..left.len()).all(|n| numbers.contains(&n.to_string())),
                "{folder}: a gap"
            );
            pairs += left.len();
        }
    }
    assert!(pairs >= safe.len(), "every acknowledged pair is there");
    let next = store.commit(Batch::new().put("probe", "")).await.unwrap();
    assert!(next > Revision(last), "no revision is given twice");
}
