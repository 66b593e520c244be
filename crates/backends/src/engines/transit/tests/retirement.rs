//! Versions that nothing needs any more, and versions that somebody else may have.

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Engine as _;
use keyfold_core::ports::storage::Batch;
use keyfold_core::request::Op;
use serde_json::{Value, json};

use super::{HELLO, Mount};
use crate::engines::transit::compromise::Compromise;

impl Mount {
    /// A refusal to retire: the kinds of needs.
    async fn needs(&self, body: Value) -> Vec<String> {
        let answer = self.write("keys/k/retire", body.clone()).await;
        assert_eq!(answer.status, Some(400), "{body}: {}", answer.data);
        assert!(
            answer.data["errors"][0]
                .as_str()
                .unwrap()
                .contains("needed still")
        );
        let needs = answer.data["data"]["needed_by"].as_array().unwrap();
        let kinds = needs
            .iter()
            .map(|need| need["need"].as_str().unwrap().to_owned());
        kinds.collect()
    }

    async fn catalog(&self, id: &str, items: Value) {
        let body = json!({"root": "host:/data", "items": items});
        self.write(&format!("keys/k/catalogs/{id}"), body).await;
    }
}

#[tokio::test]
async fn what_is_needed_stays_until_it_is_not() {
    let mount = Mount::new().await;
    mount.key("k", 2).await;
    let old = mount.encrypt("k", json!({"key_version": 1})).await;
    let retire = json!({"below": 2});
    assert_eq!(
        mount.needs(retire.clone()).await,
        ["recent-use", "unaccounted"]
    );
    mount.transit.settle().await.unwrap();
    mount.catalog("c", json!({"1": 3, "2": 5})).await;
    assert_eq!(mount.needs(retire.clone()).await, ["remains", "recent-use"]);
    mount.catalog("c", json!({"2": 8})).await;
    assert_eq!(mount.needs(retire).await, ["recent-use"]);
    let forced = json!({"below": 2, "force": true});
    let answer = mount.write("keys/k/retire", forced).await;
    assert_eq!(answer.data["min_decryption_version"], 2);
    assert_eq!(answer.data["destroyed"], json!([]));
    assert_eq!(answer.data["needed_by"][0]["need"], "recent-use");
    assert!(answer.warnings[0].contains("version 1 was used at"));
    let text = mount.refused("decrypt/k", json!({"ciphertext": old})).await;
    assert!(text.contains("too old"), "{text}");

    let unforced = json!({"below": 2, "recent": 0, "destroy": true});
    let answer = mount.write("keys/k/retire", unforced).await;
    assert_eq!(
        (answer.status, &answer.data["destroyed"]),
        (None, &json!([1]))
    );
}

#[tokio::test]
async fn a_rewrap_that_moves_nothing_leaves_what_it_was_given() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    let sealed = mount.encrypt("k", json!({})).await;
    let rewrap = json!({"ciphertext": sealed});
    for _ in 0..3 {
        mount.write("rewrap/k", rewrap.clone()).await;
    }
    mount.write("keys/k/rotate", json!({})).await;
    // Nor does one that opens it and then fails.
    let mut nowhere = rewrap.clone();
    nowhere["key_version"] = 3.into();
    mount.refused("rewrap/k", nowhere).await;
    let retire = json!({"below": 2, "recent": 0});
    assert_eq!(mount.needs(retire.clone()).await, ["unaccounted"]);
    mount.write("rewrap/k", rewrap).await;
    let retired = mount.write("keys/k/retire", retire).await;
    assert_eq!(retired.status, None, "{}", retired.data);
}

#[tokio::test]
async fn a_scan_is_as_old_as_its_beginning() {
    let mount = Mount::new().await;
    mount.key("k", 2).await;
    mount.encrypt("k", json!({"key_version": 1})).await;
    let scan = |took: u64| json!({"root": "host:/data", "items": {"2": 1}, "took": took});
    let slow = mount.write("keys/k/catalogs/c", scan(10)).await.data;
    assert_eq!(slow["time"], "2029-12-31T23:59:50Z");
    let retire = json!({"below": 2, "recent": 0});
    assert_eq!(mount.needs(retire.clone()).await, ["stale-scan"]);
    mount.write("keys/k/catalogs/c", scan(0)).await;
    assert_eq!(mount.write("keys/k/retire", retire).await.status, None);
}

#[tokio::test]
async fn counts_that_nobody_has() {
    let mount = Mount::new().await;
    mount.key("k", 3).await;
    for id in ["one", "two"] {
        let most = json!({"1": u64::MAX, "2": u64::MAX});
        mount.catalog(id, most).await;
    }
    let needs = mount.needs(json!({"below": 3})).await;
    assert_eq!(needs, ["remains", "remains"]);
    let marked = mount
        .write("keys/k/compromised", json!({"version": 1}))
        .await;
    assert_eq!(marked.data["blast_radius"]["items"], u64::MAX);
}

