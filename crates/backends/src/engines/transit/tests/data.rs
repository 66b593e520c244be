//! encrypt, decrypt, rewrap and datakey of one item.

use super::*;

#[tokio::test]
async fn round_trip_of_every_type() {
    let mount = Mount::new().await;
    for kind in ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305"] {
        for derived in [false, true] {
            let key = format!("{kind}-{derived}");
            mount
                .write(
                    &format!("keys/{key}"),
                    json!({"type": kind, "derived": derived}),
                )
                .await;
            let context = if derived { "Y3R4" } else { "" };
            let body = json!({"plaintext": HELLO, "context": context, "associated_data": "YWFk"});
            let one = mount.encrypt(&key, body.clone()).await;
            assert_ne!(one, mount.encrypt(&key, body).await);
            let body = json!({"ciphertext": one, "context": context, "associated_data": "YWFk"});
            let opened = mount.write(&format!("decrypt/{key}"), body).await;
            assert_eq!(opened.data, json!({"plaintext": HELLO}));
            for wrong in [
                json!({"context": context}),
                json!({"context": context, "associated_data": "eA=="}),
            ] {
                let mut body = wrong;
                body["ciphertext"] = one.clone().into();
                let error = mount.refused(&format!("decrypt/{key}"), body).await;
                assert_eq!(error, "cipher: message authentication failed");
            }
        }
    }
}

#[tokio::test]
async fn plaintexts_that_are_none() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    for body in [
        json!({}),
        json!({"plaintext": null}),
        json!({"plain_text": "YQ=="}),
    ] {
        let error = mount.refused("encrypt/k", body.clone()).await;
        assert_eq!(error, "missing plaintext to encrypt");
        mount.refused("encrypt/new", body).await;
    }
    assert!(matches!(
        mount.ask(Op::Read, "keys/new", "").await,
        Err(Error::NotFound)
    ));
    let empty = mount.encrypt("k", json!({"plaintext": ""})).await;
    let opened = mount.write("decrypt/k", json!({"ciphertext": empty})).await;
    assert_eq!(opened.data["plaintext"], "");
    for (body, ciphertext) in [
        (json!({}), "missing ciphertext to decrypt"),
        (json!({"ciphertext": ""}), "missing ciphertext to decrypt"),
        (json!({"ciphertext": null}), "missing ciphertext to decrypt"),
        (json!({"ciphertext": 5}), "invalid ciphertext: no prefix"),
    ] {
        assert_eq!(mount.refused("decrypt/k", body.clone()).await, ciphertext);
        assert_eq!(mount.refused("rewrap/k", body).await, ciphertext);
    }
}

#[tokio::test]
async fn base64_that_is_nearly_right() {
    let mount = Mount::new().await;
    mount.write("keys/d", json!({"derived": true})).await;
    for text in [
        "-_-_",
        "YQ",
        "aGVs bG8=",
        " YQ==",
        "YQ==x",
        "!!",
        "é",
        "=",
        "YQ=",
        "Y===",
        "\u{0}",
    ] {
        for member in ["plaintext", "context", "associated_data"] {
            let mut body = json!({"plaintext": HELLO, "context": "Y3R4"});
            body[member] = text.into();
            let error = mount.refused("encrypt/d", body).await;
            assert!(
                error.starts_with(&format!("field \"{member}\": illegal base64")),
                "{error}"
            );
        }
    }
    for text in ["aGVs\nbG8=", "aGVs\r\nbG8=\r\n", HELLO] {
        let body = json!({"plaintext": text, "context": text});
        let ciphertext = mount.encrypt("d", body).await;
        let body = json!({"ciphertext": ciphertext, "context": HELLO});
        assert_eq!(
            mount.write("decrypt/d", body).await.data["plaintext"],
            HELLO
        );
    }
}

#[tokio::test]
async fn optional_members_may_be_null() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    let nulls = json!({"context": null, "nonce": null, "associated_data": null,
        "key_version": null, "batch_input": null, "partial_failure_response_code": null});
    let ciphertext = mount.encrypt("k", nulls).await;
    mount
        .write("decrypt/k", json!({"ciphertext": ciphertext}))
        .await;
}

#[tokio::test]
async fn members_without_effect_are_named() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    let body = json!({"plaintext": HELLO, "nonce": "MTIzNDU2Nzg5MDEy", "nope": {"a": [1]}});
    let one = mount.write("encrypt/k", body.clone()).await;
    let warning = "Endpoint ignored these unrecognized parameters: [nonce nope]";
    assert_eq!(one.warnings, [warning]);
    assert_ne!(
        one.data,
        mount.write("encrypt/k", body).await.data,
        "no nonce of the caller's"
    );
    let body = json!({"plaintext": HELLO, "context": "Y3R4"});
    let idle = mount.write("encrypt/k", body).await;
    assert!(idle.warnings[0].contains("context"), "{:?}", idle.warnings);
    let body = json!({"ciphertext": idle.data["ciphertext"], "key_version": 1});
    let opened = mount.write("decrypt/k", body).await;
    assert_eq!(opened.data["plaintext"], HELLO);
    assert!(opened.warnings[0].contains("[key_version]"));
}

