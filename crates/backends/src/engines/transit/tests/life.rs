//! The life of keys of every type: made, used, exported, trimmed, shelved.

use super::*;

#[tokio::test]
async fn every_type_as_it_is_shown() {
    let mount = Mount::new().await;
    for (kind, encrypts, derives, signs) in [
        ("xchacha20-poly1305", true, true, false),
        ("ed25519", false, true, true),
        ("ecdsa-p384", false, false, true),
        ("rsa-2048", true, false, true),
        ("hmac", false, false, false),
        ("aes192-cmac", false, false, false),
    ] {
        let size = if kind == "hmac" { 64 } else { 0 };
        let made = mount
            .write("keys/k", json!({"type": kind, "key_size": size}))
            .await
            .data;
        assert_eq!(made["supports_encryption"], encrypts, "{kind}");
        assert_eq!(made["supports_derivation"], derives, "{kind}");
        assert_eq!(made["supports_signing"], signs, "{kind}");
        assert_eq!(made.get("keys").is_none(), kind == "hmac");
        assert_eq!(made["keys"]["1"].is_object(), signs);
        assert_eq!(made.get("key_size").is_some(), kind == "hmac");
        let rotated = mount.write("keys/k/rotate", json!({})).await.data;
        assert_eq!(rotated["latest_version"], 2);
        assert_eq!(mount.restarted().show("k").await, rotated, "{kind}");
        for name in ["derived", "convergent_encryption"] {
            let body = json!({"type": kind, "key_size": size, "derived": true, name: true});
            let taken = mount
                .ask(Op::Write, "keys/other", &body.to_string())
                .await
                .is_ok();
            assert_eq!(
                taken,
                derives && (name == "derived" || encrypts),
                "{kind} {name}"
            );
            if taken {
                let allow = json!({"deletion_allowed": true});
                mount.write("keys/other/config", allow).await;
                mount.ask(Op::Delete, "keys/other", "").await.unwrap();
            }
        }
        mount
            .write("keys/k/config", json!({"deletion_allowed": true}))
            .await;
        mount.ask(Op::Delete, "keys/k", "").await.unwrap();
    }
    for (body, text) in [
        (json!({"type": "hmac"}), "between 32 and 512 bytes"),
        (
            json!({"type": "hmac", "key_size": 31}),
            "invalid key_size 31",
        ),
        (
            json!({"type": "hmac", "key_size": 513}),
            "invalid key_size 513",
        ),
    ] {
        let error = mount.refused("keys/bad", body).await;
        assert!(error.contains(text), "{error}");
    }
}

#[tokio::test]
async fn rsa_encrypts_and_binds_nothing() {
    let mount = Mount::new().await;
    mount.write("keys/k", json!({"type": "rsa-2048"})).await;
    let old = mount.encrypt("k", json!({})).await;
    mount.write("keys/k/rotate", json!({})).await;
    let new = mount
        .write("rewrap/k", json!({"ciphertext": old}))
        .await
        .data;
    assert_eq!(new["rewrapped"], true);
    for ciphertext in [&json!(old), &new["ciphertext"]] {
        let body = json!({"ciphertext": ciphertext});
        assert_eq!(
            mount.write("decrypt/k", body).await.data["plaintext"],
            HELLO
        );
    }
    mount
        .write("datakey/plaintext/k", json!({"bits": 512}))
        .await;
    let long = keyfold_api::base64::encode(&[1; 191]);
    let error = mount.refused("encrypt/k", json!({"plaintext": long})).await;
    assert!(
        error.contains("plaintext") && error.contains("190"),
        "{error}"
    );
    for (path, member) in [("encrypt/k", "plaintext"), ("datakey/wrapped/k", "bits")] {
        let value = if member == "bits" {
            json!(256)
        } else {
            json!(HELLO)
        };
        let error = mount
            .refused(path, json!({member: value, "associated_data": "eA=="}))
            .await;
        assert!(error.contains("non-AEAD cipher suite rsa-2048"), "{error}");
    }
    let body = json!({"ciphertext": "vault:v2:AAAA"});
    assert!(!mount.refused("decrypt/k", body).await.is_empty());
    mount.write("keys/ed", json!({"type": "ed25519"})).await;
    let error = mount
        .refused("encrypt/ed", json!({"plaintext": HELLO}))
        .await;
    assert_eq!(
        error,
        "message encryption not supported for key type ed25519"
    );
    let error = mount
        .refused("decrypt/ed", json!({"ciphertext": old}))
        .await;
    assert_eq!(
        error,
        "message decryption not supported for key type ed25519"
    );
}

