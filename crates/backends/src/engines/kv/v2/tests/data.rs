//! Reading and writing, check-and-set, what comes back byte for byte.

use super::*;

#[tokio::test]
async fn a_version_reads_as_it_was_written() {
    let mount = Mount::new();
    let made = mount.write("data/app", json!({"data": {"n": 1}})).await;
    assert_eq!(made.status, 200);
    let metadata = json!({
        "created_time": "2030-01-01T00:00:00Z",
        "custom_metadata": null,
        "deletion_time": "",
        "destroyed": false,
        "version": 1,
    });
    assert_eq!(made.data(), metadata);
    let read = mount.read("data/app", json!({})).await;
    assert_eq!(read.data(), json!({"data": {"n": 1}, "metadata": metadata}));

    mount.clock.advance(Duration::from_secs(1));
    mount.secret("app", 2).await;
    for (asked, n) in [
        (json!(1), 1),
        (json!("2"), 1),
        (json!(0), 2),
        (json!(null), 2),
    ] {
        let read = mount.read("data/app", json!({"version": asked})).await;
        assert_eq!(read.data()["data"], json!({"n": n}), "{asked}");
        assert!(read.warnings.is_empty());
    }
    mount.missing("data/app", json!({"version": 4})).await;
    mount
        .missing("data/app", json!({"version": i64::MAX}))
        .await;
    mount.missing("data/other", json!({})).await;
    for nonsense in [json!(-1), json!("x"), json!(1.5), json!([])] {
        let body = json!({"version": nonsense}).to_string();
        let asked = mount.ask(Op::Read, "data/app", &body).await;
        assert!(matches!(asked, Err(Error::BadRequest(text)) if text.contains("\"version\"")));
    }
}

