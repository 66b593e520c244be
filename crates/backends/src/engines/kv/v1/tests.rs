//! Version 1 through its table.

use std::sync::Arc;

use keyfold_core::barrier::FirstKeys;
use keyfold_core::clock::Time;
use keyfold_core::ports::engine::Dispatch;
use keyfold_core::ports::storage::Storage;
use keyfold_core::request::Body;
use keyfold_core::tokens::Caller;
use serde_json::{Value, json};

use super::*;
use crate::storage::Memory;

fn mount() -> Kv {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    Kv::new(FirstKeys::new("2030-01-01T00:00:00Z").view(&storage, "logical/kv/"))
}

async fn ask_as(kv: &Kv, caller: &Caller, op: Op, path: &str, body: &str) -> Result<Reply, Error> {
    let found = kv.find(op, path)?;
    let row = Kv::routes().iter().find(|row| row.op == op).unwrap();
    let body = Body::new(body.as_bytes().to_vec());
    let call = Call {
        caller,
        ..Call::new(op, path, found.params.clone(), &body, Time(0))
    };
    Ok(call.warned((row.run)(kv, &call).await?))
}

async fn ask(kv: &Kv, op: Op, path: &str, body: &str) -> Result<Reply, Error> {
    ask_as(kv, &Caller::anonymous(), op, path, body).await
}

fn data(reply: &Reply) -> Value {
    let data = reply.data.as_ref().unwrap();
    serde_json::from_slice(data.bytes()).unwrap()
}

#[tokio::test]
async fn a_secret_is_what_was_written_last() {
    let kv = mount();
    ask(&kv, Op::Write, "a", r#"{"k":"v","n":1}"#)
        .await
        .unwrap();
    ask(
        &kv,
        Op::Write,
        "a",
        r#"{"b":1.10,"a":9007199254740993,"z":null}"#,
    )
    .await
    .unwrap();
    let read = ask(&kv, Op::Read, "a", "").await.unwrap();
    assert_eq!(
        read.data.unwrap().bytes(),
        br#"{"a":9007199254740993,"b":1.10,"z":null}"#
    );
    ask(&kv, Op::Delete, "a", "").await.unwrap();
    ask(&kv, Op::Delete, "a", "").await.unwrap();
    let gone = ask(&kv, Op::Read, "a", "").await;
    assert!(matches!(gone, Err(Error::NotFound)));
    for empty in ["", "{}", "null"] {
        let refused = ask(&kv, Op::Write, "a", empty).await;
        assert!(matches!(refused, Err(Error::BadRequest(text)) if text == "missing data fields"));
    }
}

#[tokio::test]
async fn a_secret_may_say_how_long_it_is_kept() {
    let kv = mount();
    for (secret, seconds) in [
        (json!({"ttl": "30m"}), Some(1800)),
        (json!({"ttl": 90}), Some(90)),
        (json!({"ttl": "1.5h"}), Some(5400)),
        (json!({"ttl": "1d"}), Some(86_400)),
        (json!({"ttl": "10000h"}), Some(36_000_000)),
        (json!({"ttl": 0}), Some(0)),
        (json!({"lease": "120"}), Some(120)),
        (json!({"ttl": "10s", "lease": "20s"}), Some(10)),
        (json!({"ttl": "bad", "lease": "20s"}), None),
        (json!({"ttl": "soon"}), None),
        (json!({"ttl": "-5s"}), None),
        (json!({"ttl": true}), None),
        (json!({"ttl": 1.5}), None),
        (json!({"ttl": [30]}), None),
        (json!({"ttl": {"a": 1}}), None),
        (json!({"x": 1}), None),
    ] {
        ask(&kv, Op::Write, "t", &secret.to_string()).await.unwrap();
        let read = ask(&kv, Op::Read, "t", "").await.unwrap();
        assert_eq!(read.default_lease, seconds.is_none(), "{secret}");
        assert_eq!(read.lease_duration, seconds.unwrap_or(0), "{secret}");
        assert_eq!(data(&read), secret);
    }
}

#[tokio::test]
async fn lists_have_no_pages_and_say_so() {
    let kv = mount();
    for path in [
        "b",
        "a",
        "dir/x",
        "dir/sub/y",
        "metadata/a",
        "config",
        "é 日",
    ] {
        ask(&kv, Op::Write, path, r#"{"k":1}"#).await.unwrap();
        assert_eq!(
            data(&ask(&kv, Op::Read, path, "").await.unwrap()),
            json!({"k": 1})
        );
    }
    for root in ["", "/"] {
        let listed = ask(&kv, Op::List, root, "").await;
        if root.is_empty() {
            let keys = json!({"keys": ["a", "b", "config", "dir/", "metadata/", "é 日"]});
            assert_eq!(data(&listed.unwrap()), keys);
        } else {
            assert!(matches!(listed, Err(Error::NotFound)));
        }
    }
    for folder in ["dir", "dir/"] {
        let listed = ask(&kv, Op::List, folder, "").await.unwrap();
        assert_eq!(data(&listed), json!({"keys": ["sub/", "x"]}));
    }
    let listed = ask(&kv, Op::List, "", r#"{"limit":"2"}"#).await.unwrap();
    assert_eq!(data(&listed)["keys"].as_array().unwrap().len(), 6);
    assert!(listed.warnings[0].contains("[limit]"));
    let bound = Caller {
        page_limit: Some(2),
        ..Caller::anonymous()
    };
    let listed = ask_as(&kv, &bound, Op::List, "", "").await.unwrap();
    assert_eq!(data(&listed)["keys"].as_array().unwrap().len(), 6);
    assert!(listed.warnings[0].contains("[limit]"));
    for nothing in ["none", "a", "dir//"] {
        let listed = ask(&kv, Op::List, nothing, "").await;
        assert!(matches!(listed, Err(Error::NotFound)), "{nothing}");
    }
}

#[tokio::test]
async fn paths_that_name_no_secret() {
    let kv = mount();
    ask(&kv, Op::Write, "dir/x", r#"{"k":1}"#).await.unwrap();
    let long = "x".repeat(8193);
    for path in ["", "dir/", "/a", "a//b", &long] {
        let read = ask(&kv, Op::Read, path, "").await;
        assert!(matches!(read, Err(Error::NotFound | Error::BadRequest(_))));
        for op in [Op::Write, Op::Delete] {
            let asked = ask(&kv, op, path, r#"{"k":1}"#).await;
            assert!(matches!(asked, Err(Error::BadRequest(_))), "{path}");
        }
    }
    let read = ask(&kv, Op::Read, "dir", "").await;
    assert!(matches!(read, Err(Error::NotFound)));
    assert!(matches!(
        kv.find(Op::Patch, "a").err(),
        Some(Error::Unsupported(_))
    ));
}

#[tokio::test]
async fn nothing_is_written_and_nothing_missed_once_the_takeover_has_begun() {
    let kv = mount();
    ask(&kv, Op::Write, "a", r#"{"k":1}"#).await.unwrap();
    kv.view.commit(takeover::begin().unwrap()).await.unwrap();
    for (op, path) in [
        (Op::Write, "a"),
        (Op::Write, "new"),
        (Op::Delete, "a"),
        (Op::Read, "gone"),
        (Op::List, ""),
    ] {
        let asked = ask(&kv, op, path, r#"{"k":2}"#).await;
        let busy = takeover::busy().to_string();
        assert!(
            matches!(asked, Err(Error::BadRequest(text)) if text == busy),
            "{op:?}"
        );
    }
    assert_eq!(
        data(&ask(&kv, Op::Read, "a", "").await.unwrap()),
        json!({"k": 1})
    );
}
