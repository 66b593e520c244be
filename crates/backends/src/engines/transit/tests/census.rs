//! What the census tells of the uses of a key.

use std::collections::BTreeMap;

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Engine as _;
use keyfold_core::request::Op;
use serde_json::{Value, json};

use super::{HELLO, Mount};

impl Mount {
    async fn census(&self, key: &str) -> Value {
        let path = format!("keys/{key}/census");
        self.ask(Op::Read, &path, "").await.unwrap().data
    }

    /// Operations of a version that are not zero.
    async fn operations(&self, key: &str, version: usize) -> BTreeMap<String, u64> {
        let census = self.census(key).await;
        let operations = census["versions"][version - 1]["operations"].as_object();
        let counts = operations.unwrap().iter();
        let counts = counts.map(|(kind, count)| (kind.clone(), count.as_u64().unwrap()));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.map(|(kind, count)| (kind.to_owned(), count)).into()
}

#[tokio::test]
async fn every_use_counts_once_before_and_after_it_is_stored() {
    let mount = Mount::new().await;
    mount.key("k", 2).await;
    let old = mount.encrypt("k", json!({"key_version": 1})).await;
    let items =
        json!({"batch_input": [{"plaintext": HELLO}, {"plaintext": ""}, {"plaintext": "!"}]});
    mount.write("encrypt/k", items).await;
    mount.write("decrypt/k", json!({"ciphertext": old})).await;
    mount.write("rewrap/k", json!({"ciphertext": old})).await;
    let newest = mount.encrypt("k", json!({})).await;
    mount.write("rewrap/k", json!({"ciphertext": newest})).await;
    mount.write("datakey/wrapped/k", json!({})).await;
    mount
        .write("datakeys/plaintext/k", json!({"count": 3}))
        .await;
    mount.write("hmac/k", json!({"input": HELLO})).await;
    let first = counts([("encrypt", 1), ("decrypt", 1), ("rewrap", 1)]);
    let second = counts([
        ("encrypt", 3),
        ("rewrap_same", 1),
        ("rewrap_into", 1),
        ("datakey", 4),
        ("hmac", 1),
    ]);
    for _ in 0..2 {
        assert_eq!(mount.operations("k", 1).await, first);
        assert_eq!(mount.operations("k", 2).await, second);
        mount.transit.settle().await.unwrap();
    }
    assert_eq!(mount.restarted().operations("k", 2).await, second);
    mount.encrypt("k", json!({})).await;
    mount.transit.settle().await.unwrap();
    assert_eq!(mount.restarted().operations("k", 2).await["encrypt"], 4);

    let census = mount.census("k").await;
    let [one, two] = &census["versions"].as_array().unwrap()[..] else {
        panic!("{census}");
    };
    assert_eq!(
        (&one["state"], &two["state"]),
        (&json!("retiring"), &json!("active"))
    );
    assert_eq!(one["created"], "2030-01-01T00:00:00Z");
    assert_eq!(one["first_used"], "2030-01-01T00:00:00Z");
    assert_eq!(one["bytes"], 15);
    let made = json!({"messages": 9, "limit": 4_294_967_296_u64, "remaining": 4_294_967_287_u64});
    assert_eq!(two["aead_limit"], made);
    assert_eq!(two["last_caller"], Value::Null);
    assert_eq!(two["other_callers"], two["total"]);
}

#[tokio::test]
async fn signatures_and_tags_count() {
    let mount = Mount::new().await;
    mount.write("keys/s", json!({"type": "ed25519"})).await;
    let signed = mount.write("sign/s", json!({"input": HELLO})).await.data;
    let proof = json!({"input": HELLO, "signature": signed["signature"]});
    mount.write("verify/s", proof).await;
    let tag = mount.write("hmac/s", json!({"input": HELLO})).await.data;
    mount
        .write("verify/s", json!({"input": HELLO, "hmac": tag["hmac"]}))
        .await;
    mount.write("keys/s/csr", json!({})).await;
    let all = counts([("sign", 2), ("verify", 2), ("hmac", 1)]);
    assert_eq!(mount.operations("s", 1).await, all);
    assert_eq!(
        mount.census("s").await["versions"][0]["aead_limit"],
        Value::Null
    );
    mount.write("keys/c", json!({"type": "aes128-cmac"})).await;
    mount.write("cmac/c", json!({"input": HELLO})).await;
    assert_eq!(mount.operations("c", 1).await, counts([("cmac", 1)]));
}

#[tokio::test]
async fn what_cannot_be_stored_now_is_stored_later() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    mount.encrypt("k", json!({})).await;
    for at in 0.. {
        mount.store.fail_at(mount.store.operations() + at);
        let settled = mount.transit.settle().await;
        mount.store.fail_at(usize::MAX);
        assert_eq!(mount.operations("k", 1).await["encrypt"], 1, "{at}");
        if settled.is_ok() {
            assert!(at >= 2, "it reads and commits");
            break;
        }
    }
    assert_eq!(mount.restarted().operations("k", 1).await["encrypt"], 1);
}

#[tokio::test]
async fn nodes_add_up() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    let other = mount.restarted();
    for node in [&mount, &other] {
        node.encrypt("k", json!({})).await;
    }
    let (one, two) = tokio::join!(mount.transit.settle(), other.transit.settle());
    one.unwrap();
    two.unwrap();
    assert_eq!(mount.operations("k", 1).await["encrypt"], 2);
}

#[tokio::test]
async fn a_key_made_anew_has_nothing_of_its_predecessor() {
    let mount = Mount::new().await;
    mount.encrypt("k", json!({})).await;
    assert_eq!(mount.operations("k", 1).await["encrypt"], 1);
    mount.transit.settle().await.unwrap();
    mount.encrypt("k", json!({})).await;
    mount
        .write("keys/k/config", json!({"deletion_allowed": true}))
        .await;
    mount.ask(Op::Delete, "keys/k", "").await.unwrap();
    mount.transit.settle().await.unwrap();
    let left = mount.transit.view.list("census/", "", 0).await.unwrap();
    assert!(left.names.is_empty(), "{:?}", left.names);
    mount.key("k", 1).await;
    assert!(mount.operations("k", 1).await.is_empty());
}

#[tokio::test]
async fn pages_and_mistakes() {
    let mount = Mount::new().await;
    mount.key("k", 5).await;
    let ask = async |query: &str| mount.ask(Op::Read, "keys/k/census", query).await;
    let page = ask(r#"{"after": 1, "limit": 2}"#).await.unwrap().data;
    let versions = page["versions"].as_array().unwrap();
    let numbers: Vec<_> = versions.iter().map(|v| v["version"].as_u64()).collect();
    assert_eq!(numbers, [Some(2), Some(3)]);
    assert_eq!(page["next"], 3);
    let rest = ask(r#"{"after": 9}"#).await.unwrap().data;
    assert_eq!(
        (&rest["versions"], &rest["next"]),
        (&json!([]), &Value::Null)
    );
    for (query, field) in [(r#"{"after": -1}"#, "after"), (r#"{"limit": 0}"#, "limit")] {
        let Err(Error::BadRequest(text)) = ask(query).await else {
            panic!("{query} was taken");
        };
        assert!(text.contains(field), "{text}");
    }
    let missing = mount.ask(Op::Read, "keys/none/census", "").await;
    assert!(matches!(missing, Err(Error::NotFound)));
    assert!(
        mount
            .refused("census/caller", json!({}))
            .await
            .contains("accessor")
    );
    let caller = mount
        .write("census/caller", json!({"accessor": "a"}))
        .await
        .data;
    assert_eq!(caller["caller"].as_str().unwrap().len(), 16);
}