#[tokio::test]
async fn derived_keys_demand_the_context() {
    let mount = Mount::new().await;
    mount.write("keys/d", json!({"derived": true})).await;
    let ciphertext = mount.encrypt("d", json!({"context": "Y3R4"})).await;
    for context in [json!(null), json!("")] {
        let error = mount
            .refused("encrypt/d", json!({"plaintext": "", "context": context}))
            .await;
        assert!(
            error.starts_with("missing 'context' for key derivation"),
            "{error}"
        );
        let body = json!({"ciphertext": ciphertext, "context": context});
        let error = mount.refused("decrypt/d", body).await;
        assert!(error.starts_with("missing 'context'"), "{error}");
        let error = mount
            .refused("datakey/plaintext/d", json!({"context": context}))
            .await;
        assert!(error.starts_with("missing 'context'"), "{error}");
    }
    let body = json!({"ciphertext": ciphertext, "context": "b3RoZXI="});
    assert_eq!(
        mount.refused("decrypt/d", body).await,
        "cipher: message authentication failed"
    );
}

#[tokio::test]
async fn ciphertexts_that_are_none() {
    let mount = Mount::new().await;
    mount.key("k", 5).await;
    mount
        .write("keys/k/config", json!({"min_decryption_version": 2}))
        .await;
    let table = [
        ("aGVsbG8=", "invalid ciphertext: no prefix"),
        ("VAULT:v5:AAAA", "invalid ciphertext: no prefix"),
        ("vault:v5:", "invalid ciphertext length"),
        ("vault:v4:AAAA", "invalid ciphertext length"),
        (
            "vault:v:AAAA",
            "invalid ciphertext: version number could not be decoded",
        ),
        (
            "vault:v0:AAAA",
            "ciphertext or signature version is disallowed by policy (too old)",
        ),
        (
            "vault:v-1:AAAA",
            "ciphertext or signature version is disallowed by policy (too old)",
        ),
        (
            "vault:v1:AAAA",
            "ciphertext or signature version is disallowed by policy (too old)",
        ),
        ("vault:v6:AAAA", "invalid ciphertext: version is too new"),
        (
            "vault:v5000000000:AAAA",
            "invalid ciphertext: version is too new",
        ),
        (
            "vault:v5:!!!",
            "invalid ciphertext: could not decode base64",
        ),
        (
            "vault:v5:AAAAAAAAAAAAAAAA",
            "cipher: message authentication failed",
        ),
        (
            "vault:v5:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
            "cipher: message authentication failed",
        ),
    ];
    for (ciphertext, text) in table {
        let body = json!({"ciphertext": ciphertext});
        assert_eq!(
            mount.refused("decrypt/k", body.clone()).await,
            text,
            "{ciphertext}"
        );
        assert_eq!(mount.refused("rewrap/k", body).await, text, "{ciphertext}");
    }
    assert_eq!(
        mount
            .refused("decrypt/none", json!({"ciphertext": "vault:v1:AAAA"}))
            .await,
        "encryption key not found"
    );
}

#[tokio::test]
async fn key_versions() {
    let mount = Mount::new().await;
    mount.key("k", 3).await;
    for (asked, version) in [
        (json!(0), 3),
        (json!(1), 1),
        (json!("2"), 2),
        (json!(null), 3),
    ] {
        let body = json!({"plaintext": HELLO, "key_version": asked});
        let data = mount.write("encrypt/k", body).await.data;
        assert_eq!(data["key_version"], version);
        assert!(
            data["ciphertext"]
                .as_str()
                .unwrap()
                .starts_with(&format!("vault:v{version}:"))
        );
        assert_eq!(
            mount.write("decrypt/k", data).await.data["plaintext"],
            HELLO
        );
    }
    for (asked, text) in [
        (json!(4), "higher"),
        (json!(-1), "negative"),
        (json!(1.5), "key_version"),
    ] {
        let body = json!({"plaintext": HELLO, "key_version": asked});
        assert!(mount.refused("encrypt/k", body).await.contains(text));
    }
}

