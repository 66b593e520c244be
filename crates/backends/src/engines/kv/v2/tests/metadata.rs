//! Settings of the mount and of a secret; lists.

use super::*;

#[tokio::test]
async fn settings_of_the_mount() {
    let mount = Mount::new();
    let shown = |max: u64, cas: bool, after: &str| {
        json!({
            "max_versions": max,
            "cas_required": cas,
            "delete_version_after": after,
            "metadata_cas_required": false,
        })
    };
    assert_eq!(
        mount.read("config", json!({})).await.data(),
        shown(0, false, "0s")
    );
    for (body, then) in [
        (
            json!({"max_versions": "4", "cas_required": "true", "delete_version_after": "1h30m"}),
            shown(4, true, "1h30m0s"),
        ),
        (json!({}), shown(4, true, "1h30m0s")),
        (
            json!({"delete_version_after": "0s", "cas_required": 0}),
            shown(4, false, "0s"),
        ),
        (
            json!({"delete_version_after": "-1s"}),
            shown(4, false, "-1s"),
        ),
        (
            json!({"delete_version_after": 90, "max_versions": 0}),
            shown(0, false, "1m30s"),
        ),
    ] {
        assert_eq!(mount.write("config", body.clone()).await.status, 204);
        let read = mount.restarted().read("config", json!({})).await.data();
        assert_eq!(read, then, "{body}");
    }
    for (field, value) in [
        ("max_versions", json!("x")),
        ("max_versions", json!(-1)),
        ("cas_required", json!("perhaps")),
        ("delete_version_after", json!("soon")),
        ("delete_version_after", json!(true)),
    ] {
        let refused = mount.refused("config", json!({field: value})).await;
        assert!(refused.contains(field), "{refused}");
    }
    let warned = mount.write("config", json!({"max_version": 4})).await;
    assert!(warned.warnings[0].contains("[max_version]"));
    assert_eq!(
        mount.read("config", json!({})).await.data(),
        shown(0, false, "1m30s")
    );
}

#[tokio::test]
async fn settings_of_a_secret() {
    let mount = Mount::new();
    mount
        .write(
            "metadata/a",
            json!({"custom_metadata": {"owner": "x", "n": 5}}),
        )
        .await;
    mount.missing("data/a", json!({})).await;
    let metadata = |updated: &str, version: u64, custom: Value| {
        json!({
            "cas_required": false,
            "created_time": "2030-01-01T00:00:00Z",
            "current_metadata_version": version,
            "current_version": 0,
            "custom_metadata": custom,
            "delete_version_after": "0s",
            "max_versions": 0,
            "metadata_cas_required": false,
            "oldest_version": 0,
            "updated_time": updated,
            "versions": {},
        })
    };
    let custom = json!({"owner": "x", "n": "5"});
    let read = mount.read("metadata/a", json!({})).await.data();
    assert_eq!(read, metadata("2030-01-01T00:00:00Z", 1, custom.clone()));

    mount.clock.advance(Duration::from_secs(5));
    mount.secret("a", 1).await;
    let read = mount.read("metadata/a", json!({})).await.data();
    assert_eq!(read["updated_time"], "2030-01-01T00:00:05Z");
    assert_eq!(
        read["versions"],
        json!({"1": {"created_time": "2030-01-01T00:00:05Z", "deletion_time": "", "destroyed": false}})
    );
    let data = mount.read("data/a", json!({})).await.data();
    assert_eq!(data["metadata"]["custom_metadata"], custom);

    let body = json!({"max_versions": 3, "cas_required": true, "delete_version_after": "3h"});
    mount.write("metadata/a", body).await;
    let read = mount.read("metadata/a", json!({})).await.data();
    assert_eq!(
        [
            &read["max_versions"],
            &read["cas_required"],
            &read["delete_version_after"]
        ],
        [&json!(3), &json!(true), &json!("3h0m0s")]
    );
    assert_eq!(read["custom_metadata"], custom, "what is not given stays");
    for zero in [json!("0s"), json!("0"), json!(0)] {
        mount
            .write("metadata/a", json!({"delete_version_after": "3h"}))
            .await;
        mount
            .write("metadata/a", json!({"delete_version_after": zero}))
            .await;
        let read = mount.read("metadata/a", json!({})).await.data();
        assert_eq!(read["delete_version_after"], "0s");
    }
    mount
        .write("metadata/a", json!({"custom_metadata": {}}))
        .await;
    let read = mount.read("metadata/a", json!({})).await.data();
    assert_eq!(read["custom_metadata"], Value::Null);
}