#[tokio::test]
async fn destroyed_versions_are_gone_in_one_commit() {
    let mount = Mount::new().await;
    mount.key("k", 3).await;
    let body = json!({"below": 3, "destroy": true});
    for at in 0.. {
        mount.store.fail_at(mount.store.operations() + at);
        let answer = mount
            .ask(Op::Write, "keys/k/retire", &body.to_string())
            .await;
        mount.store.fail_at(usize::MAX);
        let shown = mount.restarted().show("k").await;
        let minimums = (
            &shown["min_decryption_version"],
            &shown["min_available_version"],
        );
        let Ok(answer) = answer else {
            assert_eq!(minimums, (&json!(1), &json!(0)), "{at}");
            continue;
        };
        assert_eq!(minimums, (&json!(3), &json!(3)));
        assert_eq!(answer.data["destroyed"], json!([1, 2]));
        break;
    }
    let versions = mount.transit.view.list("keys/", "", 0).await.unwrap();
    let folder = format!("keys/{}", versions.names[0]);
    let left = mount.transit.view.list(&folder, "", 0).await.unwrap();
    assert_eq!(left.names, ["3"]);
    let again = mount.write("keys/k/retire", body).await;
    assert_eq!(again.data["destroyed"], json!([]));
}

#[tokio::test]
async fn mistakes_of_retire_and_of_catalogs() {
    let mount = Mount::new().await;
    mount.key("k", 2).await;
    for (path, body, field) in [
        ("keys/k/retire", json!({}), "below"),
        ("keys/k/retire", json!({"below": 0}), "below"),
        ("keys/k/retire", json!({"below": 3}), "below"),
        ("keys/k/retire", json!({"below": 1, "recent": -1}), "recent"),
        ("keys/none/retire", json!({"below": 1}), "not found"),
        (
            "keys/none/catalogs/c",
            json!({"root": "r", "items": {}}),
            "not found",
        ),
        ("keys/k/catalogs/c", json!({"items": {}}), "root"),
        (
            "keys/k/catalogs/c",
            json!({"root": "a\nb", "items": {}}),
            "root",
        ),
        ("keys/k/catalogs/c", json!({"root": "r"}), "items"),
        (
            "keys/k/catalogs/c",
            json!({"root": "r", "items": {"3": 1}}),
            "items",
        ),
        (
            "keys/k/catalogs/c",
            json!({"root": "r", "items": {"1": -1}}),
            "items",
        ),
        (
            "keys/k/catalogs/c",
            json!({"root": "r", "items": {}, "unreadable": -1}),
            "unreadable",
        ),
        (
            "keys/k/catalogs/c",
            json!({"root": "r", "items": {}, "took": "-1s"}),
            "took",
        ),
        (
            "keys/k/catalogs/c-",
            json!({"root": "r", "items": {}}),
            "name",
        ),
    ] {
        let text = mount.refused(path, body.clone()).await;
        assert!(text.contains(field), "{path} {body}: {text}");
    }
}

#[tokio::test]
async fn catalogs_live_and_die_with_their_key() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    mount.catalog("one", json!({"1": 4})).await;
    mount.catalog("two", json!({})).await;
    let list = mount.ask(Op::List, "keys/k/catalogs", "").await.unwrap();
    assert_eq!(list.data["keys"], json!(["one", "two"]));
    let read = mount
        .ask(Op::Read, "keys/k/catalogs/one", "")
        .await
        .unwrap();
    let shown = json!({"id": "one", "root": "host:/data", "items": {"1": 4}, "unreadable": 0,
        "time": "2030-01-01T00:00:00Z"});
    assert_eq!(read.data, shown);
    mount
        .ask(Op::Delete, "keys/k/catalogs/one", "")
        .await
        .unwrap();
    let gone = mount.ask(Op::Read, "keys/k/catalogs/one", "").await;
    assert!(matches!(gone, Err(Error::NotFound)));
    mount
        .write("keys/k/config", json!({"deletion_allowed": true}))
        .await;
    mount.ask(Op::Delete, "keys/k", "").await.unwrap();
    let left = mount.transit.view.list("catalogs/", "", 0).await.unwrap();
    assert!(left.names.is_empty());
}

#[tokio::test]
async fn marks_of_one_key_have_a_bound() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    let (mut settings, _) = mount.transit.stored("k").await.unwrap().unwrap();
    for version in 10..=1_008 {
        let said = Compromise {
            time: String::new(),
            reason: String::new(),
        };
        settings.compromised.insert(version, said);
    }
    let batch = settings.put("k", Batch::new()).unwrap();
    mount.transit.commit("k", batch).await.unwrap();
    let mark = |version: u32| json!({"version": version});
    let last = mount.write("keys/k/compromised", mark(1)).await.data;
    assert_eq!(last["rotated"], true);
    let text = mount.refused("keys/k/compromised", mark(2)).await;
    assert!(text.contains("make another key"), "{text}");
    let shown = mount.show("k").await;
    assert_eq!(shown["latest_version"], 2);
}