#[tokio::test]
async fn encrypt_makes_keys() {
    let mount = Mount::new().await;
    let made = mount
        .write("encrypt/plain", json!({"plaintext": HELLO}))
        .await
        .data;
    assert_eq!(
        mount.write("decrypt/plain", made).await.data["plaintext"],
        HELLO
    );
    let body = json!({"plaintext": HELLO, "context": "Y3R4", "type": "aes128-gcm96"});
    mount.write("encrypt/derived", body).await;
    let shown = mount.show("derived").await;
    assert_eq!(
        (&shown["derived"], &shown["type"]),
        (&json!(true), &json!("aes128-gcm96"))
    );
    let table = [
        (json!({"type": "ed25519"}), "unknown key type ed25519"),
        (
            json!({"convergent_encryption": true}),
            "convergent encryption requires derivation",
        ),
        (json!({"plaintext": "!!"}), "illegal base64"),
        (json!({"key_version": 2}), "higher than the latest"),
    ];
    for (mut body, text) in table {
        body.as_object_mut()
            .unwrap()
            .entry("plaintext")
            .or_insert(HELLO.into());
        let error = mount.refused("encrypt/none", body).await;
        assert!(error.contains(text), "{error}");
        assert!(matches!(
            mount.ask(Op::Read, "keys/none", "").await,
            Err(Error::NotFound)
        ));
    }
    let off = mount
        .write("config/keys", json!({"disable_upsert": true}))
        .await;
    assert_eq!(off.data, json!({"disable_upsert": true}));
    let shown = mount.ask(Op::Read, "config/keys", "").await.unwrap();
    assert_eq!(shown.data, json!({"disable_upsert": true}));
    let error = mount
        .refused("encrypt/none", json!({"plaintext": HELLO}))
        .await;
    assert_eq!(error, "encryption key not found");
    mount
        .write("config/keys", json!({"disable_upsert": false}))
        .await;
    mount
        .write("encrypt/none", json!({"plaintext": HELLO}))
        .await;
}

#[tokio::test]
async fn rewrap_moves_to_the_newest_version_and_says_so() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    let old = mount.encrypt("k", json!({"associated_data": "eA=="})).await;
    mount.write("keys/k/rotate", json!({})).await;
    let rewrap = |ciphertext: &str| json!({"ciphertext": ciphertext, "associated_data": "eA=="});
    let new = mount.write("rewrap/k", rewrap(&old)).await.data;
    assert_eq!(
        (&new["key_version"], &new["rewrapped"]),
        (&json!(2), &json!(true))
    );
    let ciphertext = new["ciphertext"].as_str().unwrap();
    assert!(ciphertext.starts_with("vault:v2:"));
    assert_eq!(
        mount.write("decrypt/k", rewrap(ciphertext)).await.data["plaintext"],
        HELLO
    );
    let again = mount.write("rewrap/k", rewrap(ciphertext)).await.data;
    let expected = json!({"ciphertext": ciphertext, "key_version": 2, "rewrapped": false});
    assert_eq!(again, expected);
    for wrong in [
        json!({"ciphertext": ciphertext}),
        json!({"ciphertext": old, "associated_data": "eQ=="}),
    ] {
        let error = mount.refused("rewrap/k", wrong).await;
        assert_eq!(error, "cipher: message authentication failed");
    }
    let mut back = rewrap(ciphertext);
    back["key_version"] = 1.into();
    let back = mount.write("rewrap/k", back).await.data;
    assert_eq!(
        (&back["key_version"], &back["rewrapped"]),
        (&json!(1), &json!(true))
    );
}

#[tokio::test]
async fn data_keys() {
    let mount = Mount::new().await;
    mount.key("k", 2).await;
    for (bits, length) in [
        (json!(null), 44),
        (json!(128), 24),
        (json!("256"), 44),
        (json!(512), 88),
    ] {
        let body = json!({"bits": bits, "associated_data": "eA=="});
        let key = mount.write("datakey/plaintext/k", body).await.data;
        let plaintext = key["plaintext"].as_str().unwrap();
        assert_eq!((plaintext.len(), &key["key_version"]), (length, &json!(2)));
        let body = json!({"ciphertext": key["ciphertext"], "associated_data": "eA=="});
        assert_eq!(
            mount.write("decrypt/k", body).await.data["plaintext"],
            plaintext
        );
    }
    let wrapped = mount
        .write("datakey/wrapped/k", json!({"key_version": 1}))
        .await
        .data;
    assert!(wrapped.get("plaintext").is_none());
    assert_eq!(wrapped["key_version"], 1);
    for bits in [json!(192), json!(0), json!(-256), json!("many")] {
        let error = mount
            .refused("datakey/plaintext/k", json!({"bits": bits}))
            .await;
        assert!(error.contains("bit"), "{error}");
    }
    let error = mount.refused("datakey/cleartext/k", json!({})).await;
    assert_eq!(error, "Invalid path, must be 'plaintext' or 'wrapped'");
    assert_eq!(
        mount.refused("datakey/wrapped/none", json!({})).await,
        "encryption key not found"
    );
    assert!(
        mount
            .refused("datakey/wrapped/k", json!({"context": "!!"}))
            .await
            .contains("context")
    );
}