#[tokio::test]
async fn custom_metadata_has_bounds() {
    let mount = Mount::new();
    let keys = |n: usize| {
        (0..n)
            .map(|i| (format!("k{i}"), json!("v")))
            .collect::<Value>()
    };
    let one = |key: String, value: String| json!({key: value});
    for taken in [keys(64), one("k".repeat(128), "v".repeat(512))] {
        mount
            .write("metadata/a", json!({"custom_metadata": taken}))
            .await;
    }
    let before = mount.read("metadata/a", json!({})).await.data();
    for refused in [
        keys(65),
        one("k".repeat(129), "v".to_owned()),
        one("k".to_owned(), "v".repeat(513)),
        one("k".to_owned(), String::new()),
        one(String::new(), "v".to_owned()),
        json!({"a": {"b": "c"}}),
        json!({"a": ["b"]}),
    ] {
        let text = mount
            .refused("metadata/a", json!({"custom_metadata": refused}))
            .await;
        assert!(text.contains("custom_metadata"), "{text}");
        assert!(!text.contains("kkkk") && !text.contains("vvvv"), "{text}");
    }
    assert_eq!(mount.read("metadata/a", json!({})).await.data(), before);
}

#[tokio::test]
async fn removing_a_secret_removes_it_wholly() {
    let mount = Mount::new();
    mount.secret("a", 3).await;
    mount.secret("a/b", 1).await;
    mount.write("destroy/a", json!({"versions": [2]})).await;
    mount.delete("metadata/a").await;
    assert_eq!(mount.records().await, ["metadata/a/b", "versions/a/b/1"]);
    mount.missing("data/a", json!({})).await;
    mount.missing("metadata/a", json!({})).await;
    mount.delete("metadata/a").await;
    mount.secret("a", 1).await;
    assert_eq!(mount.versions("a", 1).await, [json!(1)]);
}

#[tokio::test]
async fn nothing_to_set_makes_and_changes_nothing() {
    let mount = Mount::new();
    for body in [json!({}), json!({"max_versions": null}), json!({"nope": 1})] {
        mount.write("metadata/a", body).await;
        mount.missing("metadata/a", json!({})).await;
    }
    mount.secret("a", 1).await;
    let before = mount.read("metadata/a", json!({})).await.text;
    mount.clock.advance(Duration::from_secs(1));
    mount.write("metadata/a", json!({})).await;
    mount.ask(Op::Patch, "metadata/a", "").await.unwrap();
    assert_eq!(mount.read("metadata/a", json!({})).await.text, before);
}

#[tokio::test]
async fn check_and_set_of_settings() {
    const NEEDED: &str = "metadata check-and-set parameter required for this call";
    const WRONG: &str = "metadata check-and-set parameter does not match the current version";
    let mount = Mount::new();
    let put = |cas: Value| json!({"max_versions": 2, "metadata_cas": cas});
    assert_eq!(mount.refused("metadata/a", put(json!(1))).await, WRONG);
    mount.write("metadata/a", put(json!(0))).await;
    mount.write("metadata/a", put(json!("1"))).await;
    for cas in [json!(0), json!(3), json!(-2)] {
        assert_eq!(mount.refused("metadata/a", put(cas)).await, WRONG);
    }
    let text = mount.refused("metadata/a", put(json!("x"))).await;
    assert!(text.contains("\"metadata_cas\""), "{text}");
    // Demanded by the secret, then by the mount.
    mount
        .write("metadata/a", json!({"metadata_cas_required": true}))
        .await;
    let read = mount.read("metadata/a", json!({})).await.data();
    assert_eq!(read["metadata_cas_required"], true);
    assert_eq!(mount.refused("metadata/a", put(Value::Null)).await, NEEDED);
    mount.write("metadata/b", json!({"max_versions": 1})).await;
    let demand = json!({"metadata_cas_required": true});
    mount.write("config", demand).await;
    let read = mount.read("config", json!({})).await.data();
    assert_eq!(read["metadata_cas_required"], true);
    assert_eq!(mount.refused("metadata/b", put(Value::Null)).await, NEEDED);
    let patch = json!({"max_versions": 1}).to_string();
    let patched = mount.ask(Op::Patch, "metadata/b", &patch).await;
    assert!(matches!(patched, Err(Error::BadRequest(text)) if text == NEEDED));
    // Data have a check-and-set of their own.
    mount.secret("b", 1).await;
    mount.write("metadata/b", put(json!(1))).await;
}