#[tokio::test]
async fn convergent_keys() {
    let mount = Mount::new().await;
    let made = json!({"derived": true, "convergent_encryption": true});
    let shown = mount.write("keys/k", made).await.data;
    assert_eq!(shown["convergent_encryption"], true);
    assert_eq!(shown["convergent_encryption_version"], -1);
    let seal = async |body: Value| mount.encrypt("k", body).await;
    let one = seal(json!({"context": "Y3R4"})).await;
    assert_eq!(one, seal(json!({"context": "Y3R4"})).await);
    assert_ne!(one, seal(json!({"context": "b3RoZXI="})).await);
    let nonce = |text: &str| keyfold_api::base64::decode(&text[9..]).unwrap()[..12].to_vec();
    let bound = seal(json!({"context": "Y3R4", "associated_data": "YQ=="})).await;
    assert_eq!(
        bound,
        seal(json!({"context": "Y3R4", "associated_data": "YQ=="})).await
    );
    let other = seal(json!({"context": "Y3R4", "associated_data": "Yg=="})).await;
    assert!(nonce(&one) != nonce(&bound) && nonce(&bound) != nonce(&other));
    let body = json!({"ciphertext": bound, "context": "Y3R4", "associated_data": "YQ=="});
    assert_eq!(
        mount.write("decrypt/k", body).await.data["plaintext"],
        HELLO
    );
    mount
        .write(
            "encrypt/made",
            json!({"plaintext": "", "context": "Y3R4", "convergent_encryption": true}),
        )
        .await;
    assert_eq!(mount.show("made").await["convergent_encryption"], true);
}

#[tokio::test]
async fn trimming() {
    let mount = Mount::new().await;
    mount.key("k", 5).await;
    let old = mount.encrypt("k", json!({"key_version": 1})).await;
    let trim = |version: Value| json!({"min_available_version": version});
    assert_eq!(
        mount.refused("keys/k/trim", json!({})).await,
        "missing min_available_version"
    );
    assert_eq!(
        mount.refused("keys/none/trim", trim(json!(1))).await,
        "invalid key name"
    );
    for (version, text) in [
        (json!(0), "should be positive"),
        (json!(-1), "cannot be decremented"),
        (json!(1), "when minimum encryption version is not set"),
    ] {
        assert!(
            mount
                .refused("keys/k/trim", trim(version))
                .await
                .contains(text)
        );
    }
    mount
        .write(
            "keys/k/config",
            json!({"min_decryption_version": 3, "min_encryption_version": 4}),
        )
        .await;
    for (version, text) in [
        (5, "minimum encryption version"),
        (4, "minimum decryption version"),
    ] {
        assert!(
            mount
                .refused("keys/k/trim", trim(json!(version)))
                .await
                .contains(text)
        );
    }
    let shown = mount.write("keys/k/trim", trim(json!(3))).await.data;
    assert_eq!(shown["min_available_version"], 3);
    mount.write("keys/k/trim", trim(json!(3))).await;
    assert!(
        mount
            .refused("keys/k/trim", trim(json!(2)))
            .await
            .contains("decremented")
    );
    let error = mount
        .refused("keys/k/config", json!({"min_decryption_version": 1}))
        .await;
    assert!(error.contains("min available version"), "{error}");
    assert!(
        mount
            .refused("decrypt/k", json!({"ciphertext": old}))
            .await
            .contains("too old")
    );
    let versions = mount.transit.view.list("keys/", "", 0).await.unwrap().names;
    let stored = mount
        .transit
        .view
        .list(&format!("keys/{}", versions[0]), "", 0)
        .await
        .unwrap();
    assert_eq!(stored.names, ["3", "4", "5"]);
    assert_eq!(mount.restarted().show("k").await, mount.show("k").await);
    mount
        .write("keys/k/config", json!({"deletion_allowed": true}))
        .await;
    mount.ask(Op::Delete, "keys/k", "").await.unwrap();
    assert!(
        mount
            .transit
            .view
            .list("", "", 0)
            .await
            .unwrap()
            .names
            .is_empty()
    );
}

/// However many versions there are: those of before are not read, nor told of.
#[tokio::test]
async fn a_rotation_costs_the_same() {
    let mount = Mount::new().await;
    mount.write("keys/k", json!({"type": "ecdsa-p256"})).await;
    let mut cost = 0;
    for version in 2..=260_u32 {
        let before = mount.store.operations();
        let answer = mount.write("keys/k/rotate", json!({})).await;
        let spent = mount.store.operations() - before;
        let told = answer.data["keys"].as_object().unwrap();
        assert!(told.contains_key(&version.to_string()));
        assert_eq!(told.len(), usize::try_from(version).unwrap().min(256));
        assert_eq!(
            answer.warnings.len(),
            usize::from(version > 256),
            "{version}"
        );
        match version {
            257 => cost = spent,
            258.. => assert_eq!(spent, cost),
            _ => {}
        }
    }
    assert_eq!(
        mount.show("k").await["keys"].as_object().unwrap().len(),
        260
    );
}

