//! Keys: made, shown, tuned, rotated, deleted.

use super::*;

#[tokio::test]
async fn a_key_as_it_is_shown() {
    let mount = Mount::new().await;
    let made = mount
        .write("keys/k", json!({"type": "chacha20-poly1305"}))
        .await
        .data;
    let expected = json!({
        "name": "k", "type": "chacha20-poly1305", "derived": false, "exportable": false,
        "allow_plaintext_backup": false, "deletion_allowed": false, "auto_rotate_period": 0,
        "imported_key": false, "soft_deleted": false, "keys": {"1": NOW}, "latest_version": 1,
        "min_available_version": 0, "min_decryption_version": 1, "min_encryption_version": 0,
        "supports_decryption": true, "supports_derivation": true, "supports_encryption": true,
        "supports_signing": false
    });
    assert_eq!(made, expected);
    assert_eq!(mount.show("k").await, expected);
    let derived = mount.write("keys/d", json!({"derived": "true"})).await.data;
    assert_eq!(derived["kdf"], "hkdf_sha256");
    assert_eq!(derived["convergent_encryption"], false);
    assert_eq!(derived["type"], "aes256-gcm96");
}

#[tokio::test]
async fn a_key_that_forbids_offline_slots_says_so() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    let usual = mount.show("k").await;
    assert!(usual.get("offline_slots_allowed").is_none());
    let set =
        |allowed: Value| mount.write("keys/k/config", json!({"offline_slots_allowed": allowed}));
    assert_eq!(set(json!(false)).await.data["offline_slots_allowed"], false);
    let mount = mount.restarted();
    assert_eq!(mount.show("k").await["offline_slots_allowed"], false);
    let other = mount.write("keys/k/config", json!({"deletion_allowed": true}));
    assert_eq!(other.await.data["offline_slots_allowed"], false);
    let allowed = json!({"offline_slots_allowed": "true", "deletion_allowed": false});
    assert_eq!(mount.write("keys/k/config", allowed).await.data, usual);
    let refused = mount.refused("keys/k/config", json!({"offline_slots_allowed": "maybe"}));
    assert!(refused.await.contains("offline_slots_allowed"));
}

#[tokio::test]
async fn making_a_key_again_changes_nothing() {
    let mount = Mount::new().await;
    mount.key("k", 2).await;
    let before = mount.show("k").await;
    let same = mount.write("keys/k", json!({})).await;
    assert_eq!((same.data, same.warnings.len()), (before.clone(), 0));
    let other = mount
        .write("keys/k", json!({"type": "aes128-gcm96", "derived": true}))
        .await;
    assert_eq!((other.data, other.warnings.len()), (before, 1));
}

#[tokio::test]
async fn what_no_key_can_be() {
    let mount = Mount::new().await;
    let table = [
        (json!({"type": "rsa-1024"}), "unknown key type rsa-1024"),
        (
            json!({"type": "AES256-GCM96"}),
            "unknown key type AES256-GCM96",
        ),
        (
            json!({"convergent_encryption": true}),
            "convergent encryption requires derivation to be enabled",
        ),
        (
            json!({"type": "ecdsa-p256", "derived": true}),
            "key derivation and convergent encryption not supported for keys of type ecdsa-p256",
        ),
        (
            json!({"type": "ed25519", "derived": true, "convergent_encryption": true}),
            "convergent encryption not supported for keys of type ed25519",
        ),
        (
            json!({"key_size": 32}),
            "key_size is not valid for algorithm aes256-gcm96",
        ),
        (json!({"auto_rotate_period": "30m"}), "at least an hour"),
        (json!({"auto_rotate_period": "often"}), "auto_rotate_period"),
        (json!({"derived": "perhaps"}), "derived"),
    ];
    for (body, text) in table {
        let error = mount.refused("keys/bad", body).await;
        assert!(error.contains(text), "{error}");
    }
    assert!(matches!(
        mount.ask(Op::Read, "keys/bad", "").await,
        Err(Error::NotFound)
    ));
    assert!(mount.write("keys/bad", json!({"nope": 1})).await.warnings[0].contains("[nope]"));
}

