//! Soft delete, undelete, destroy.

use super::*;

#[tokio::test]
async fn a_deleted_version_is_a_404_that_says_what_was_there() {
    let mount = Mount::new();
    mount.secret("a", 2).await;
    mount.clock.advance(Duration::from_secs(60));
    mount.delete("data/a").await;
    let read = mount.read("data/a", json!({})).await;
    let metadata = json!({
        "created_time": "2030-01-01T00:00:00Z",
        "custom_metadata": null,
        "deletion_time": "2030-01-01T00:01:00Z",
        "destroyed": false,
        "version": 2,
    });
    assert_eq!(read.status, 404);
    assert_eq!(read.data(), json!({"data": null, "metadata": metadata}));
    assert_eq!(mount.versions("a", 2).await, [json!(1), Value::Null]);

    // A second deletion does not move the first, and writes nothing.
    mount.clock.advance(Duration::from_secs(60));
    let before = mount.kv.secret("a").await.unwrap().unwrap().1;
    mount.delete("data/a").await;
    mount.write("delete/a", json!({"versions": [2]})).await;
    assert_eq!(
        mount.read("data/a", json!({})).await.data()["metadata"],
        metadata
    );
    assert_eq!(mount.kv.secret("a").await.unwrap().unwrap().1, before);

    mount
        .write("undelete/a", json!({"versions": [1, 2, 3]}))
        .await;
    assert_eq!(mount.versions("a", 2).await, [json!(1), json!(2)]);
    let shown = mount.read("metadata/a", json!({})).await.data();
    assert_eq!(shown["updated_time"], "2030-01-01T00:00:00Z");
    assert_eq!(shown["versions"]["2"]["deletion_time"], "");
}

#[tokio::test]
async fn a_destroyed_version_is_gone_from_the_store_and_stays_so() {
    let mount = Mount::new();
    mount.secret("a", 3).await;
    mount
        .write("destroy/a", json!({"versions": [3, 1, 3]}))
        .await;
    assert_eq!(mount.records().await, ["metadata/a", "versions/a/2"]);
    mount.write("undelete/a", json!({"versions": [1, 3]})).await;
    mount.delete("data/a").await;
    assert_eq!(
        mount.versions("a", 3).await,
        [Value::Null, json!(2), Value::Null]
    );
    let read = mount.read("data/a", json!({})).await;
    assert_eq!(read.status, 404);
    assert_eq!(read.data()["metadata"]["destroyed"], true);
    assert_eq!(read.data()["metadata"]["deletion_time"], "");
    mount.write("destroy/a", json!({"versions": [3]})).await;
    let next = mount
        .write("data/a", json!({"data": {}, "options": {"cas": 3}}))
        .await;
    assert_eq!(next.data()["version"], 4);
}

#[tokio::test]
async fn version_lists_come_in_many_forms() {
    for (given, hit) in [
        (json!([1]), vec![1]),
        (json!(["1"]), vec![1]),
        (json!("1,2"), vec![1, 2]),
        (json!("1"), vec![1]),
        (json!(2), vec![2]),
        (json!([1, "2"]), vec![1, 2]),
        (json!([2, 2, 2]), vec![2]),
        (json!([0]), vec![]),
        (json!([99]), vec![]),
        (json!([-1]), vec![]),
        (json!([99, 1]), vec![1]),
    ] {
        let mount = Mount::new();
        mount.secret("a", 3).await;
        let seen = |gone: bool| {
            let hit = hit.clone();
            (1..=3).map(move |n| match gone && hit.contains(&n) {
                true => Value::Null,
                false => json!(n),
            })
        };
        for (call, gone) in [("delete", true), ("undelete", false), ("destroy", true)] {
            let answer = mount
                .write(&format!("{call}/a"), json!({"versions": given}))
                .await;
            assert_eq!(answer.status, 204);
            let expected: Vec<_> = seen(gone).collect();
            assert_eq!(mount.versions("a", 3).await, expected, "{call} {given}");
        }
    }
}

#[tokio::test]
async fn no_version_is_a_mistake_and_an_unknown_secret_is_none() {
    let mount = Mount::new();
    mount.secret("a", 1).await;
    for (call, text) in [
        ("delete", "No version number provided"),
        ("undelete", "No version number provided"),
        ("destroy", "no version number provided"),
    ] {
        let path = format!("{call}/a");
        for body in [
            json!({}),
            json!({"versions": []}),
            json!({"versions": null}),
        ] {
            assert_eq!(mount.refused(&path, body).await, text);
        }
        for odd in [json!(["x"]), json!([1.5]), json!({"1": 1}), json!([[1]])] {
            let refused = mount.refused(&path, json!({"versions": odd})).await;
            assert!(refused.contains("\"versions"), "{odd}: {refused}");
        }
        mount
            .write(&format!("{call}/nothing"), json!({"versions": [1]}))
            .await;
    }
    mount.delete("data/nothing").await;
    mount.delete("metadata/nothing").await;
    assert_eq!(mount.versions("a", 1).await, [json!(1)]);
    assert_eq!(mount.records().await, ["metadata/a", "versions/a/1"]);
}
