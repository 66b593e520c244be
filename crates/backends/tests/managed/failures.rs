//! What is refused, and what is away.

use std::path::Path;

use keyfold_core::error::Error;
use keyfold_core::request::Op;
use serde_json::{Value, json};

use crate::softhsm::PIN;
use crate::world::{HELLO, World};

fn of(name: &str) -> Value {
    json!({ "type": "managed_key", "managed_key_name": name })
}

pub async fn refusals(world: &World, _: &Path) {
    let read = world.read("sys/managed-keys/pkcs11/aes").await;
    assert_eq!(read["pin"], "redacted");
    assert!(!read.to_string().contains(PIN));
    for (path, op) in [
        ("export/encryption-key/aes", Op::Read),
        ("export/signing-key/pss", Op::Read),
        ("export/hmac-key/aes", Op::Read),
        ("backup/aes", Op::Read),
        ("byok-export/oaep/aes", Op::Read),
    ] {
        let asked = world.ask(op, &format!("transit/{path}"), json!({})).await;
        assert!(matches!(asked, Err(Error::BadRequest(_))), "{path}");
    }
    world.read("transit/export/public-key/p256").await;
    for (path, body) in [
        ("keys/aes/config", json!({ "exportable": true })),
        ("keys/aes/config", json!({ "allow_plaintext_backup": true })),
        ("keys/aes/config", json!({ "auto_rotate_period": "24h" })),
        ("keys/soft/rotate", json!({ "managed_key_name": "aes" })),
        ("keys/new", json!({ "managed_key_name": "aes" })),
        ("keys/new", json!({ "type": "managed_key" })),
        ("keys/new", of("nothing")),
    ] {
        world.refused(&format!("transit/{path}"), body).await;
    }
    let mut exportable = of("aes");
    exportable["exportable"] = true.into();
    world.refused("transit/keys/new", exportable).await;
    // A key that is not there, and is not to be made.
    let fixed = json!({ "allow_generate_key": false });
    world.managed("absent", "CKM_AES_GCM", fixed).await;
    let error = world.refused("transit/keys/new", of("absent")).await;
    assert_eq!(error, "managed key absent: the token has no such key");
    // One that was there.
    world.key("retired", "CKM_AES_GCM", json!({})).await;
    let other = json!({ "key_label": "no such label" });
    world.write("sys/managed-keys/pkcs11/retired", other).await;
    let plain = json!({ "plaintext": HELLO });
    let error = world
        .refused("transit/encrypt/retired", plain.clone())
        .await;
    assert!(
        error.contains("managed key retired: the token has no such key"),
        "{error}"
    );
    // A library that is none, a usage that is left out.
    let library = json!({ "library": "missing" });
    world.managed("gone", "CKM_AES_GCM", library).await;
    let error = world.refused("transit/keys/new", of("gone")).await;
    assert!(error.contains("library can't be loaded"), "{error}");
    assert!(!error.contains("nonexistent"), "{error}");
    let usages = json!({ "usages": ["encrypt"] });
    world.key("oneway", "CKM_AES_GCM", usages).await;
    let sealed = world.encrypt("oneway", json!({})).await;
    let error = world
        .refused("transit/decrypt/oneway", json!({ "ciphertext": sealed }))
        .await;
    assert!(error.contains("not meant to decrypt"), "{error}");
}

/// A mount may use what its tuning lists, or what is for all.
pub async fn mounts(world: &World, _: &Path) {
    world
        .write("sys/mounts/second", json!({ "type": "transit" }))
        .await;
    let own = json!({ "any_mount": false });
    world.managed("own", "CKM_AES_GCM", own).await;
    let strange = world.refused("second/keys/k", of("own")).await;
    let nothing = world.refused("second/keys/k", of("nothing")).await;
    assert_eq!(strange.replace("own", "nothing"), nothing);
    let list = json!({ "allowed_managed_keys": "own" });
    world.write("sys/mounts/second/tune", list).await;
    world.write("second/keys/k", of("own")).await;
    let plain = json!({ "plaintext": HELLO });
    world.write("second/encrypt/k", plain.clone()).await;
    let gone = world.ask(Op::Delete, "sys/managed-keys/pkcs11/own", json!({}));
    assert!(matches!(gone.await, Err(Error::BadRequest(text)) if text.contains("second/")));
    let none = json!({ "allowed_managed_keys": [] });
    world.write("sys/mounts/second/tune", none).await;
    let error = world.refused("second/encrypt/k", plain.clone()).await;
    assert!(error.contains("may use it no more"), "{error}");
    // Removed, another key under the name, and the first one again.
    let id = world.read("sys/managed-keys/pkcs11/own").await["UUID"].clone();
    let path = "sys/managed-keys/pkcs11/own";
    world.ask(Op::Delete, path, json!({})).await.unwrap();
    world.managed("own", "CKM_AES_GCM", json!({})).await;
    world.refused("second/encrypt/k", plain.clone()).await;
    world.ask(Op::Delete, path, json!({})).await.unwrap();
    world
        .managed("own", "CKM_AES_GCM", json!({ "uuid": id }))
        .await;
    world.write("second/encrypt/k", plain).await;
}

/// A wrong PIN is told once by the token, and the right one works beside it all the while.
pub async fn pins(world: &World, _: &Path) {
    let wrong = json!({ "key_label": "aes", "pin": "999999" });
    world.managed("wrong", "CKM_AES_GCM", wrong).await;
    for _ in 0..2 {
        let error = world.refused("transit/keys/new", of("wrong")).await;
        assert!(
            error.contains("managed key wrong: the token refuses the PIN"),
            "{error}"
        );
        assert!(!error.contains("999999"), "{error}");
        world.encrypt("aes", json!({})).await;
    }
    let right = json!({ "pin": PIN, "key_label": "wrong" });
    world.write("sys/managed-keys/pkcs11/wrong", right).await;
    world.write("transit/keys/new", of("wrong")).await;
}

pub async fn a_token_that_is_gone(world: &World, folder: &Path) {
    let sealed = world.encrypt("aes", json!({})).await;
    let away = json!({ "token_label": "unplugged" });
    world.managed("unplugged", "CKM_AES_GCM", away).await;
    let asked = world.ask(Op::Write, "transit/keys/never", of("unplugged"));
    let text = match asked.await {
        Err(Error::Away(text)) => text,
        other => panic!("{:?}", other.err()),
    };
    assert!(text.contains("managed key unplugged: "), "{text}");
    assert_eq!(world.decrypt("aes", &sealed).await, HELLO);

    let (there, gone) = (folder.join("tokens"), folder.join("away"));
    std::fs::rename(&there, &gone).unwrap();
    let body = json!({ "ciphertext": sealed });
    let asked = world.ask(Op::Write, "transit/decrypt/aes", body).await;
    assert!(matches!(asked, Err(Error::Away(_))), "{:?}", asked.err());
    // The others do not mind.
    world.encrypt("soft", json!({})).await;
    std::fs::rename(&gone, &there).unwrap();
    assert_eq!(world.decrypt("aes", &sealed).await, HELLO);
}
