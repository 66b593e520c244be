//! Names of all sorts, and paths that this engine does not have.

use super::*;
use keyfold_core::error::UnsupportedReason;

#[tokio::test]
async fn odd_names_read_back_and_are_listed() {
    let mount = Mount::new();
    let mut names = vec![
        "a b", "a+b", "p%q", "q?r", "h#i", "u@h:1", "'q\"", "b\\s", "[x]{y}", "~home", "CaSe",
        "case", "a..b", "..a", "a..", "...", "*", "+", "&", "=", "é", "e\u{301}", "日本", "🔑",
        "1", "data", "metadata", "versions", "config", " ",
    ];
    for (n, name) in names.iter().enumerate() {
        mount
            .write(&format!("data/odd/{name}"), json!({"data": {"n": n}}))
            .await;
    }
    for (n, name) in names.iter().enumerate() {
        assert_eq!(
            mount.versions(&format!("odd/{name}"), 1).await,
            [json!(n)],
            "{name:?}"
        );
    }
    names.sort_unstable();
    assert_eq!(mount.list("metadata/odd", json!({})).await.unwrap(), names);
}

#[tokio::test]
async fn a_path_and_those_below_it_do_not_meet() {
    let mount = Mount::new();
    // `a` has versions 1 and 2; `a/1` is a secret, too, and so is `a/1/2`.
    for (path, versions) in [("a", 2), ("a/1", 3), ("a/1/2", 1), ("a/2", 1)] {
        mount.secret(path, versions).await;
    }
    mount.write("destroy/a", json!({"versions": [1, 2]})).await;
    assert_eq!(
        mount.versions("a/1", 3).await,
        [json!(1), json!(2), json!(3)]
    );
    assert_eq!(mount.versions("a/1/2", 1).await, [json!(1)]);
    mount.delete("metadata/a/1").await;
    assert_eq!(mount.versions("a/1/2", 1).await, [json!(1)]);
    assert_eq!(mount.versions("a/2", 1).await, [json!(1)]);
    assert_eq!(mount.versions("a", 2).await, [Value::Null, Value::Null]);
    assert_eq!(
        mount.list("metadata", json!({})).await.unwrap(),
        ["a", "a/"]
    );
    assert_eq!(
        mount.list("metadata/a", json!({})).await.unwrap(),
        ["1/", "2"]
    );
}

#[tokio::test]
async fn a_path_has_at_most_8_kib() {
    let mount = Mount::new();
    let deep = vec!["a"; 600].join("/");
    for path in [deep, "x".repeat(8192), "é".repeat(4096)] {
        mount.secret(&path, 1).await;
        assert_eq!(mount.versions(&path, 1).await, [json!(1)]);
        mount.delete(&format!("metadata/{path}")).await;
    }
    let path = "x".repeat(8193);
    let refused = mount
        .refused(&format!("data/{path}"), json!({"data": {}}))
        .await;
    assert!(
        refused.contains("8192") && !refused.contains("xxx"),
        "{refused}"
    );
    mount.refused(&format!("metadata/{path}"), json!({})).await;
    for op in [Op::Read, Op::Delete] {
        let asked = mount.ask(op, &format!("data/{path}"), "").await;
        assert!(matches!(asked, Err(Error::BadRequest(_))));
    }
    assert!(mount.records().await.is_empty());
}

#[tokio::test]
async fn empty_segments_are_not_found_and_not_written() {
    let mount = Mount::new();
    mount.secret("a", 1).await;
    for path in ["a/", "/a", "a//b", "/", "//", ""] {
        for call in ["data", "metadata"] {
            let full = format!("{call}/{path}");
            mount.missing(&full, json!({})).await;
            let refused = mount.refused(&full, json!({"data": {}})).await;
            let ends = full.ends_with('/');
            assert_eq!(
                refused == "cannot write to a path ending in '/'",
                ends,
                "{full}"
            );
            let deleted = mount.ask(Op::Delete, &full, "").await;
            assert!(matches!(deleted, Err(Error::BadRequest(_))), "{full}");
        }
        mount
            .refused(&format!("destroy/{path}"), json!({"versions": [1]}))
            .await;
    }
    assert_eq!(mount.records().await, ["metadata/a", "versions/a/1"]);
    let root = mount.read("data", json!({})).await;
    assert_eq!((root.status, root.text.as_str()), (404, ""));
    assert!(root.warnings[0].starts_with("Non-listing operations on the root"));
}

#[tokio::test]
async fn whoever_forgets_data_is_told() {
    let mount = Mount::new();
    for (op, verb) in [
        (Op::Read, "get"),
        (Op::Write, "put"),
        (Op::List, "list"),
        (Op::Delete, "delete"),
        (Op::Patch, "patch"),
        (Op::Scan, "scan"),
    ] {
        for path in ["app", "team/app", "dat", ""] {
            let answer = mount.ask(op, path, "{}").await.unwrap();
            assert_eq!(answer.status, 404, "{op:?} {path}");
            let warning = &answer.warnings[0];
            assert!(warning.starts_with("Invalid path for a versioned K/V secrets engine."));
            assert!(
                warning.contains(&format!("'keyfold kv {verb}'")),
                "{warning}"
            );
        }
    }
    for (op, path) in [
        (Op::List, "data/a"),
        (Op::Read, "undelete/a"),
        (Op::Read, "delete/a"),
        (Op::Delete, "destroy/a"),
        (Op::Delete, "config"),
        (Op::List, "config"),
        (Op::List, "subkeys/a"),
        (Op::Scan, "data/a"),
        (Op::Read, "detailed-metadata/a"),
        (Op::Patch, "config"),
        (Op::Patch, "undelete/a"),
    ] {
        let asked = mount.ask(op, path, "").await;
        assert!(
            matches!(asked, Err(Error::Unsupported(UnsupportedReason::Operation))),
            "{op:?} {path}"
        );
    }
}
