//! What signs. Signatures are verified by OpenSSL, too, where it is there.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::world::{HELLO, World};

pub async fn every_mechanism(world: &World, folder: &Path) {
    let rsa = json!({ "key_bits": 2048 });
    let curve = |name: &str| json!({ "curve": name });
    for (name, mechanism, more) in [
        ("pss", "CKM_RSA_PKCS_PSS", rsa.clone()),
        ("pkcs1", "CKM_RSA_PKCS", rsa),
        ("p256", "CKM_ECDSA", curve("P256")),
        ("p384", "CKM_ECDSA", curve("P384")),
        ("p521", "CKM_ECDSA", curve("P521")),
    ] {
        let shown = world.key(name, mechanism, more).await;
        let algorithm = if name == "pkcs1" { "pkcs1v15" } else { "pss" };
        for hash in ["sha2-256", "sha2-384"] {
            let body = json!({
                "input": HELLO,
                "hash_algorithm": hash,
                "signature_algorithm": algorithm,
                "salt_length": "hash",
            });
            let signature = signed(world, name, &body).await;
            let mut check = body.clone();
            check["signature"] = signature.as_str().into();
            let verify = format!("transit/verify/{name}");
            let verified = world.write(&verify, check.clone()).await;
            assert_eq!(verified["valid"], true, "{name} {hash}");
            check["input"] = "b3RoZXI=".into();
            let verified = world.write(&verify, check).await;
            assert_eq!(verified["valid"], false, "{name} {hash}");
            openssl(folder, &shown, name == "pss", hash, &signature);
        }
        let test = format!("sys/managed-keys/pkcs11/{name}/test/sign");
        world.write(&test, json!({})).await;
    }
    batches_and_forms(world).await;
    what_a_key_is_not_for(world).await;
}

async fn signed(world: &World, key: &str, body: &Value) -> String {
    let path = format!("transit/sign/{key}");
    let answer = world.write(&path, body.clone()).await;
    answer["signature"].as_str().unwrap().to_owned()
}

async fn batches_and_forms(world: &World) {
    let jws = json!({ "input": HELLO, "marshaling_algorithm": "jws" });
    let signature = signed(world, "p256", &jws).await;
    let raw = URL_SAFE_NO_PAD.decode(signature.rsplit(':').next().unwrap());
    assert_eq!(raw.unwrap().len(), 64);
    let items = json!({ "batch_input": [
        { "input": HELLO, "reference": "a" }, { "input": "!" }, { "input": HELLO },
    ]});
    let answer = world.write("transit/sign/p256", items).await;
    let results = answer["batch_results"].as_array().unwrap();
    let signed = results.iter().map(|result| result["signature"].is_string());
    assert!(signed.eq([true, false, true]), "{answer}");
    let raw = json!({
        "input": HELLO, "prehashed": true, "hash_algorithm": "none",
        "signature_algorithm": "pkcs1v15",
    });
    world.write("transit/sign/pkcs1", raw).await;
}

async fn what_a_key_is_not_for(world: &World) {
    for (path, body, wanted) in [
        (
            "sign/pss",
            json!({ "signature_algorithm": "pkcs1v15" }),
            "pss only",
        ),
        ("sign/pkcs1", json!({}), "pkcs1v15 only"),
        (
            "sign/pss",
            json!({ "hash_algorithm": "sha3-256" }),
            "no PSS with SHA-3",
        ),
        ("sign/pss", json!({ "salt_length": 300 }), "salt_length"),
        (
            "sign/p256",
            json!({ "hash_algorithm": "none" }),
            "hash_algorithm",
        ),
        ("sign/aes", json!({}), "does not support signing"),
        ("sign/oaep", json!({}), "does not support signing"),
        ("hmac/p256", json!({}), "no private half here"),
    ] {
        let mut body = body;
        body["input"] = HELLO.into();
        let error = world.refused(&format!("transit/{path}"), body).await;
        assert!(error.contains(wanted), "{path}: {error}");
    }
    let plain = json!({ "plaintext": HELLO });
    let error = world.refused("transit/encrypt/pss", plain).await;
    assert!(error.contains("encryption not supported"), "{error}");
}

/// A managed key that is pointed to another key of the token: what that signs is not given out.
pub async fn another_key_under_the_name(world: &World, _: &Path) {
    let curve = json!({ "curve": "P256" });
    world.key("moved", "CKM_ECDSA", curve.clone()).await;
    world.managed("elsewhere", "CKM_ECDSA", curve).await;
    let test = "sys/managed-keys/pkcs11/elsewhere/test/sign";
    world.write(test, json!({})).await;
    let other = json!({ "key_label": "elsewhere" });
    world.write("sys/managed-keys/pkcs11/moved", other).await;
    let error = world
        .refused("transit/sign/moved", json!({ "input": HELLO }))
        .await;
    assert!(
        error.contains("managed key moved: its signature is not one"),
        "{error}"
    );
}

/// Verifies a signature of `hello` with the public key that the answer shows.
fn openssl(folder: &Path, shown: &Value, pss: bool, hash: &str, signature: &str) {
    let at = |name: &str| folder.join(name);
    let public = shown["keys"]["1"]["public_key"].as_str().unwrap();
    std::fs::write(at("public.pem"), public).unwrap();
    std::fs::write(at("input"), "hello").unwrap();
    let signature = STANDARD.decode(signature.rsplit(':').next().unwrap());
    std::fs::write(at("signature"), signature.unwrap()).unwrap();
    let mut command = Command::new("openssl");
    command
        .arg("dgst")
        .arg(format!("-{}", hash.replace("sha2-", "sha")));
    if pss {
        command.args([
            "-sigopt",
            "rsa_padding_mode:pss",
            "-sigopt",
            "rsa_pss_saltlen:-1",
        ]);
    }
    command.arg("-verify").arg(at("public.pem"));
    command
        .arg("-signature")
        .arg(at("signature"))
        .arg(at("input"));
    let Ok(ran) = command.output() else {
        eprintln!("skipped: openssl is not installed, which verifies the signatures once more");
        return;
    };
    assert!(
        ran.status.success(),
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}
