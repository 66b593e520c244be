//! A mount of version 1 becomes one of version 2.

use keyfold_core::ports::storage::Batch;
use keyfold_core::testing::Moment;

use super::*;

/// Secrets of version 1, written as that version does, and the beginning of the takeover.
async fn tuned(mount: &Mount, paths: &[String]) {
    for paths in paths.chunks(200) {
        let batch = paths.iter().fold(Batch::new(), |batch, path| {
            batch.put(v1::key(path), json!({"path": path}).to_string())
        });
        mount.view.commit(batch).await.unwrap();
    }
    let options = BTreeMap::from([("version".to_owned(), "2".to_owned())]);
    let retune = Engine::retune(&v1::Kv::new(mount.view.clone()), &options).unwrap();
    assert!(retune.warnings[0].starts_with("Upgrading mount from version 1 to version 2."));
    mount.view.commit(retune.batch).await.unwrap();
}

fn paths(count: usize) -> Vec<String> {
    let mut paths: Vec<_> = [
        "a",
        "a/b",
        "a/b/c",
        "config",
        "metadata/x",
        "versions/a/1",
        "secrets/s",
        "takeover",
        "é 日",
    ]
    .map(str::to_owned)
    .into();
    paths.extend((0..count).map(|n| format!("many/{n:03}")));
    paths
}

async fn check(mount: &Mount, paths: &[String]) {
    for path in paths {
        let read = mount.read(&format!("data/{path}"), json!({})).await.data();
        assert_eq!(read["data"], json!({"path": path}));
        assert_eq!(read["metadata"]["version"], 1);
    }
    let mut records: Vec<_> = paths
        .iter()
        .flat_map(|path| [format!("metadata/{path}"), format!("versions/{path}/1")])
        .collect();
    records.push("takeover".to_owned());
    records.sort();
    assert_eq!(mount.records().await, records);
}

#[tokio::test]
async fn every_secret_becomes_a_first_version() {
    let mount = Mount::new();
    let paths = paths(200);
    tuned(&mount, &paths).await;
    let known = mount.read("metadata/a/b", json!({})).await.data();
    assert_eq!(
        (&known["current_version"], &known["oldest_version"]),
        (&json!(1), &json!(1))
    );
    check(&mount, &paths).await;
    mount.secret("a", 1).await;
    assert_eq!(
        mount.read("data/a", json!({"version": 2})).await.data()["data"],
        json!({"n": 1})
    );
}

#[tokio::test]
async fn a_crash_at_any_operation_loses_nothing() {
    let paths = paths(70);
    for moment in [Moment::Before, Moment::After] {
        for at in 0.. {
            let mount = Mount::new();
            tuned(&mount, &paths).await;
            mount.store.crash_at(mount.store.operations() + at, moment);
            let done = mount.ask(Op::Read, "data/a", "").await.is_ok();
            mount.store.fail_at(usize::MAX);
            check(&mount.restarted(), &paths).await;
            if done {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_failure_is_told_and_the_next_request_goes_on() {
    let paths = paths(70);
    for at in 0.. {
        let mount = Mount::new();
        tuned(&mount, &paths).await;
        mount.store.fail_at(mount.store.operations() + at);
        let asked = mount.ask(Op::Read, "data/a", "").await;
        let done = asked.is_ok();
        assert!(done || matches!(asked, Err(Error::Storage(_))));
        mount.store.fail_at(usize::MAX);
        check(&mount, &paths).await;
        if done {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_share_one_takeover() {
    let mount = Arc::new(Mount::new());
    let all = paths(500);
    tuned(&mount, &all).await;
    let readers: Vec<_> = (0..32)
        .map(|n| {
            let mount = mount.clone();
            tokio::spawn(async move {
                let path = format!("data/many/{n:03}");
                mount.read(&path, json!({})).await.status
            })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), 200);
    }
    check(&mount, &all).await;
}

#[tokio::test]
async fn there_is_no_way_back() {
    let mount = Mount::new();
    for (version, ok) in [("2", true), ("1", false), ("", false), ("3", false)] {
        let options = BTreeMap::from([("version".to_owned(), version.to_owned())]);
        let retune = Engine::retune(&mount.kv, &options);
        assert_eq!(retune.is_ok(), ok, "{version}");
    }
    let retune = Engine::retune(&mount.kv, &BTreeMap::new());
    assert_eq!(
        retune.err().unwrap().to_string(),
        "cannot downgrade mount from version 2"
    );
}