#[tokio::test]
async fn text_and_numbers_keep_their_bytes() {
    let mount = Mount::new();
    let data = r#"{"i":9007199254740993,"big":123456789012345678901234567890,"f":1.10,"e":1e3,"z":-0,"<k>":"<a>&</a> é 🔑 \u2028 \u00e9","twice":1,"twice":2,"deep":{"er":[[{}]]}, "gap" : [ 1 ]}"#;
    let body = format!(r#"{{"options":{{"cas":0}},"data":{data}}}"#);
    mount.ask(Op::Write, "data/raw", &body).await.unwrap();
    let read = mount.restarted().read("data/raw", json!({})).await;
    assert!(read.text.contains(data), "{}", read.text);
}

#[tokio::test]
async fn an_empty_secret_is_a_secret() {
    let mount = Mount::new();
    // What a client makes of a map that it never filled.
    mount.write("data/null", json!({"data": null})).await;
    let read = mount.read("data/null", json!({})).await;
    assert_eq!((read.status, &read.data()["data"]), (200, &json!({})));
    mount.write("data/empty", json!({"data": {}})).await;
    let read = mount.read("data/empty", json!({})).await;
    assert_eq!((read.status, &read.data()["data"]), (200, &json!({})));
}

#[tokio::test]
async fn what_is_no_secret_is_refused_and_nothing_is_written() {
    let mount = Mount::new();
    for (body, text) in [
        (json!({}), "no data provided"),
        (json!({"user": "x"}), "no data provided"),
        (json!({"data": "x"}), "\"data\""),
        (json!({"data": [1]}), "\"data\""),
        (json!({"data": 7}), "\"data\""),
        (json!({"data": {}, "options": "x"}), "\"options\""),
        (json!({"data": {}, "options": [0]}), "\"options\""),
        (
            json!({"data": {}, "options": {"cas": "x"}}),
            "check-and-set",
        ),
        (
            json!({"data": {}, "options": {"cas": 0.5}}),
            "check-and-set",
        ),
        (
            json!({"data": {}, "options": {"cas": [0]}}),
            "check-and-set",
        ),
    ] {
        let refused = mount.refused("data/app", body.clone()).await;
        assert!(refused.contains(text), "{body}: {refused}");
    }
    assert!(mount.records().await.is_empty());
    let written = mount
        .write("data/app", json!({"data": {}, "user": "x"}))
        .await;
    assert!(
        written.warnings[0].contains("[user]"),
        "{:?}",
        written.warnings
    );
}

#[tokio::test]
async fn check_and_set() {
    const WRONG: &str = "check-and-set parameter did not match the current version";
    let mount = Mount::new();
    let put = |cas: Value| json!({"options": {"cas": cas}, "data": {"n": 1}});
    assert_eq!(mount.refused("data/a", put(json!(1))).await, WRONG);
    for cas in [json!(0), json!("1"), json!(2), json!(null)] {
        mount.write("data/a", put(cas)).await;
    }
    for cas in [
        json!(0),
        json!("0"),
        json!(""),
        json!(3),
        json!(5),
        json!(-1),
    ] {
        assert_eq!(mount.refused("data/a", put(cas)).await, WRONG);
    }
    // A deleted version still counts: it is the newest.
    mount.delete("data/a").await;
    assert_eq!(mount.refused("data/a", put(json!(0))).await, WRONG);
    mount.write("data/a", put(json!(4))).await;
    // Settings alone are no version.
    mount.write("metadata/b", json!({"max_versions": 3})).await;
    mount.write("data/b", put(json!(0))).await;
}

#[tokio::test]
async fn check_and_set_where_it_is_demanded() {
    const NEEDED: &str = "check-and-set parameter required for this call";
    let mount = Mount::new();
    mount.secret("a", 1).await;
    mount.secret("b", 1).await;
    mount
        .write("metadata/b", json!({"cas_required": true}))
        .await;
    for body in [
        json!({"data": {}}),
        json!({"data": {}, "options": {}}),
        json!({"data": {}, "options": null}),
        json!({"data": {}, "options": {"cas": null}}),
    ] {
        mount.write("data/a", body.clone()).await;
        assert_eq!(mount.refused("data/b", body).await, NEEDED);
    }
    mount.write("config", json!({"cas_required": true})).await;
    assert_eq!(mount.refused("data/a", json!({"data": {}})).await, NEEDED);
    mount
        .write("data/b", json!({"data": {}, "options": {"cas": "1"}}))
        .await;
    // Only a new version needs it.
    mount.write("delete/a", json!({"versions": [1]})).await;
    mount.write("undelete/a", json!({"versions": [1]})).await;
    mount.write("destroy/a", json!({"versions": [1]})).await;
    mount
        .write("metadata/a", json!({"custom_metadata": {"k": "v"}}))
        .await;
    mount.delete("data/a").await;
}

#[tokio::test]
async fn pruned_versions_leave_nothing_in_the_store() {
    let mount = Mount::new();
    mount.write("config", json!({"max_versions": 4})).await;
    mount.secret("a", 6).await;
    assert_eq!(
        mount.records().await,
        [
            "config",
            "metadata/a",
            "versions/a/3",
            "versions/a/4",
            "versions/a/5",
            "versions/a/6"
        ]
    );
    mount.missing("data/a", json!({"version": 2})).await;
    let shown = mount.read("metadata/a", json!({})).await.data();
    assert_eq!(
        (&shown["oldest_version"], &shown["current_version"]),
        (&json!(3), &json!(6))
    );

    mount.write("metadata/a", json!({"max_versions": 2})).await;
    assert_eq!(
        mount.records().await.len(),
        6,
        "the bound counts at the next write"
    );
    mount.secret("a", 1).await;
    assert_eq!(
        mount.records().await,
        ["config", "metadata/a", "versions/a/6", "versions/a/7"]
    );
}

#[tokio::test]
async fn a_version_lives_as_long_as_is_set_when_it_is_written() {
    let mount = Mount::new();
    mount
        .write("config", json!({"delete_version_after": "1h"}))
        .await;
    mount
        .write("metadata/short", json!({"delete_version_after": "30m"}))
        .await;
    mount
        .write("metadata/long", json!({"delete_version_after": "768h"}))
        .await;
    mount
        .write("metadata/never", json!({"delete_version_after": -1}))
        .await;
    for (path, deletion) in [
        ("plain", "2030-01-01T01:00:00Z"),
        ("short", "2030-01-01T00:30:00Z"),
        ("long", "2030-01-01T01:00:00Z"),
        ("never", ""),
    ] {
        let written = mount
            .write(&format!("data/{path}"), json!({"data": {"n": 1}}))
            .await;
        assert_eq!(written.data()["deletion_time"], deletion, "{path}");
    }
    // A change counts for new versions only.
    mount
        .write("config", json!({"delete_version_after": 0}))
        .await;
    mount
        .clock
        .advance(Duration::from_secs(3600) - Duration::from_nanos(1));
    let gone = mount.read("data/short", json!({})).await;
    assert_eq!(gone.status, 404);
    assert_eq!(
        gone.data()["metadata"]["deletion_time"],
        "2030-01-01T00:30:00Z"
    );
    assert_eq!(mount.read("data/plain", json!({})).await.status, 200);
    mount.clock.advance(Duration::from_nanos(1));
    assert_eq!(mount.read("data/plain", json!({})).await.status, 404);
    assert_eq!(mount.read("data/never", json!({})).await.status, 200);

    // One that died of age can be brought back; then it stays.
    mount.write("undelete/plain", json!({"versions": 1})).await;
    mount.clock.advance(Duration::from_secs(1_000_000));
    assert_eq!(mount.versions("plain", 1).await, [json!(1)]);
    let written = mount.write("data/plain", json!({"data": {}})).await;
    assert_eq!(written.data()["deletion_time"], "");
}
