//! What encrypts.

use std::path::Path;

use serde_json::json;

use crate::world::{HELLO, World};

pub async fn aes(world: &World, _: &Path) {
    let shown = world.key("aes", "CKM_AES_GCM", json!({})).await;
    assert_eq!(shown["type"], "managed_key");
    assert_eq!(shown["managed_keys"]["1"]["name"], "aes");
    assert_eq!(shown["supports_encryption"], true);
    assert_eq!(shown["exportable"], false);
    let bound = json!({ "associated_data": "cm93IDc=" });
    let sealed = world.encrypt("aes", bound.clone()).await;
    let bytes = sealed.strip_prefix("vault:v1:").unwrap();
    // 12 of nonce, 5, 16 of tag.
    assert_eq!(bytes.len(), 33_usize.div_ceil(3) * 4);
    let mut body = json!({ "ciphertext": sealed });
    let error = world.refused("transit/decrypt/aes", body.clone()).await;
    assert!(error.contains("message authentication failed"), "{error}");
    body["associated_data"] = bound["associated_data"].clone();
    let opened = world.write("transit/decrypt/aes", body).await;
    assert_eq!(opened["plaintext"], HELLO);
    let empty = world.encrypt("aes", json!({ "plaintext": "" })).await;
    assert_eq!(world.decrypt("aes", &empty).await, "");

    // Many, some of them mistakes: each in its place.
    let items: Vec<_> = (0..100)
        .map(|n| match n % 10 {
            3 => json!({ "plaintext": "!", "reference": n.to_string() }),
            _ => json!({ "plaintext": HELLO, "reference": n.to_string() }),
        })
        .collect();
    let asked = json!({ "batch_input": items, "partial_failure_response_code": 207 });
    let answer = world.write("transit/encrypt/aes", asked).await;
    let results = answer["batch_results"].as_array().unwrap();
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result["reference"], n.to_string());
        assert_eq!(result["ciphertext"].is_string(), n % 10 != 3, "{result}");
    }
    let items: Vec<_> = results
        .iter()
        .filter(|result| result["ciphertext"].is_string())
        .map(|result| json!({ "ciphertext": result["ciphertext"] }))
        .collect();
    let opened = world
        .write("transit/decrypt/aes", json!({ "batch_input": items }))
        .await;
    let opened = opened["batch_results"].as_array().unwrap();
    assert_eq!(opened.len(), 90);
    assert!(opened.iter().all(|result| result["plaintext"] == HELLO));

    let dek = world
        .write("transit/datakey/plaintext/aes", json!({ "bits": 512 }))
        .await;
    let wrapped = dek["ciphertext"].as_str().unwrap();
    assert_eq!(world.decrypt("aes", wrapped).await, dek["plaintext"]);
    let many = world
        .write("transit/datakeys/wrapped/aes", json!({ "count": 40 }))
        .await;
    let many = many["keys"].as_array().unwrap();
    assert!(many.len() == 40 && many.iter().all(|key| key["plaintext"].is_null()));
    let last = many[39]["ciphertext"].as_str().unwrap();
    assert_eq!(world.decrypt("aes", last).await.len(), 44);
    world
        .write("sys/managed-keys/pkcs11/aes/test/encrypt", json!({}))
        .await;
    let error = world
        .refused("sys/managed-keys/pkcs11/aes/test/sign", json!({}))
        .await;
    assert!(error.contains("not for sign"), "{error}");
}

pub async fn rsa(world: &World, _: &Path) {
    let bits = json!({ "key_bits": 2048 });
    world.key("oaep", "CKM_RSA_PKCS_OAEP", bits).await;
    let sealed = world.encrypt("oaep", json!({})).await;
    assert_eq!(world.decrypt("oaep", &sealed).await, HELLO);
    let long = json!({ "plaintext": "A".repeat(400) });
    let error = world.refused("transit/encrypt/oaep", long).await;
    assert!(error.contains("too long for the key"), "{error}");
    let mut cut = sealed.clone();
    cut.truncate(sealed.len() - 8);
    let error = world
        .refused("transit/decrypt/oaep", json!({ "ciphertext": cut }))
        .await;
    assert!(error.contains("message authentication failed"), "{error}");
    let bound = json!({ "plaintext": HELLO, "associated_data": HELLO });
    let error = world.refused("transit/encrypt/oaep", bound).await;
    assert!(error.contains("non-AEAD"), "{error}");
}

