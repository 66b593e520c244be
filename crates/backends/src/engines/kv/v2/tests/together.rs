//! Many at once, stores that fail, records that are damaged.

use keyfold_core::ports::storage::Batch;
use keyfold_core::testing::Moment;

use super::*;
use crate::storage::Redb;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_check_and_set_one_wins_each_version() {
    let mount = Arc::new(Mount::new());
    for version in 0..10 {
        let writers: Vec<_> = (0..16)
            .map(|n| {
                let mount = mount.clone();
                let body = json!({"options": {"cas": version}, "data": {"n": n}}).to_string();
                tokio::spawn(async move { mount.ask(Op::Write, "data/a", &body).await })
            })
            .collect();
        let mut winner = None;
        for (n, writer) in writers.into_iter().enumerate() {
            match writer.await.unwrap() {
                Ok(_) => assert!(winner.replace(n).is_none(), "two won version {version}"),
                Err(Error::BadRequest(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        let read = mount.read("data/a", json!({})).await.data();
        assert_eq!(read["data"]["n"], json!(winner));
        assert_eq!(read["metadata"]["version"], version + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_write_each_makes_a_version() {
    let folder = tempfile::tempdir().unwrap();
    let store = Redb::open(folder.path().join("store.redb")).unwrap();
    let mount = Arc::new(Mount::on(Arc::new(store)));
    mount.write("config", json!({"max_versions": 100})).await;
    let writers: Vec<_> = (1..=64)
        .map(|n| {
            let mount = mount.clone();
            tokio::spawn(async move {
                let written = mount.write("data/a", json!({"data": {"n": n}})).await;
                (written.data()["version"].as_u64().unwrap(), n)
            })
        })
        .collect();
    let mut made = BTreeMap::new();
    for writer in writers {
        let (version, n) = writer.await.unwrap();
        made.insert(version, json!(n));
    }
    let made: Vec<_> = made.into_values().collect();
    assert_eq!(mount.versions("a", 64).await, made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reading_while_the_secret_is_pruned_removed_and_made_anew() {
    let mount = Arc::new(Mount::new());
    mount.write("config", json!({"max_versions": 1})).await;
    let writer = {
        let mount = mount.clone();
        tokio::spawn(async move {
            for round in 0..300 {
                mount.write("data/a", json!({"data": {"at": round}})).await;
                mount.clock.advance(Duration::from_secs(1));
                if round % 3 == 0 {
                    mount.delete("metadata/a").await;
                }
            }
        })
    };
    while !writer.is_finished() {
        match mount.ask(Op::Read, "data/a", "{}").await {
            Ok(answer) => {
                let (data, seconds) = (answer.data(), |at: &str| at.parse::<u64>().unwrap());
                let created = data["metadata"]["created_time"].as_str().unwrap();
                let at = seconds(&created[14..16]) * 60 + seconds(&created[17..19]);
                assert_eq!(
                    data["data"]["at"], at,
                    "data and metadata are of one moment"
                );
            }
            Err(Error::NotFound | Error::Contended) => {}
            Err(other) => panic!("{other}"),
        }
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn a_failed_change_changes_nothing() {
    let changes = [
        (Op::Write, "data/a", json!({"data": {"n": 9}})),
        (Op::Write, "data/new", json!({"data": {"n": 9}})),
        (Op::Delete, "data/a", json!({})),
        (Op::Write, "delete/a", json!({"versions": [1]})),
        (Op::Write, "undelete/a", json!({"versions": [3]})),
        (Op::Write, "destroy/a", json!({"versions": [1, 2]})),
        (Op::Write, "metadata/a", json!({"max_versions": 1})),
        (Op::Patch, "data/a", json!({"data": {"more": 1}})),
        (
            Op::Patch,
            "metadata/a",
            json!({"custom_metadata": {"k": "v"}}),
        ),
        (Op::Delete, "metadata/a", json!({})),
        (Op::Write, "config", json!({"max_versions": 1})),
    ];
    for (op, path, body) in changes {
        for at in 0.. {
            let mount = Mount::new();
            mount.secret("a", 4).await;
            mount.write("delete/a", json!({"versions": [3]})).await;
            let before = state(&mount).await;
            mount.store.fail_at(mount.store.operations() + at);
            let Err(error) = mount.ask(op, path, &body.to_string()).await else {
                assert!(at >= 2, "{path} reads and commits");
                assert_ne!(state(&mount).await, before, "{path} does something");
                break;
            };
            assert!(matches!(error, Error::Storage(_)), "{path}: {error}");
            assert_eq!(state(&mount).await, before, "{path} at {at}");
        }
    }
}

#[tokio::test]
async fn a_crash_leaves_a_secret_whole_or_gone() {
    for moment in [Moment::Before, Moment::After] {
        let mount = Mount::new();
        mount.secret("big", 10).await;
        // The metadata, then the commit.
        mount.store.crash_at(mount.store.operations() + 1, moment);
        assert!(mount.ask(Op::Delete, "metadata/big", "").await.is_err());
        mount.store.fail_at(usize::MAX);
        match moment {
            Moment::After => assert!(mount.records().await.is_empty()),
            Moment::Before => {
                let all: Vec<_> = (1..=10).map(|n| json!(n)).collect();
                assert_eq!(mount.versions("big", 10).await, all);
            }
        }
        mount.delete("metadata/big").await;
        mount.secret("big", 1).await;
    }
}

#[tokio::test]
async fn a_damaged_record_is_named_and_fails_its_read_alone() {
    let mount = Mount::new();
    mount.secret("a", 2).await;
    let put = |key: &str, value: &str| mount.view.commit(Batch::new().put(key, value));
    put("versions/a/1", "{\"n\":").await.unwrap();
    let corrupt = |asked: Result<Answer, Error>, name: &str| match asked {
        Err(Error::Corrupt(record)) => assert!(record.contains(name), "{record}"),
        Err(other) => panic!("{other}"),
        Ok(answer) => panic!("{}", answer.text),
    };
    corrupt(
        mount.ask(Op::Read, "data/a", r#"{"version":1}"#).await,
        "versions/a/1",
    );
    assert_eq!(
        mount.read("data/a", json!({})).await.data()["data"],
        json!({"n": 2})
    );

    mount
        .view
        .commit(Batch::new().delete("versions/a/1"))
        .await
        .unwrap();
    corrupt(
        mount.ask(Op::Read, "data/a", r#"{"version":1}"#).await,
        "versions/a/1",
    );
    put("metadata/a", "[]").await.unwrap();
    for op in [Op::Read, Op::Write, Op::Delete] {
        corrupt(
            mount.ask(op, "data/a", r#"{"data":{}}"#).await,
            "metadata/a",
        );
    }
    mount.secret("b", 1).await;
}

/// What a client can see of two secrets and the settings.
async fn state(mount: &Mount) -> Vec<String> {
    let mut seen = Vec::new();
    for path in ["metadata/a", "data/a", "metadata/new", "data/new", "config"] {
        let answer = mount.ask(Op::Read, path, "").await;
        seen.push(answer.map_or_else(|error| error.to_string(), |answer| answer.text));
    }
    seen.extend(mount.records().await);
    seen
}

#[tokio::test]
async fn data_that_were_sealed_anew_read_as_before() {
    let mount = Mount::new();
    mount.write("data/a", json!({"data": {"v": 1}})).await;
    let key = super::super::record::version_key("a", 1);
    let stored = mount.view.get(&key).await.unwrap().unwrap();
    let same = Batch::new().put(key, stored.value.expose().clone());
    mount.view.commit(same).await.unwrap();
    let read = mount.read("data/a", json!({})).await.data();
    assert_eq!(read["data"], json!({"v": 1}));
}
