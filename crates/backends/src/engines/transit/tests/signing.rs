//! sign, verify, hmac, cmac.

use super::*;

async fn sign(mount: &Mount, key: &str, body: Value) -> Value {
    mount.write(&format!("sign/{key}"), body).await.data
}

#[tokio::test]
async fn every_type_that_signs() {
    let mount = Mount::new().await;
    for kind in [
        "ed25519",
        "ecdsa-p256",
        "ecdsa-p384",
        "ecdsa-p521",
        "rsa-2048",
    ] {
        mount
            .write(&format!("keys/{kind}"), json!({"type": kind}))
            .await;
        for marshaling in ["asn1", "jws"] {
            let body = json!({"input": HELLO, "marshaling_algorithm": marshaling});
            let signed = sign(&mount, kind, body.clone()).await;
            let text = signed["signature"].as_str().unwrap();
            assert!(text.starts_with("vault:v1:"));
            if marshaling == "jws" {
                assert!(!text[9..].contains(['+', '/', '=']));
            }
            let mut verify = body;
            verify["signature"] = text.into();
            let answer = mount.write(&format!("verify/{kind}"), verify.clone()).await;
            assert_eq!(answer.data, json!({"valid": true}), "{kind} {marshaling}");
            verify["input"] = "b3RoZXI=".into();
            let answer = mount.write(&format!("verify/{kind}"), verify).await;
            assert_eq!(answer.data, json!({"valid": false}), "{kind} {marshaling}");
        }
        let error = mount.refused(&format!("sign/{kind}"), json!({})).await;
        assert_eq!(error, "missing input");
    }
    for kind in ["aes256-gcm96", "hmac", "aes128-cmac"] {
        let size = if kind == "hmac" { 32 } else { 0 };
        mount
            .write(
                &format!("keys/{kind}"),
                json!({"type": kind, "key_size": size}),
            )
            .await;
        let error = mount
            .refused(&format!("sign/{kind}"), json!({"input": HELLO}))
            .await;
        assert_eq!(error, format!("key type {kind} does not support signing"));
    }
}