/// From a key of the store to one of the token, and back.
pub async fn between(world: &World, _: &Path) {
    world.write("transit/keys/soft", json!({})).await;
    let start = world.encrypt("soft", json!({})).await;
    let rewrap = |ciphertext: &str, to: &str| json!({ "ciphertext": ciphertext, "to_key": to });
    for device in ["aes", "oaep"] {
        let moved = world
            .write("transit/rewrap/soft", rewrap(&start, device))
            .await;
        assert_eq!(moved["rewrapped"], true);
        let inside = moved["ciphertext"].as_str().unwrap();
        assert_eq!(world.decrypt(device, inside).await, HELLO);
        let path = format!("transit/rewrap/{device}");
        let back = world.write(&path, rewrap(inside, "soft")).await;
        let back = back["ciphertext"].as_str().unwrap();
        assert_eq!(world.decrypt("soft", back).await, HELLO);
        let same = world.write(&path, json!({ "ciphertext": inside })).await;
        assert_eq!(same["rewrapped"], false);
        assert_eq!(same["ciphertext"], inside);
    }
    let items = json!({ "batch_input": [
        { "ciphertext": start, "to_key": "aes" },
        { "ciphertext": start },
        { "ciphertext": "vault:v1:AAAA", "to_key": "aes" },
        { "ciphertext": start, "to_key": "oaep" },
    ]});
    let answer = world.write("transit/rewrap/soft", items).await;
    let results = answer["batch_results"].as_array().unwrap();
    let done = results.iter().map(|result| result["rewrapped"].as_bool());
    assert!(
        done.eq([Some(true), Some(false), None, Some(true)]),
        "{answer}"
    );
}

/// The next version is another managed key.
pub async fn versions(world: &World, _: &Path) {
    let first = world.encrypt("aes", json!({})).await;
    let error = world.refused("transit/keys/aes/rotate", json!({})).await;
    assert!(error.contains("managed_key_name"), "{error}");
    let again = json!({ "managed_key_name": "aes" });
    let error = world.refused("transit/keys/aes/rotate", again).await;
    assert!(error.contains("version 1 already"), "{error}");
    let other = json!({ "managed_key_name": "oaep" });
    let error = world.refused("transit/keys/aes/rotate", other).await;
    assert!(error.contains("rsa-2048"), "{error}");
    let bits = json!({ "key_bits": 2048 });
    world.managed("signer", "CKM_RSA_PKCS_PSS", bits).await;
    let signer = json!({ "managed_key_name": "signer" });
    let error = world.refused("transit/keys/oaep/rotate", signer).await;
    assert!(
        error.contains("signs, and those of this key encrypt"),
        "{error}"
    );
    world.managed("aes-2", "0x1087", json!({})).await;
    let id = world.read("sys/managed-keys/pkcs11/aes-2").await["UUID"].clone();
    let shown = world
        .write("transit/keys/aes/rotate", json!({ "managed_key_id": id }))
        .await;
    assert_eq!(shown["latest_version"], 2);
    assert_eq!(shown["managed_keys"]["2"]["name"], "aes-2");
    let second = world.encrypt("aes", json!({})).await;
    assert!(second.starts_with("vault:v2:"));
    for sealed in [&first, &second] {
        assert_eq!(world.decrypt("aes", sealed).await, HELLO);
    }
    let moved = world
        .write("transit/rewrap/aes", json!({ "ciphertext": first }))
        .await;
    assert_eq!(moved["key_version"], 2);
    let least = json!({ "min_decryption_version": 2, "min_encryption_version": 2 });
    world.write("transit/keys/aes/config", least).await;
    let old = json!({ "ciphertext": first });
    let error = world.refused("transit/decrypt/aes", old).await;
    assert!(error.contains("too old"), "{error}");
    let trimmed = world
        .write(
            "transit/keys/aes/trim",
            json!({ "min_available_version": 2 }),
        )
        .await;
    assert!(trimmed["managed_keys"]["1"].is_null());
    assert_eq!(world.decrypt("aes", &second).await, HELLO);
}

/// A managed key that is pointed to another key of the token: nothing is encrypted under that, by an AES key as by
/// the public half of an RSA key.
pub async fn another_key_under_the_name(world: &World, _: &Path) {
    for (name, mechanism, more) in [
        ("led", "CKM_AES_GCM", json!({})),
        ("led-rsa", "CKM_RSA_PKCS_OAEP", json!({ "key_bits": 2048 })),
    ] {
        let other = format!("{name}-away");
        world.key(name, mechanism, more.clone()).await;
        world.key(&other, mechanism, more).await;
        let sealed = world.encrypt(name, json!({})).await;
        let record = format!("sys/managed-keys/pkcs11/{name}");
        world.write(&record, json!({ "key_label": other })).await;
        let plain = json!({ "plaintext": HELLO });
        let wanted = format!("managed key {name}: the key that it leads to is not the one");
        for (call, body) in [
            ("encrypt", plain.clone()),
            ("decrypt", json!({ "ciphertext": sealed })),
            ("datakey/wrapped", json!({})),
        ] {
            let path = format!("transit/{call}/{name}");
            let error = world.refused(&path, body).await;
            assert!(error.starts_with(&wanted), "{path}: {error}");
        }
        world.write(&record, json!({ "key_label": name })).await;
        assert_eq!(world.decrypt(name, &sealed).await, HELLO);
    }
}
