//! Names without values.

use super::*;

#[tokio::test]
async fn names_of_a_version_down_to_a_depth() {
    let mount = Mount::new();
    let tree = json!({"a": {"b": {"c": 1}, "d": "x"}, "e": [1, {"f": 2}], "g": {}});
    mount.write("data/t", json!({"data": tree})).await;
    mount.write("data/t", json!({"data": {}})).await;
    let all = json!({"a": {"b": {"c": null}, "d": null}, "e": null, "g": null});
    for (body, names) in [
        (json!({}), json!({})),
        (json!({"version": 2}), json!({})),
        (json!({"version": 1}), all.clone()),
        (json!({"version": "1", "depth": 0}), all.clone()),
        (json!({"version": 1, "depth": 3}), all),
        (
            json!({"version": 1, "depth": "1"}),
            json!({"a": null, "e": null, "g": null}),
        ),
        (
            json!({"version": 1, "depth": 2}),
            json!({"a": {"b": null, "d": null}, "e": null, "g": null}),
        ),
    ] {
        let answer = mount.read("subkeys/t", body.clone()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.data()["subkeys"], names, "{body}");
        let data = mount.read("data/t", body).await.data();
        assert_eq!(answer.data()["metadata"], data["metadata"]);
    }
    assert!(
        !mount
            .read("subkeys/t", json!({"version": 1}))
            .await
            .text
            .contains("\"x\"")
    );
}

#[tokio::test]
async fn names_of_what_is_not_there() {
    let mount = Mount::new();
    mount.secret("a", 1).await;
    for path in ["subkeys/none", "subkeys", "subkeys/", "subkeys/a/"] {
        mount.missing(path, json!({})).await;
    }
    mount.missing("subkeys/a", json!({"version": 9})).await;
    for (field, value) in [
        ("version", json!("x")),
        ("version", json!(-1)),
        ("depth", json!("x")),
        ("depth", json!(-1)),
    ] {
        let body = json!({field: value}).to_string();
        let refused = mount.ask(Op::Read, "subkeys/a", &body).await;
        assert!(matches!(refused, Err(Error::BadRequest(text)) if text.contains(field)));
    }
    mount.delete("data/a").await;
    let deleted = mount.read("subkeys/a", json!({})).await;
    assert_eq!(
        (deleted.status, &deleted.data()["subkeys"]),
        (404, &Value::Null)
    );
    assert_ne!(deleted.data()["metadata"]["deletion_time"], "");
}