#[tokio::test]
async fn contexts_of_ed25519() {
    let mount = Mount::new().await;
    mount
        .write("keys/d", json!({"type": "ed25519", "derived": true}))
        .await;
    let signed = sign(&mount, "d", json!({"input": HELLO, "context": "Y3R4"})).await;
    let shown = mount
        .ask(Op::Read, "keys/d", r#"{"context":"Y3R4"}"#)
        .await
        .unwrap()
        .data;
    assert_eq!(signed["public_key"], shown["keys"]["1"]["public_key"]);
    assert_eq!(mount.show("d").await["keys"]["1"]["public_key"], "");
    let verify = |context: &str| json!({"input": HELLO, "context": context, "signature": signed["signature"]});
    assert_eq!(
        mount.write("verify/d", verify("Y3R4")).await.data["valid"],
        true
    );
    assert_eq!(
        mount.write("verify/d", verify("b3RoZXI=")).await.data["valid"],
        false
    );
    for body in [
        json!({"input": HELLO}),
        json!({"input": HELLO, "context": "!!"}),
    ] {
        let error = mount.refused("sign/d", body).await;
        assert!(error.contains("context"), "{error}");
    }
}

#[tokio::test]
async fn batches() {
    let mount = Mount::new().await;
    mount.write("keys/k", json!({"type": "ecdsa-p256"})).await;
    let batch = json!([{"input": HELLO, "reference": "a"}, {"input": "!!"}, {"reference": "c"}]);
    let answer = mount.write("sign/k", json!({"batch_input": batch})).await;
    let results = &answer.data["batch_results"];
    assert_eq!(answer.status, Some(200));
    assert_eq!(
        (&results[0]["reference"], &results[0]["key_version"]),
        (&json!("a"), &json!(1))
    );
    assert_eq!(
        (&results[2]["error"], &results[2]["key_version"]),
        (&json!("missing input"), &json!(0))
    );
    let asked = json!({"batch_input": batch, "partial_failure_response_code": 207});
    assert_eq!(mount.write("sign/k", asked).await.status, Some(207));
    let signature = &results[0]["signature"];
    let batch = json!([
        {"input": HELLO, "signature": signature},
        {"input": HELLO, "signature": "junk"},
        {"input": "b3RoZXI=", "signature": signature, "reference": "z"},
    ]);
    let answer = mount
        .write("verify/k", json!({"batch_input": batch}))
        .await
        .data;
    let expected = json!([
        {"valid": true, "reference": ""},
        {"valid": false, "error": "invalid signature: no prefix", "reference": ""},
        {"valid": false, "reference": "z"},
    ]);
    assert_eq!(answer["batch_results"], expected);
    let mixed = json!([{"input": HELLO, "signature": signature}, {"input": HELLO, "hmac": "x"}]);
    let error = mount
        .refused("verify/k", json!({"batch_input": mixed}))
        .await;
    assert!(error.contains("must all provide"), "{error}");
    assert!(
        mount
            .refused("sign/k", json!({"batch_input": []}))
            .await
            .contains("missing batch")
    );
}

#[tokio::test]
async fn tags() {
    let mount = Mount::new().await;
    mount.key("k", 3).await;
    mount
        .write("keys/k/config", json!({"min_decryption_version": 2}))
        .await;
    for algorithm in ["sha1", "sha2-256", "sha3-224", "sha3-512"] {
        let made = mount
            .write(&format!("hmac/k/{algorithm}"), json!({"input": HELLO}))
            .await
            .data;
        let body = json!({"input": HELLO, "hmac": made["hmac"], "hash_algorithm": algorithm});
        assert_eq!(
            mount.write("verify/k", body.clone()).await.data["valid"],
            true
        );
        let mut other = body;
        other["input"] = "b3RoZXI=".into();
        assert_eq!(mount.write("verify/k", other).await.data["valid"], false);
    }
    let table = [
        (json!({}), "missing input for HMAC"),
        (
            json!({"input": HELLO, "algorithm": "md5"}),
            "unsupported algorithm \"md5\"",
        ),
        (
            json!({"input": HELLO, "algorithm": "none"}),
            "unsupported algorithm \"none\"",
        ),
        (json!({"input": HELLO, "key_version": 1}), "too old"),
        (
            json!({"input": HELLO, "key_version": 9}),
            "latest key version is 3",
        ),
    ];
    for (body, text) in table {
        let error = mount.refused("hmac/k", body).await;
        assert!(error.contains(text), "{error}");
    }
    for (hmac, text) in [
        ("AAAA", "invalid HMAC to verify: no prefix"),
        (
            "vault:v1:AAAA",
            "cannot verify HMAC: version is too old (disallowed by policy)",
        ),
        ("vault:v99:AAAA", "invalid HMAC: version is too new"),
        (
            "vault:v2:!!",
            "unable to decode verification HMAC as base64: illegal base64 data at input byte 0",
        ),
    ] {
        assert_eq!(
            mount
                .refused("verify/k", json!({"input": HELLO, "hmac": hmac}))
                .await,
            text
        );
    }
    assert!(
        mount
            .refused("verify/k", json!({"input": HELLO}))
            .await
            .starts_with("neither")
    );
    for kind in ["aes128-cmac", "aes192-cmac", "aes256-cmac"] {
        mount
            .write(&format!("keys/{kind}"), json!({"type": kind}))
            .await;
        for length in [0, 8] {
            let body = json!({"input": HELLO, "mac_length": length});
            let made = mount.write(&format!("cmac/{kind}"), body).await.data;
            let body = json!({"input": HELLO, "cmac": made["cmac"], "mac_length": length});
            assert_eq!(
                mount.write(&format!("verify/{kind}"), body).await.data["valid"],
                true
            );
        }
        let error = mount
            .refused(
                &format!("cmac/{kind}"),
                json!({"input": HELLO, "mac_length": 17}),
            )
            .await;
        assert!(error.contains("mac_length"), "{error}");
    }
    assert!(
        mount
            .refused("cmac/k", json!({"input": HELLO}))
            .await
            .contains("does not support CMAC")
    );
}

#[tokio::test]
async fn schemes_that_can_not_be() {
    let mount = Mount::new().await;
    mount.write("keys/rsa", json!({"type": "rsa-2048"})).await;
    mount.write("keys/ec", json!({"type": "ecdsa-p521"})).await;
    let long = keyfold_api::base64::encode(&[7; 65]);
    let table = [
        (
            "ec",
            json!({"hash_algorithm": "md5"}),
            "invalid hash algorithm \"md5\"",
        ),
        (
            "rsa",
            json!({"hash_algorithm": "none", "prehashed": true}),
            "hash_algorithm=none requires",
        ),
        ("rsa", json!({"prehashed": true}), "input"),
        (
            "rsa",
            json!({"prehashed": true, "signature_algorithm": "pkcs1v15"}),
            "input",
        ),
        ("ec", json!({"prehashed": true, "input": long}), "input"),
        (
            "rsa",
            json!({"signature_algorithm": "x931"}),
            "unsupported rsa signature algorithm x931",
        ),
        (
            "ec",
            json!({"marshaling_algorithm": "raw"}),
            "invalid marshaling type \"raw\"",
        ),
        ("rsa", json!({"salt_length": "300"}), "salt_length"),
        (
            "rsa",
            json!({"salt_length": -2}),
            "salt length is invalid: -2",
        ),
        (
            "ec",
            json!({"key_version": 9}),
            "requested version for signing is higher",
        ),
        (
            "ec",
            json!({"key_version": -1}),
            "requested version for signing is negative",
        ),
    ];
    for (key, mut body, text) in table {
        body.as_object_mut()
            .unwrap()
            .entry("input")
            .or_insert(HELLO.into());
        let error = mount.refused(&format!("sign/{key}"), body).await;
        assert!(error.contains(text), "{error}");
    }
    let warned = mount
        .write("sign/ec", json!({"input": HELLO, "algorithm": "sha2-512"}))
        .await;
    assert!(
        warned.warnings[0].contains("[algorithm]"),
        "{:?}",
        warned.warnings
    );
}

#[tokio::test]
async fn members_that_mean_nothing_here() {
    let mount = Mount::new().await;
    mount.key("k", 1).await;
    mount.write("keys/c", json!({"type": "aes128-cmac"})).await;
    for (path, idle, used) in [
        ("hmac/k", "mac_length", "algorithm"),
        ("cmac/c", "algorithm", "mac_length"),
    ] {
        let value = |name: &str| match name {
            "algorithm" => json!("sha2-512"),
            _ => json!(8),
        };
        let plain = mount
            .write(path, json!({"input": HELLO, used: value(used)}))
            .await;
        assert!(plain.warnings.is_empty(), "{path}: {:?}", plain.warnings);
        let warned = mount
            .write(path, json!({"input": HELLO, idle: value(idle)}))
            .await;
        assert!(
            warned.warnings[0].contains(idle),
            "{path}: {:?}",
            warned.warnings
        );
    }
    // A list is no input, though its first element might pass for one.
    let lists = json!({"batch_input": [[HELLO]]});
    let error = mount.refused("hmac/k", lists).await;
    assert!(error.contains("batch_input"), "{error}");
}
