//! Whatever several nodes commit at once, it is as if they had done so one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_backends::storage::Etcd;
use keyfold_core::ports::storage::{Batch, Check, Revision, Storage, StorageError};
use proptest::prelude::*;

use super::cluster::Cluster;

#[derive(Debug, Clone, Copy)]
enum Step {
    Put(u8),
    Delete(u8),
    Create(u8),
    /// Reads, then writes what was read and another key.
    Replace(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..4u8;
    let step = prop_oneof![
        key.clone().prop_map(Step::Put),
        key.clone().prop_map(Step::Delete),
        key.clone().prop_map(Step::Create),
        (key.clone(), key).prop_map(|(a, b)| Step::Replace(a, b)),
    ];
    prop::collection::vec(step, 1..12)
}

fn name(key: u8) -> String {
    format!("k{key}")
}

/// What a step commits; it reads before.
async fn batch(store: &Etcd, step: Step, value: &str) -> Batch {
    match step {
        Step::Put(key) => Batch::new().put(name(key), value),
        Step::Delete(key) => Batch::new().delete(name(key)),
        Step::Create(key) => Batch::new().absent(name(key)).put(name(key), value),
        Step::Replace(key, other) => {
            let found = store.get(&name(key)).await.unwrap();
            let batch = match found {
                None => Batch::new().absent(name(key)),
                Some(entry) => Batch::new().unchanged(name(key), entry.revision),
            };
            let batch = batch.put(name(key), value);
            match key == other {
                true => batch,
                false => batch.delete(name(other)),
            }
        }
    }
}

async fn run(store: Arc<Etcd>, id: usize, steps: Vec<Step>) -> Vec<(Revision, Batch)> {
    let mut done = Vec::new();
    for (n, step) in steps.into_iter().enumerate() {
        let batch = batch(&store, step, &format!("{id}.{n}")).await;
        match store.commit(batch.clone()).await {
            Ok(revision) => done.push((revision, batch)),
            Err(StorageError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    done
}

type Model = BTreeMap<String, (Vec<u8>, Revision)>;

fn replay(mut done: Vec<(Revision, Batch)>) -> Model {
    done.sort_by_key(|(revision, _)| *revision);
    let mut model = Model::new();
    let mut last = Revision::default();
    for (revision, batch) in done {
        assert!(revision > last, "no revision is used twice");
        last = revision;
        for check in &batch.checks {
            let holds = match check {
                Check::Absent(key) => !model.contains_key(key),
                Check::Present(key) => model.contains_key(key),
                Check::Unchanged(key, read) => model.get(key).is_some_and(|(_, at)| at == read),
                Check::Held(..) => false,
            };
            assert!(
                holds,
                "{check:?} held when revision {} was given",
                revision.0
            );
        }
        for (key, value) in batch.puts {
            model.insert(key, (value, revision));
        }
        for key in batch.deletes {
            model.remove(&key);
        }
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 0, ..ProptestConfig::default() })]
    #[test]
    fn commits_are_as_if_one_after_the_other(work in prop::collection::vec(steps(), 4)) {
        if let Some(cluster) = Cluster::shared() {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let prefix = cluster.prefix();
                let nodes = [cluster.open(&prefix).await, cluster.open(&prefix).await];
                let tasks: Vec<_> = work
                    .into_iter()
                    .enumerate()
                    .map(|(id, steps)| tokio::spawn(run(nodes[id % 2].clone(), id, steps)))
                    .collect();
                let mut done = Vec::new();
                for task in tasks {
                    done.extend(task.await.unwrap());
                }
                let model = replay(done);
                for key in 0..4 {
                    let found = nodes[0].get(&name(key)).await.unwrap();
                    let found = found.map(|entry| (entry.value, entry.revision));
                    assert!(found.as_ref() == model.get(&name(key)));
                }
            });
        }
    }
}
