//! ML-DSA, hybrids, ML-KEM and X-Wing.

use keyfold_keys::kem::{Kem, hpke};
use keyfold_keys::transit::{KeyType, ServiceKey};

use super::*;

const LABEL: &[u8] = keyfold_keys::kdf::label::TRANSIT_KEM;

fn hybrid(set: &str, curve: &str) -> Value {
    json!({
        "type": "hybrid",
        "parameter_set": set,
        "hybrid_key_type_pqc": "ml-dsa",
        "hybrid_key_type_ec": curve,
    })
}

fn decoded(text: &Value) -> Vec<u8> {
    keyfold_api::base64::decode(text.as_str().unwrap()).unwrap()
}

/// The bytes of a ciphertext or a signature.
fn payload(text: &Value) -> Vec<u8> {
    let (_, payload) = text.as_str().unwrap().rsplit_once(':').unwrap();
    keyfold_api::base64::decode(payload).unwrap()
}

#[tokio::test]
async fn signatures_of_every_set_and_pair() {
    let mount = Mount::new().await;
    let mut keys = Vec::new();
    for (set, len) in [("44", 2420), ("65", 3309), ("87", 4627)] {
        let alone = json!({"type": "ml-dsa", "parameter_set": set});
        keys.push((format!("m{set}"), alone, len, len));
        for (curve, least, most) in [
            ("ed25519", 64, 64),
            ("ecdsa-p256", 60, 72),
            ("ecdsa-p384", 90, 104),
            ("ecdsa-p521", 120, 139),
        ] {
            let name = format!("h{set}-{curve}");
            keys.push((name, hybrid(set, curve), len + least, len + most));
        }
    }
    for (name, body, least, most) in &keys {
        let made = mount
            .write(&format!("keys/{name}"), body.clone())
            .await
            .data;
        for (member, value) in body.as_object().unwrap() {
            assert_eq!(&made[member], value, "{name}");
        }
        assert_eq!(made["supports_signing"], true);
        for other in ["encryption", "decryption", "derivation"] {
            assert_eq!(made[format!("supports_{other}")], false);
        }
        let ask = json!({"input": HELLO});
        let signed = mount.write(&format!("sign/{name}"), ask).await.data;
        let bytes = payload(&signed["signature"]).len();
        assert!((*least..=*most).contains(&bytes), "{name}: {bytes}");
        for (input, valid) in [(HELLO, true), ("b3RoZXI=", false)] {
            let ask = json!({"input": input, "signature": signed["signature"]});
            let answer = mount.write(&format!("verify/{name}"), ask).await.data;
            assert_eq!(answer, json!({"valid": valid}), "{name}");
        }
        let error = mount
            .refused(&format!("encrypt/{name}"), json!({"plaintext": HELLO}))
            .await;
        assert!(error.contains("not supported for key type"), "{error}");
    }
    // A signature of one key is none of another, whatever they share.
    let signed = mount
        .write("sign/h44-ed25519", json!({"input": HELLO}))
        .await
        .data;
    for other in ["h44-ecdsa-p256", "h65-ed25519", "m44"] {
        let ask = json!({"input": HELLO, "signature": signed["signature"]});
        let answer = mount
            .ask(Op::Write, &format!("verify/{other}"), &ask.to_string())
            .await;
        match answer {
            Ok(answer) => assert_eq!(answer.data["valid"], false, "{other}"),
            Err(Error::BadRequest(text)) => assert!(text.contains("signature"), "{text}"),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn how_a_signature_is_asked_for() {
    let mount = Mount::new().await;
    let set = json!({"type": "ml-dsa", "parameter_set": 65});
    mount.write("keys/m", set).await;
    mount.write("keys/h", hybrid("44", "ecdsa-p384")).await;
    // The hash is for the half that has one.
    for (key, hash, taken) in [
        ("m", "sha2-512", true),
        ("m", "none", true),
        ("m", "md5", false),
        ("h", "sha2-512", true),
        ("h", "none", false),
    ] {
        let ask = json!({"input": HELLO, "hash_algorithm": hash}).to_string();
        let answer = mount.ask(Op::Write, &format!("sign/{key}"), &ask).await;
        assert_eq!(answer.is_ok(), taken, "{key} {hash}");
    }
    for key in ["m", "h"] {
        for verb in ["sign", "verify"] {
            let ask = json!({"input": HELLO, "prehashed": true, "signature": "vault:v1:AAAA"});
            let error = mount.refused(&format!("{verb}/{key}"), ask).await;
            assert!(error.contains("prehashed"), "{error}");
        }
        let ask = json!({"input": HELLO, "marshaling_algorithm": "jws", "key_version": 1});
        let mut signed = mount.write(&format!("sign/{key}"), ask.clone()).await.data;
        let text = signed["signature"].as_str().unwrap();
        assert!(!text[9..].contains(['+', '/', '=']));
        signed["input"] = HELLO.into();
        signed["marshaling_algorithm"] = "jws".into();
        let answer = mount.write(&format!("verify/{key}"), signed).await;
        assert_eq!(answer.data["valid"], true);
    }
    let ask = json!({"input": HELLO, "hash_algorithm": "sha2-512"});
    let signed = mount.write("sign/h", ask).await.data;
    for (hash, valid) in [("sha2-512", true), ("sha2-256", false)] {
        let ask = json!({"input": HELLO, "hash_algorithm": hash, "signature": signed["signature"]});
        assert_eq!(mount.write("verify/h", ask).await.data["valid"], valid);
    }
    for cut in ["vault:v1:AAAA", "vault:v1:"] {
        let ask = json!({"input": HELLO, "signature": cut});
        let error = mount.refused("verify/h", ask).await;
        assert_eq!(error, "supplied signature is invalid");
    }
    let batch = json!([{"input": HELLO, "reference": "a"}, {"input": "!!"}]);
    let answer = mount
        .write("sign/m", json!({"batch_input": batch}))
        .await
        .data;
    let results = &answer["batch_results"];
    assert!(results[1]["error"].is_string(), "{results}");
    let batch = json!([
        {"input": HELLO, "signature": results[0]["signature"]},
        {"input": "b3RoZXI=", "signature": results[0]["signature"]},
    ]);
    let answer = mount
        .write("verify/m", json!({"batch_input": batch}))
        .await
        .data;
    let valid = |at: usize| answer["batch_results"][at]["valid"].clone();
    assert_eq!((valid(0), valid(1)), (true.into(), false.into()));
    let tagged = mount.write("hmac/m", json!({"input": HELLO})).await.data;
    let ask = json!({"input": HELLO, "hmac": tagged["hmac"]});
    assert_eq!(mount.write("verify/m", ask).await.data["valid"], true);
}

#[tokio::test]
async fn what_is_sealed_to_a_public_key() {
    let mount = Mount::new().await;
    for (kind, kem) in [("ml-kem-768", Kem::MlKem768), ("x-wing", Kem::XWing)] {
        let body = json!({"type": kind, "exportable": true});
        let made = mount.write(&format!("keys/{kind}"), body).await.data;
        assert_eq!(made["supports_encryption"], true);
        assert_eq!(made["supports_signing"], false);
        let text = made["keys"]["1"]["public_key"].as_str().unwrap();
        assert!(text.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{text}");
        let old = mount
            .encrypt(kind, json!({"associated_data": "YWFk"}))
            .await;
        mount.write(&format!("keys/{kind}/rotate"), json!({})).await;
        let rewrapped = mount
            .write(
                &format!("rewrap/{kind}"),
                json!({"ciphertext": old, "associated_data": "YWFk"}),
            )
            .await
            .data;
        assert_eq!(rewrapped["key_version"], 2);
        for ciphertext in [&json!(old), &rewrapped["ciphertext"]] {
            let path = format!("decrypt/{kind}");
            let ask = json!({"ciphertext": ciphertext, "associated_data": "YWFk"});
            assert_eq!(mount.write(&path, ask).await.data["plaintext"], HELLO);
            let error = mount
                .refused(&path, json!({"ciphertext": ciphertext}))
                .await;
            assert_eq!(error, "cipher: message authentication failed");
        }
        let path = format!("decrypt/{kind}");
        let error = mount
            .refused(&path, json!({"ciphertext": "vault:v2:AAAA"}))
            .await;
        assert_eq!(error, "invalid ciphertext length");
        let error = mount
            .refused(&format!("sign/{kind}"), json!({"input": HELLO}))
            .await;
        assert!(error.contains("does not support signing"), "{error}");
        // Whoever has the exported key needs no server.
        let dek = mount
            .write(
                &format!("datakey/plaintext/{kind}"),
                json!({"associated_data": "YWFk"}),
            )
            .await
            .data;
        let exported = mount
            .ask(Op::Read, &format!("export/encryption-key/{kind}/2"), "")
            .await
            .unwrap()
            .data;
        let seed = decoded(&exported["keys"]["2"]);
        let sealed = payload(&dek["ciphertext"]);
        let opened = hpke::open(kem, &seed, LABEL, b"aad", &sealed).unwrap();
        assert_eq!(opened.expose(), &decoded(&dek["plaintext"]));
        let many = mount
            .write(&format!("datakeys/wrapped/{kind}"), json!({"count": 3}))
            .await
            .data;
        for dek in many["keys"].as_array().unwrap() {
            let sealed = payload(&dek["ciphertext"]);
            assert!(hpke::open(kem, &seed, LABEL, b"", &sealed).is_ok());
        }
    }
}

/// The private key never was here.
#[tokio::test]
async fn data_keys_for_a_holder_elsewhere() {
    let mount = Mount::new().await;
    let holder = ServiceKey::generate(KeyType::XWing, 0).unwrap();
    let body = json!({"type": "x-wing", "public_key": holder.public_shown()});
    mount.write("keys/safe/import", body).await;
    let dek = mount.write("datakey/plaintext/safe", json!({})).await.data;
    let sealed = payload(&dek["ciphertext"]);
    let opened = hpke::open(Kem::XWing, holder.expose(), LABEL, b"", &sealed).unwrap();
    assert_eq!(opened.expose(), &decoded(&dek["plaintext"]));
    for path in ["decrypt/safe", "rewrap/safe"] {
        let error = mount
            .refused(path, json!({"ciphertext": dek["ciphertext"]}))
            .await;
        assert!(error.contains("no private half"), "{error}");
    }
    // Numbers that are not reduced, which nobody makes.
    let mut damaged = holder.spki().unwrap();
    damaged[100..200].fill(0xff);
    let other = ServiceKey::generate(KeyType::MlKem768, 0).unwrap();
    for pem in [
        other.public_shown(),
        keyfold_keys::transit::to_pem("PUBLIC KEY", &damaged),
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----".to_owned(),
    ] {
        let body = json!({"type": "x-wing", "public_key": pem});
        let error = mount.refused("keys/bad/import", body).await;
        assert!(error.contains("public_key"), "{error}");
    }
}

#[tokio::test]
async fn backups_lead_back() {
    let mount = Mount::new().await;
    for (name, mut body) in [
        ("m", json!({"type": "ml-dsa", "parameter_set": "87"})),
        ("h", hybrid("65", "ecdsa-p521")),
        ("k", json!({"type": "ml-kem-768"})),
        ("x", json!({"type": "x-wing"})),
    ] {
        body["exportable"] = true.into();
        body["allow_plaintext_backup"] = true.into();
        mount.write(&format!("keys/{name}"), body.clone()).await;
        mount.write(&format!("keys/{name}/rotate"), json!({})).await;
        let backup = mount
            .ask(Op::Read, &format!("backup/{name}"), "")
            .await
            .unwrap()
            .data;
        let copy = format!("{name}-copy");
        mount.write(&format!("restore/{copy}"), backup).await;
        let (there, here) = (mount.show(name).await, mount.show(&copy).await);
        assert_eq!(there["keys"], here["keys"]);
        for (member, value) in body.as_object().unwrap() {
            assert_eq!(&here[member], value, "{name}");
        }
        let part = if there["supports_signing"] == true {
            "signing-key"
        } else {
            "encryption-key"
        };
        for format in ["", "raw", "der", "pem"] {
            let export = async |name: &str| {
                let path = format!("export/{part}/{name}");
                let body = json!({"format": format}).to_string();
                mount.ask(Op::Read, &path, &body).await.unwrap().data["keys"].clone()
            };
            assert_eq!(export(name).await, export(&copy).await, "{name} {format}");
        }
        let trim = json!({"min_decryption_version": 2, "min_encryption_version": 2});
        mount.write(&format!("keys/{copy}/config"), trim).await;
        let trim = json!({"min_available_version": 2});
        mount.write(&format!("keys/{copy}/trim"), trim).await;
        assert_eq!(
            mount.show(&copy).await["keys"].as_object().unwrap().len(),
            1
        );
    }
    for (member, value) in [
        ("parameter_set", json!("66")),
        ("parameter_set", Value::Null),
        ("hybrid_config", Value::Null),
        ("hybrid_config", json!({"pqc_key_type": "ml-dsa"})),
        ("type", json!(20_002)),
    ] {
        let mut backup = mount.ask(Op::Read, "backup/h", "").await.unwrap().data;
        let mut inner: Value = serde_json::from_slice(&decoded(&backup["backup"])).unwrap();
        inner["policy"][member] = value;
        let text = keyfold_api::base64::encode(inner.to_string().as_bytes());
        backup["backup"] = text.into();
        let error = mount.refused("restore/other", backup).await;
        assert!(error.contains("backup"), "{error}");
    }
}

#[tokio::test]
async fn requests_for_certificates() {
    let mount = Mount::new().await;
    let set = json!({"type": "ml-dsa", "parameter_set": "44"});
    mount.write("keys/m", set).await;
    let answer = mount.write("keys/m/csr", json!({})).await.data;
    let text = answer["csr"].as_str().unwrap();
    assert!(text.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    mount.write("keys/h", hybrid("44", "ed25519")).await;
    mount.write("keys/x", json!({"type": "x-wing"})).await;
    for key in ["h", "x"] {
        let error = mount.refused(&format!("keys/{key}/csr"), json!({})).await;
        assert!(!error.is_empty());
    }
}

#[tokio::test]
async fn what_no_key_can_be() {
    let mount = Mount::new().await;
    let derived = |mut body: Value| {
        body["derived"] = true.into();
        body
    };
    for (body, text) in [
        (json!({"type": "ml-dsa"}), "parameter_set"),
        (
            json!({"type": "x-wing", "parameter_set": "44"}),
            "parameter_set",
        ),
        (derived(json!({"type": "x-wing"})), "derivation"),
        (derived(hybrid("44", "ed25519")), "derivation"),
        (
            derived(json!({"type": "ml-dsa", "parameter_set": "44"})),
            "derivation",
        ),
        (json!({"type": "ml-kem-768", "key_size": 32}), "key_size"),
    ] {
        let error = mount.refused("keys/k", body).await;
        assert!(error.contains(text), "{error}");
    }
    // Encrypt makes keys of ciphers only.
    for kind in ["x-wing", "ml-dsa", "hybrid"] {
        let ask = json!({"plaintext": HELLO, "type": kind});
        let error = mount.refused("encrypt/new", ask).await;
        assert!(error.contains("unknown key type"), "{error}");
    }
    // A key that is there keeps its set, and says so.
    let set = |set: &str| json!({"type": "ml-dsa", "parameter_set": set});
    mount.write("keys/m", set("44")).await;
    let answer = mount.write("keys/m", set("65")).await;
    assert_eq!(answer.data["parameter_set"], "44");
    assert!(answer.warnings[0].contains("was not changed"));
}
