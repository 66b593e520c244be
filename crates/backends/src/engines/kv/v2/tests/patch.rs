//! Merge-patches of secrets and of their settings.

use super::*;

impl Mount {
    async fn patch(&self, path: &str, body: Value) -> Result<Answer, Error> {
        self.ask(Op::Patch, path, &body.to_string()).await
    }

    async fn patch_refused(&self, path: &str, body: Value) -> String {
        match self.patch(path, body.clone()).await {
            Err(Error::BadRequest(text)) => text,
            Err(other) => panic!("{path} {body}: {other}"),
            Ok(answer) => panic!("{path} {body} was taken: {}", answer.text),
        }
    }
}

#[tokio::test]
async fn a_patch_is_a_version_with_some_members_changed() {
    let mount = Mount::new();
    mount
        .write("data/a", json!({"data": {"a": 1, "b": {"c": 2}}}))
        .await;
    let patched = mount
        .patch("data/a", json!({"data": {"a": null, "b": {"d": 3}}}))
        .await
        .unwrap();
    assert_eq!(
        (patched.status, &patched.data()["version"]),
        (200, &json!(2))
    );
    let read = mount.read("data/a", json!({})).await.data();
    assert_eq!(read["data"], json!({"b": {"c": 2, "d": 3}}));
    // The version before it stays.
    let first = mount.read("data/a", json!({"version": 1})).await.data();
    assert_eq!(first["data"], json!({"a": 1, "b": {"c": 2}}));
    // Nothing changed is a version, too.
    mount.patch("data/a", json!({"data": {}})).await.unwrap();
    let read = mount.read("data/a", json!({})).await.data();
    assert_eq!(read["data"], json!({"b": {"c": 2, "d": 3}}));
    assert_eq!(read["metadata"]["version"], 3);
}

#[tokio::test]
async fn a_patch_keeps_every_digit() {
    let mount = Mount::new();
    let body = r#"{"data":{"i":9007199254740993,"f":1.10,"x":{"e":1e3}}}"#;
    mount.ask(Op::Write, "data/n", body).await.unwrap();
    let body = r#"{"data":{"big":123456789012345678901234567890,"x":{"y":0.0}}}"#;
    mount.ask(Op::Patch, "data/n", body).await.unwrap();
    let read = mount.read("data/n", json!({})).await;
    let data = r#"{"big":123456789012345678901234567890,"f":1.10,"i":9007199254740993,"x":{"e":1e3,"y":0.0}}"#;
    assert!(read.text.contains(data), "{}", read.text);
}

#[tokio::test]
async fn what_is_no_patch_is_refused_and_nothing_is_written() {
    let mount = Mount::new();
    mount.secret("a", 1).await;
    let deep = format!("{}1{}", "{\"a\":".repeat(300), "}".repeat(300));
    let deep: Box<serde_json::value::RawValue> = serde_json::from_str(&deep).unwrap();
    let deep = format!("{{\"data\":{deep}}}");
    let refused = mount.ask(Op::Patch, "data/a", &deep).await;
    assert!(matches!(refused, Err(Error::BadRequest(text)) if text.contains("\"data\"")));
    for (body, text) in [
        (json!({}), "no data provided"),
        (json!({"x": 1}), "no data provided"),
        (json!({"data": null}), "\"data\""),
        (json!({"data": 5}), "\"data\""),
        (json!({"data": "x"}), "\"data\""),
        (json!({"data": []}), "\"data\""),
        (json!({"data": {}, "options": "x"}), "\"options\""),
        (
            json!({"data": {}, "options": {"cas": "x"}}),
            "check-and-set",
        ),
        (json!({"data": {}, "options": {"cas": 0}}), "did not match"),
        (json!({"data": {}, "options": {"cas": 2}}), "did not match"),
    ] {
        let refused = mount.patch_refused("data/a", body.clone()).await;
        assert!(refused.contains(text), "{body}: {refused}");
    }
    for path in ["data/", "data/a/", "data/a//b"] {
        mount.patch_refused(path, json!({"data": {}})).await;
    }
    assert_eq!(mount.records().await, ["metadata/a", "versions/a/1"]);
    let body = json!({"data": {"m": 1}, "options": {"cas": "1"}});
    mount.patch("data/a", body).await.unwrap();
    mount.write("config", json!({"cas_required": true})).await;
    let refused = mount.patch_refused("data/a", json!({"data": {}})).await;
    assert_eq!(
        refused, "check-and-set parameter required for this call",
        "a patch is a write"
    );
}