#[tokio::test]
async fn names() {
    let mount = Mount::new().await;
    for name in ["a", "A_1", "bad..name", "a-b", "_"] {
        mount.write(&format!("keys/{name}"), json!({})).await;
    }
    for name in ["bad-", "-bad", ".bad", "a b", "clé", "a/b"] {
        for op in ["keys", "encrypt", "decrypt", "datakey/plaintext"] {
            let answer = mount
                .ask(Op::Write, &format!("{op}/{name}"), r#"{"plaintext":""}"#)
                .await;
            assert!(matches!(answer, Err(Error::Unsupported(_))), "{op}/{name}");
        }
    }
}

#[tokio::test]
async fn lists() {
    let mount = Mount::new().await;
    assert!(matches!(
        mount.ask(Op::List, "keys/", "").await,
        Err(Error::NotFound)
    ));
    for name in ["b", "a", "d", "c"] {
        mount.key(name, 1).await;
    }
    let list = async |body: &str| {
        let answer = mount.ask(Op::List, "keys", body).await;
        answer.map(|answer| answer.data["keys"].clone())
    };
    assert_eq!(list("").await.unwrap(), json!(["a", "b", "c", "d"]));
    assert_eq!(
        list(r#"{"after":"a","limit":"2"}"#).await.unwrap(),
        json!(["b", "c"])
    );
    assert_eq!(
        list(r#"{"limit":-5}"#).await.unwrap(),
        json!(["a", "b", "c", "d"])
    );
    assert!(matches!(
        list(r#"{"after":"z"}"#).await,
        Err(Error::NotFound)
    ));
    assert!(matches!(
        list(r#"{"limit":"x"}"#).await,
        Err(Error::BadRequest(_))
    ));
}

#[tokio::test]
async fn version_windows() {
    let mount = Mount::new().await;
    mount.key("k", 5).await;
    let old = mount.encrypt("k", json!({"key_version": 2})).await;
    let decrypt = json!({"ciphertext": old});
    mount.write("decrypt/k", decrypt.clone()).await;
    let shown = mount
        .write("keys/k/config", json!({"min_decryption_version": 3}))
        .await
        .data;
    assert_eq!(shown["keys"], json!({"3": NOW, "4": NOW, "5": NOW}));
    assert!(
        mount
            .refused("decrypt/k", decrypt.clone())
            .await
            .contains("too old")
    );
    assert!(
        mount
            .refused("rewrap/k", decrypt.clone())
            .await
            .contains("too old")
    );
    let before = mount.show("k").await;
    let table = [
        (
            json!({"min_encryption_version": 2}),
            "min encryption version of 2 must be greater than or equal to min decryption version of 3",
        ),
        (
            json!({"min_decryption_version": 6}),
            "cannot set min decryption version of 6, latest key version is 5",
        ),
        (
            json!({"min_encryption_version": 6}),
            "cannot set min encryption version of 6, latest key version is 5",
        ),
        (
            json!({"min_decryption_version": -1}),
            "min decryption version cannot be negative",
        ),
        (
            json!({"min_encryption_version": -1}),
            "min encryption version cannot be negative",
        ),
        (
            json!({"deletion_allowed": true, "min_decryption_version": 99}),
            "99",
        ),
        (
            json!({"exportable": true, "auto_rotate_period": "59m"}),
            "at least an hour",
        ),
    ];
    for (body, text) in table {
        let error = mount.refused("keys/k/config", body).await;
        assert!(error.contains(text), "{error}");
        assert_eq!(mount.show("k").await, before, "an error changes nothing");
        assert_eq!(mount.restarted().show("k").await, before);
    }
    let zero = mount
        .write("keys/k/config", json!({"min_decryption_version": 0}))
        .await;
    assert_eq!(
        (
            zero.data["min_decryption_version"].clone(),
            zero.warnings.len()
        ),
        (json!(1), 1)
    );
    assert_eq!(
        mount.write("decrypt/k", decrypt).await.data["plaintext"],
        HELLO
    );
    mount
        .write("keys/k/config", json!({"min_encryption_version": 4}))
        .await;
    let error = mount
        .refused("encrypt/k", json!({"plaintext": "", "key_version": 3}))
        .await;
    assert!(error.contains("less than the minimum"), "{error}");
}

#[tokio::test]
async fn flags_go_one_way() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    let flags = json!({"exportable": true, "allow_plaintext_backup": true, "derived": true});
    let set = mount.write("keys/k/config", flags).await;
    assert_eq!(set.data["exportable"], true);
    assert_eq!(set.data["derived"], false);
    assert!(set.warnings[0].contains("[derived]"));
    let flags = json!({"exportable": false, "allow_plaintext_backup": false});
    let unset = mount.write("keys/k/config", flags).await;
    assert_eq!(
        (unset.data["exportable"].clone(), unset.warnings.len()),
        (json!(true), 2)
    );
    assert!(
        mount
            .refused("keys/none/config", json!({}))
            .await
            .contains("no existing key named none")
    );
    assert_eq!(
        mount.refused("keys/none/rotate", json!({})).await,
        "key not found"
    );
}

#[tokio::test]
async fn a_deleted_key_is_gone_and_its_name_is_free() {
    let mount = Mount::new().await;
    mount.key("k", 3).await;
    let ciphertexts = [
        mount.encrypt("k", json!({"key_version": 1})).await,
        mount.encrypt("k", json!({})).await,
    ];
    let delete = |mount: &'static str| (Op::Delete, format!("keys/{mount}"));
    let (op, path) = delete("k");
    let error = mount.ask(op, &path, "").await.err().unwrap().to_string();
    assert_eq!(
        error,
        "error deleting policy k: deletion is not allowed for this key"
    );
    mount
        .write("keys/k/config", json!({"deletion_allowed": true}))
        .await;
    for ciphertext in &ciphertexts {
        mount
            .write("decrypt/k", json!({"ciphertext": ciphertext}))
            .await;
    }
    assert_eq!(mount.ask(op, &path, "").await.unwrap().data, Value::Null);
    let left = mount.transit.view.list("", "", 0).await.unwrap().names;
    assert!(left.is_empty(), "{left:?}");
    let error = mount.ask(op, &path, "").await.err().unwrap().to_string();
    assert_eq!(
        error,
        "error deleting policy k: could not delete key; not found"
    );
    let decrypt = |ciphertext: &str| json!({"ciphertext": ciphertext});
    assert_eq!(
        mount.refused("decrypt/k", decrypt(&ciphertexts[0])).await,
        "encryption key not found"
    );
    mount.key("k", 3).await;
    for ciphertext in &ciphertexts {
        let error = mount.refused("decrypt/k", decrypt(ciphertext)).await;
        assert_eq!(error, "cipher: message authentication failed");
    }
}

#[tokio::test]
async fn versions_beyond_one_page_of_times() {
    let mount = Mount::new().await;
    mount.key("k", 1030).await;
    let shown = mount.show("k").await;
    assert_eq!(shown["latest_version"], 1030);
    assert_eq!(shown["keys"].as_object().unwrap().len(), 1030);
    let shown = mount
        .write("keys/k/config", json!({"min_decryption_version": 1024}))
        .await
        .data;
    assert_eq!(shown["keys"].as_object().unwrap().len(), 7);
    let old = mount.encrypt("k", json!({"key_version": 1024})).await;
    let before = mount.store.operations();
    mount.write("decrypt/k", json!({"ciphertext": old})).await;
    assert_eq!(
        mount.store.operations(),
        before,
        "use costs no read, however many versions"
    );
}