#[tokio::test]
async fn shelving() {
    let mount = Mount::new().await;
    mount
        .write(
            "keys/k",
            json!({"exportable": true, "allow_plaintext_backup": true}),
        )
        .await;
    let ciphertext = mount.encrypt("k", json!({})).await;
    let shelved = mount
        .ask(Op::Delete, "keys/k/soft-delete", "")
        .await
        .unwrap();
    assert_eq!(
        (&shelved.data["soft_deleted"], shelved.warnings.len()),
        (&json!(true), 0)
    );
    let again = mount
        .ask(Op::Delete, "keys/k/soft-delete", "")
        .await
        .unwrap();
    assert_eq!(again.warnings, ["key was already marked as soft deleted"]);
    for (op, path, body) in [
        (Op::Write, "encrypt/k", json!({"plaintext": HELLO})),
        (Op::Write, "decrypt/k", json!({"ciphertext": ciphertext})),
        (Op::Write, "rewrap/k", json!({"ciphertext": ciphertext})),
        (Op::Write, "datakey/wrapped/k", json!({})),
        (Op::Write, "hmac/k", json!({"input": HELLO})),
        (Op::Write, "sign/k", json!({"input": HELLO})),
        (
            Op::Write,
            "verify/k",
            json!({"input": HELLO, "hmac": "vault:v1:AAAA"}),
        ),
        (Op::Write, "keys/k/rotate", json!({})),
        (Op::Read, "export/encryption-key/k", json!({})),
        (Op::Read, "backup/k", json!({})),
    ] {
        let error = mount.ask(op, path, &body.to_string()).await.err().unwrap();
        assert_eq!(
            error.to_string(),
            "refusing to use soft-deleted key",
            "{path}"
        );
    }
    assert_eq!(mount.show("k").await["soft_deleted"], true);
    let back = mount.write("keys/k/soft-delete-restore", json!({})).await;
    assert_eq!(
        (&back.data["soft_deleted"], back.warnings.len()),
        (&json!(false), 0)
    );
    assert_eq!(
        mount
            .write("keys/k/soft-delete-restore", json!({}))
            .await
            .warnings
            .len(),
        1
    );
    mount
        .write("decrypt/k", json!({"ciphertext": ciphertext}))
        .await;
    let unknown = mount
        .ask(Op::Delete, "keys/none/soft-delete", "")
        .await
        .unwrap();
    assert_eq!(unknown.data, Value::Null);
}

#[tokio::test]
async fn exports() {
    let mount = Mount::new().await;
    mount.write("keys/k", json!({"exportable": true})).await;
    mount.key("closed", 1).await;
    let export = async |path: &str, body: Value| {
        let answer = mount
            .ask(Op::Read, &format!("export/{path}"), &body.to_string())
            .await;
        answer
            .map(|answer| answer.data)
            .map_err(|error| error.to_string())
    };
    for version in ["", "/1", "/v1", "/latest"] {
        let key = export(&format!("encryption-key/k{version}"), json!({}))
            .await
            .unwrap();
        assert_eq!(key["keys"]["1"].as_str().unwrap().len(), 44);
    }
    for (path, body, text) in [
        (
            "encryption-key/closed",
            json!({}),
            "private key material is not exportable",
        ),
        ("secret-key/k", json!({}), "invalid export type: secret-key"),
        (
            "encryption-key/k",
            json!({"format": "jwk"}),
            "invalid format: jwk",
        ),
        ("encryption-key/k", json!({"format": "pem"}), "format"),
        (
            "signing-key/k",
            json!({}),
            "signing not supported for the key",
        ),
        (
            "public-key/k",
            json!({}),
            "unknown key type aes256-gcm96 for export type public-key",
        ),
        (
            "certificate-chain/k",
            json!({}),
            "certificate chain not supported",
        ),
        ("encryption-key/k/x", json!({}), "invalid key version"),
        (
            "encryption-key/k/9",
            json!({}),
            "version does not exist or cannot be found",
        ),
        (
            "encryption-key/k/0",
            json!({}),
            "below minimum decryption version",
        ),
    ] {
        let error = export(path, body).await.unwrap_err();
        assert!(error.contains(text), "{path}: {error}");
    }
    assert!(matches!(
        mount.ask(Op::Read, "export/encryption-key/none", "").await,
        Err(Error::NotFound)
    ));
    mount.write("keys/ec", json!({"type": "ecdsa-p256"})).await;
    let public = export("public-key/ec", json!({})).await.unwrap();
    assert!(
        public["keys"]["1"]
            .as_str()
            .unwrap()
            .starts_with("-----BEGIN PUBLIC KEY-----\n")
    );
    assert!(export("certificate-chain/ec", json!({})).await.is_err());
}

#[tokio::test]
async fn the_size_of_the_cache() {
    let mount = Mount::new().await;
    let read = async |mount: &Mount| mount.ask(Op::Read, "cache-config", "").await.unwrap().data;
    assert_eq!(read(&mount).await, json!({"size": 0}));
    assert_eq!(
        mount.write("cache-config", json!({"size": 10})).await.data,
        json!({"size": 10})
    );
    for size in [5, -1] {
        let error = mount.refused("cache-config", json!({"size": size})).await;
        assert_eq!(error, "size must be 0 or a value greater or equal to 10");
    }
    let fresh = mount.restarted();
    assert_eq!(read(&fresh).await, json!({"size": 10}));
    for name in 0..40 {
        mount.encrypt(&format!("k{name}"), json!({})).await;
    }
    let before = mount.store.operations();
    for name in 0..40 {
        mount.encrypt(&format!("k{name}"), json!({})).await;
    }
    assert!(
        mount.store.operations() > before,
        "not all of them are held"
    );
}