#[tokio::test]
async fn a_patch_of_what_is_not_there() {
    let mount = Mount::new();
    let patch = json!({"data": {"x": 1}});
    let answer = mount.patch("data/none", patch.clone()).await.unwrap();
    assert_eq!((answer.status, answer.text.as_str()), (404, ""));
    mount
        .write("metadata/set", json!({"max_versions": 3}))
        .await;
    let answer = mount.patch("data/set", patch.clone()).await.unwrap();
    assert_eq!((answer.status, answer.text.as_str()), (404, ""));
    let settings = json!({"max_versions": 3});
    let answer = mount.patch("metadata/none", settings).await.unwrap();
    assert_eq!((answer.status, answer.text.as_str()), (404, ""));
    // A deleted or destroyed version says what was there.
    mount.secret("a", 2).await;
    for gone in ["delete/a", "destroy/a"] {
        mount.write(gone, json!({"versions": [2]})).await;
        let answer = mount.patch("data/a", patch.clone()).await.unwrap();
        assert_eq!((answer.status, &answer.data()["version"]), (404, &json!(2)));
        assert_ne!(answer.data()["deletion_time"], "");
    }
    assert_eq!(mount.versions("a", 1).await, [json!(1)]);
}

#[tokio::test]
async fn a_patch_of_settings_changes_those_it_names_and_sets_back_those_that_are_null() {
    let mount = Mount::new();
    let all = json!({
        "max_versions": 3, "cas_required": true, "delete_version_after": "3h",
        "custom_metadata": {"owner": "x", "tier": "gold"},
    });
    mount.write("metadata/a", all).await;
    let keys = [
        "max_versions",
        "cas_required",
        "delete_version_after",
        "custom_metadata",
        "metadata_cas_required",
        "current_metadata_version",
    ];
    let (none, three) = (json!(null), json!({"owner": "x", "tier": "gold"}));
    for (patch, then) in [
        (json!({}), json!([3, true, "3h0m0s", three, false, 1])),
        (
            json!({"max_versions": "5", "custom_metadata": {"tier": null, "new": 7}}),
            json!([5, true, "3h0m0s", {"owner": "x", "new": "7"}, false, 2]),
        ),
        (
            json!({"max_versions": null, "cas_required": null}),
            json!([0, false, "3h0m0s", {"owner": "x", "new": "7"}, false, 3]),
        ),
        (
            json!({"delete_version_after": "-1s", "custom_metadata": {}}),
            json!([0, false, "-1s", {"owner": "x", "new": "7"}, false, 4]),
        ),
        (
            json!({"delete_version_after": null, "custom_metadata": null}),
            json!([0, false, "0s", none, false, 5]),
        ),
        (
            json!({"delete_version_after": "1d", "metadata_cas_required": true}),
            json!([0, false, "24h0m0s", none, true, 6]),
        ),
        (
            json!({"delete_version_after": 0, "metadata_cas_required": null, "metadata_cas": 6}),
            json!([0, false, "0s", none, false, 7]),
        ),
    ] {
        let answer = mount.patch("metadata/a", patch.clone()).await.unwrap();
        assert_eq!(answer.status, 204, "{patch}");
        let read = mount.read("metadata/a", json!({})).await.data();
        let seen: Vec<_> = keys.iter().map(|key| read[key].clone()).collect();
        assert_eq!(json!(seen), then, "{patch}");
    }
    let before = mount.read("metadata/a", json!({})).await.text;
    let many: Value = (0..65).map(|n| (format!("k{n}"), json!("v"))).collect();
    for (field, value) in [
        ("max_versions", json!("x")),
        ("max_versions", json!(10_001)),
        ("cas_required", json!("perhaps")),
        ("delete_version_after", json!("foo")),
        ("custom_metadata", json!("x")),
        ("custom_metadata", json!({"a": {"b": "c"}})),
        ("custom_metadata", json!({"a": ""})),
        ("custom_metadata", many),
    ] {
        let refused = mount
            .patch_refused("metadata/a", json!({field: value}))
            .await;
        assert!(refused.contains(field), "{refused}");
    }
    let warned = mount.patch("metadata/a", json!({"nope": 1})).await.unwrap();
    assert!(warned.warnings[0].contains("[nope]"));
    assert_eq!(mount.read("metadata/a", json!({})).await.text, before);
}