#[tokio::test]
async fn a_compromised_version_is_rewrapped_and_nothing_else() {
    let mount = Mount::new().await;
    mount.key("k", 2).await;
    let stolen = mount.encrypt("k", json!({})).await;
    let tag = mount.write("hmac/k", json!({"input": HELLO})).await.data;
    mount.catalog("c", json!({"2": 7})).await;
    let mark = json!({"version": 2, "reason": "a laptop was lost"});
    let marked = mount.write("keys/k/compromised", mark.clone()).await.data;
    assert_eq!(
        (&marked["latest_version"], &marked["rotated"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(marked["reason"], "a laptop was lost");
    let radius = &marked["blast_radius"];
    assert_eq!(radius["operations"]["encrypt"], 1);
    assert_eq!(
        (&radius["ciphertexts_left"], &radius["items"]),
        (&json!(1), &json!(7))
    );
    assert_eq!(radius["catalogs"][0]["root"], "host:/data");

    for (path, body) in [
        ("decrypt/k", json!({"ciphertext": stolen})),
        ("encrypt/k", json!({"plaintext": HELLO, "key_version": 2})),
        ("datakey/wrapped/k", json!({"key_version": 2})),
        ("hmac/k", json!({"input": HELLO, "key_version": 2})),
        ("verify/k", json!({"input": HELLO, "hmac": tag["hmac"]})),
        ("rewrap/k", json!({"ciphertext": stolen, "key_version": 2})),
    ] {
        let text = mount.refused(path, body).await;
        assert!(
            text.contains("version 2 of the key is compromised"),
            "{path}: {text}"
        );
    }
    let moved = mount
        .write("rewrap/k", json!({"ciphertext": stolen}))
        .await
        .data;
    assert_eq!(moved["key_version"], 3);
    let body = json!({"ciphertext": moved["ciphertext"]});
    assert_eq!(
        mount.write("decrypt/k", body).await.data["plaintext"],
        HELLO
    );

    let again = mount.write("keys/k/compromised", mark).await.data;
    assert_eq!(
        (&again["latest_version"], &again["rotated"]),
        (&json!(3), &json!(false))
    );
    assert_eq!(again["blast_radius"]["ciphertexts_left"], 0);
    let shown = mount.show("k").await;
    assert_eq!(shown["compromised"]["2"]["reason"], "a laptop was lost");
    let census = mount.ask(Op::Read, "keys/k/census", "").await.unwrap().data;
    assert_eq!(census["versions"][1]["state"], "compromised");
    assert_eq!(
        census["versions"][1]["compromised"]["time"],
        "2030-01-01T00:00:00Z"
    );

    mount
        .ask(Op::Delete, "keys/k/compromised/2", "")
        .await
        .unwrap();
    assert_eq!(mount.show("k").await["compromised"], Value::Null);
    mount
        .write("decrypt/k", json!({"ciphertext": stolen}))
        .await;
}

#[tokio::test]
async fn mistakes_of_compromised() {
    let mount = Mount::new().await;
    mount.key("k", 2).await;
    for body in [
        json!({}),
        json!({"version": 0}),
        json!({"version": 3}),
        json!({"version": -1}),
    ] {
        let text = mount.refused("keys/k/compromised", body.clone()).await;
        assert!(text.contains("version"), "{body}: {text}");
    }
    for reason in ["x".repeat(1025), "\u{1b}[2J".to_owned()] {
        let body = json!({"version": 1, "reason": reason});
        let text = mount.refused("keys/k/compromised", body).await;
        assert!(text.contains("reason"), "{text}");
    }
    assert!(
        mount
            .refused("keys/none/compromised", json!({"version": 1}))
            .await
            .contains("not found")
    );
    assert_eq!(mount.show("k").await["latest_version"], 2);
    mount.write("keys/s", json!({"type": "ed25519"})).await;
    let signed = mount.write("sign/s", json!({"input": HELLO})).await.data;
    mount
        .write("keys/s/compromised", json!({"version": 1}))
        .await;
    let proof = json!({"input": HELLO, "signature": signed["signature"]});
    assert!(
        mount
            .refused("verify/s", proof)
            .await
            .contains("compromised")
    );
    let text = mount.refused("keys/s/csr", json!({"version": 1})).await;
    assert!(text.contains("compromised"), "{text}");
    mount.write("keys/s/csr", json!({})).await;
    let fresh = mount.write("sign/s", json!({"input": HELLO})).await.data;
    assert_eq!(fresh["key_version"], 2);
}
