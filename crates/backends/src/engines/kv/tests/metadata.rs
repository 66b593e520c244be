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
async fn pages_join_to_the_whole_list() {
    let mount = Mount::new();
    let mut names = vec![".x", "...", "A", "a", "a-", "a/", "z", "zz", "é", "日本/"];
    for name in &names {
        let path = if name.ends_with('/') {
            format!("l/{name}deep")
        } else {
            format!("l/{name}")
        };
        mount.secret(&path, 1).await;
    }
    names.sort_unstable();
    for path in ["metadata/l", "metadata/l/"] {
        for limit in [json!(0), json!(-1), json!(null), json!(100), json!("10")] {
            let all = mount.list(path, json!({"limit": limit})).await.unwrap();
            assert_eq!(all, names, "{path} {limit}");
        }
    }
    for limit in [1, 3, 7] {
        let mut joined = Vec::new();
        while let Ok(page) = mount
            .list(
                "metadata/l",
                json!({"limit": limit, "after": joined.last()}),
            )
            .await
        {
            assert!(page.len() <= limit);
            joined.extend(page);
        }
        assert_eq!(joined, names, "{limit}");
    }
    // A mark need not exist, and one that is deleted does not break the walk.
    mount.delete("metadata/l/a-").await;
    for (after, first) in [
        ("a-", Some("a/")),
        ("a0", Some("z")),
        (".", Some("...")),
        ("日本/", None),
    ] {
        let page = mount
            .list("metadata/l", json!({"after": after, "limit": 1}))
            .await;
        assert_eq!(
            page.ok().and_then(|page| page.first().cloned()).as_deref(),
            first,
            "{after}"
        );
    }
    let refused = mount.list("metadata/l", json!({"limit": "x"})).await;
    assert!(matches!(refused, Err(Error::BadRequest(text)) if text.contains("\"limit\"")));
    for nothing in ["metadata", "metadata/"] {
        assert_eq!(mount.list(nothing, json!({})).await.unwrap(), ["l/"]);
    }
    for nothing in [
        "metadata/m",
        "metadata/l/z",
        "metadata//l",
        "metadata/l//",
        "metadata//",
    ] {
        let listed = mount.list(nothing, json!({})).await;
        assert!(matches!(listed, Err(Error::NotFound)), "{nothing}");
    }
}

#[tokio::test]
async fn a_policys_page_bound_holds_for_those_who_name_none() {
    let mount = Mount::new();
    for n in 0..5 {
        mount.secret(&format!("s{n}"), 1).await;
    }
    for (asked, given) in [(json!({}), 2), (json!({"limit": 1}), 1)] {
        let caller = Caller {
            page_limit: Some(2),
            ..Caller::anonymous()
        };
        let list = mount
            .ask_as(caller, Op::List, "metadata", &asked.to_string())
            .await;
        assert_eq!(
            list.unwrap().data()["keys"].as_array().unwrap().len(),
            given
        );
    }
}
