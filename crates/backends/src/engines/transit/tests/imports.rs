//! Keys that come from elsewhere: import, byok-export, derive-key, certificates.

use keyfold_keys::der::{Reader, tag};
use keyfold_keys::digest::Digest;
use keyfold_keys::transit::{KeyType, Padding, Scheme, ServiceKey, from_pem, wrap};

use super::*;

fn base64(bytes: &[u8]) -> String {
    keyfold_api::base64::encode(bytes)
}

/// The wrapping key of a mount, as a caller knows it.
async fn wrapping(mount: &Mount) -> ServiceKey {
    let answer = mount.ask(Op::Read, "wrapping_key", "").await.unwrap();
    let pem = answer.data["public_key"].as_str().unwrap().to_owned();
    let der = from_pem("PUBLIC KEY", &pem).unwrap();
    ServiceKey::from_spki(KeyType::Rsa4096, &der[0]).unwrap()
}

/// What a caller wraps of a key.
fn target(key: &ServiceKey) -> Vec<u8> {
    key.pkcs8()
        .map_or_else(|| key.expose().to_vec(), |pkcs8| pkcs8.expose().clone())
}

#[tokio::test]
async fn every_type_comes_here() {
    let mount = Mount::new().await;
    let holder = wrapping(&mount).await;
    assert_eq!(wrapping(&mount.restarted()).await.public(), holder.public());
    for kind in KeyType::all() {
        if matches!(kind, KeyType::Rsa3072 | KeyType::Rsa4096) {
            continue;
        }
        let key = ServiceKey::generate(kind, 40).unwrap();
        let blob = base64(&wrap(&holder, Digest::Sha2_256, &target(&key)).unwrap());
        let name = &*kind.full_name();
        let body = |members: Value| {
            let mut body = of_type(kind);
            let members = members.as_object().unwrap().clone();
            body.as_object_mut().unwrap().extend(members);
            body
        };
        let brought = body(json!({"ciphertext": blob, "exportable": true}));
        mount.write(&format!("keys/{name}/import"), brought).await;
        let shown = mount.show(name).await;
        assert_eq!(shown["imported_key"], true);
        let loaded = mount.transit.cache.key(name).await.unwrap().unwrap();
        assert_eq!(loaded.latest.expose(), key.expose(), "{name}");
        let error = mount
            .refused(&format!("keys/{name}/rotate"), json!({}))
            .await;
        assert!(error.contains("does not allow rotation"), "{error}");
        let path = format!("keys/{name}/import_version");
        mount.write(&path, json!({"ciphertext": blob})).await;
        assert_eq!(mount.show(name).await["latest_version"], 2);
        if kind.has_public() {
            let pem = match kind {
                KeyType::Ed25519 => {
                    keyfold_keys::transit::to_pem("PUBLIC KEY", &key.spki().unwrap())
                }
                _ => key.public_shown(),
            };
            let public = format!("{name}-public");
            mount
                .write(
                    &format!("keys/{public}/import"),
                    body(json!({"public_key": pem})),
                )
                .await;
            let shown = mount.show(&public).await;
            assert_eq!(shown["keys"]["1"]["public_key"], key.public_shown());
            // What takes the private half.
            let (path, asked) = match kind.signs() {
                true => (format!("sign/{public}"), json!({"input": HELLO})),
                false => {
                    let sealed = mount.encrypt(&public, json!({})).await;
                    (format!("decrypt/{public}"), json!({"ciphertext": sealed}))
                }
            };
            let error = mount.refused(&path, asked.clone()).await;
            assert!(error.contains("no private half"), "{error}");
            mount
                .write(
                    &format!("keys/{public}/import_version"),
                    json!({"version": 1, "ciphertext": blob}),
                )
                .await;
            mount.write(&path, asked).await;
            assert_eq!(mount.show(&public).await["latest_version"], 1);
        }
    }
}

/// The members that name a type.
fn of_type(kind: KeyType) -> Value {
    let mut body = json!({"type": kind.name()});
    if let Some(set) = kind.parameter_set() {
        body["parameter_set"] = set.name().into();
    }
    if let Some(curve) = kind.curve_half() {
        body["hybrid_key_type_pqc"] = "ml-dsa".into();
        body["hybrid_key_type_ec"] = curve.name().into();
    }
    body
}

/// TK-06 and TK-07: an imported key is derived as one that was made here.
#[tokio::test]
async fn an_imported_key_for_contexts() {
    let mount = Mount::new().await;
    let holder = wrapping(&mount).await;
    let key = ServiceKey::generate(KeyType::Ed25519, 0).unwrap();
    let blob = base64(&wrap(&holder, Digest::Sha2_256, &target(&key)).unwrap());
    let body = json!({"type": "ed25519", "ciphertext": blob, "derived": true});
    mount.write("keys/e/import", body).await;
    let input = json!({"input": HELLO, "context": HELLO});
    let signed = mount.write("sign/e", input.clone()).await.data;
    let mut proof = input;
    proof["signature"] = signed["signature"].clone();
    let valid = async |proof: &Value| mount.write("verify/e", proof.clone()).await.data;
    assert_eq!(valid(&proof).await["valid"], true);
    let context = json!({"context": HELLO}).to_string();
    let shown = mount.ask(Op::Read, "keys/e", &context);
    let shown = shown.await.unwrap().data;
    assert_eq!(shown["keys"]["1"]["public_key"], signed["public_key"]);
    assert_eq!(mount.show("e").await["keys"]["1"]["public_key"], "");
    proof["context"] = json!("b3RoZXI=");
    assert_eq!(valid(&proof).await["valid"], false);
}

#[tokio::test]
async fn what_is_no_import() {
    let mount = Mount::new().await;
    let holder = wrapping(&mount).await;
    let blob = |hash, target: &[u8]| base64(&wrap(&holder, hash, target).unwrap());
    let good = blob(Digest::Sha2_256, &[7; 32]);
    let table = [
        (json!({}), "neither ciphertext nor public_key"),
        (json!({"ciphertext": "!!"}), "ciphertext"),
        (
            json!({"ciphertext": "AAAA"}),
            "provided ciphertext is too short",
        ),
        (json!({"ciphertext": base64(&[1; 512])}), "does not open"),
        (
            json!({"ciphertext": good, "hash_function": "MD5"}),
            "unknown hash function: MD5",
        ),
        (
            json!({"ciphertext": good, "hash_function": "SHA1"}),
            "does not open",
        ),
        (
            json!({"ciphertext": good, "type": "nope"}),
            "unknown key type: nope",
        ),
        (
            json!({"ciphertext": good, "type": "rsa-2048"}),
            "ciphertext",
        ),
        (
            json!({"ciphertext": good, "type": "aes128-gcm96"}),
            "invalid key size 32 bytes",
        ),
        (json!({"ciphertext": good, "public_key": "x"}), "both given"),
        (
            json!({"ciphertext": good, "derived": true, "convergent_encryption": true}),
            "convergent",
        ),
        (
            json!({"public_key": "x"}),
            "does not support public_key import",
        ),
        (
            json!({"public_key": "x", "type": "rsa-2048"}),
            "not in PEM format",
        ),
    ];
    for (body, text) in table {
        let error = mount.refused("keys/k/import", body).await;
        assert!(error.contains(text), "{error}");
    }
    assert!(matches!(
        mount.ask(Op::Read, "keys/k", "").await,
        Err(Error::NotFound)
    ));
    let lower = json!({"ciphertext": good, "hash_function": "sha256", "allow_rotation": true});
    mount.write("keys/k/import", lower).await;
    mount.write("keys/k/rotate", json!({})).await;
    let error = mount
        .refused("keys/k/import", json!({"ciphertext": good}))
        .await;
    assert!(error.contains("existing key"), "{error}");
    mount.key("own", 1).await;
    let version = json!({"ciphertext": good});
    let error = mount
        .refused("keys/own/import_version", version.clone())
        .await;
    assert!(
        error.contains("only be used with an imported key"),
        "{error}"
    );
    let error = mount.refused("keys/none/import_version", version).await;
    assert!(error.contains("no key found with name none"), "{error}");
}

#[tokio::test]
async fn wrapped_for_another() {
    let mount = Mount::new().await;
    mount.write("keys/rsa", json!({"type": "rsa-2048"})).await;
    mount
        .write("keys/ec", json!({"type": "ecdsa-p256", "exportable": true}))
        .await;
    mount.key("closed", 1).await;
    let export = async |path: &str| {
        mount
            .ask(Op::Read, &format!("byok-export/{path}"), "")
            .await
    };
    let answer = export("rsa/ec").await.unwrap().data;
    let blob = keyfold_api::base64::decode(answer["keys"]["1"].as_str().unwrap()).unwrap();
    let rsa = mount.transit.cache.key("rsa").await.unwrap().unwrap();
    let opened = keyfold_keys::transit::unwrap(&rsa.latest, Digest::Sha2_256, &blob).unwrap();
    let ec = mount.transit.cache.key("ec").await.unwrap().unwrap();
    assert_eq!(opened.expose(), &target(&ec.latest));
    assert_eq!(
        (&answer["name"], &answer["type"]),
        (&json!("ec"), &json!("ecdsa-p256"))
    );
    for (path, text) in [
        ("rsa/closed", "key is not exportable"),
        ("ec/ec", "RSA keys only"),
        ("none/ec", "no such destination key"),
        ("rsa/none", "no such source key"),
        ("rsa/ec/7", "version does not exist"),
    ] {
        let error = export(path).await.err().unwrap().to_string();
        assert!(error.contains(text), "{path}: {error}");
    }
}

#[tokio::test]
async fn agreed_keys() {
    let mount = Mount::new().await;
    for name in ["one", "two"] {
        mount
            .write(&format!("keys/{name}"), json!({"type": "ecdsa-p384"}))
            .await;
    }
    let public = async |name: &str| mount.show(name).await["keys"]["1"]["public_key"].clone();
    for (name, base, peer) in [("a", "one", "two"), ("b", "two", "one")] {
        let body = json!({"base_key_name": base, "peer_public_key": public(peer).await});
        mount.write(&format!("derive-key/{name}"), body).await;
    }
    let sealed = mount.encrypt("a", json!({})).await;
    let opened = mount
        .write("decrypt/b", json!({"ciphertext": sealed}))
        .await
        .data;
    assert_eq!(opened["plaintext"], HELLO);
    let again = json!({"base_key_name": "one", "peer_public_key": public("two").await});
    mount.write("derive-key/a", again.clone()).await;
    assert_eq!(mount.show("a").await["latest_version"], 2);
    mount.key("own", 1).await;
    let other = |name: &str, value: Value| {
        let mut body = again.clone();
        body[name] = value;
        body
    };
    for (path, body, text) in [
        ("own", again.clone(), "is there already"),
        (
            "c",
            other("peer_public_key", Value::Null),
            "peer public key not provided",
        ),
        ("c", other("peer_public_key", json!("x")), "peer_public_key"),
        (
            "c",
            other("base_key_name", json!("none")),
            "specified base key not found",
        ),
        (
            "c",
            other("base_key_name", json!("own")),
            "does not support key agreement",
        ),
        ("c", other("base_key_version", json!(9)), "higher"),
        (
            "c",
            other("derived_key_type", json!("rsa-2048")),
            "unknown key type rsa-2048",
        ),
    ] {
        let error = mount.refused(&format!("derive-key/{path}"), body).await;
        assert!(error.contains(text), "{error}");
    }
    assert!(matches!(
        mount.ask(Op::Read, "keys/c", "").await,
        Err(Error::NotFound)
    ));
}

#[tokio::test]
async fn requests_for_certificates() {
    let mount = Mount::new().await;
    for (kind, hash) in [
        ("ecdsa-p256", Digest::Sha2_256),
        ("ecdsa-p521", Digest::Sha2_512),
        ("ed25519", Digest::Sha2_512),
        ("rsa-2048", Digest::Sha2_256),
    ] {
        mount
            .write(&format!("keys/{kind}"), json!({"type": kind}))
            .await;
        let answer = mount
            .write(&format!("keys/{kind}/csr"), json!({}))
            .await
            .data;
        let pem = answer["csr"].as_str().unwrap();
        let der = from_pem("CERTIFICATE REQUEST", pem).unwrap();
        let mut request = Reader::new(&der[0]).sequence().unwrap();
        let info = request.take(tag::SEQUENCE).unwrap();
        request.take(tag::SEQUENCE).unwrap();
        let signature = request.bits().unwrap();
        let info = keyfold_keys::der::element(tag::SEQUENCE, info);
        let key = mount.transit.cache.key(kind).await.unwrap().unwrap();
        let scheme = Scheme {
            hash: Some(hash),
            prehashed: false,
            padding: Padding::Pkcs1,
            side_by_side: false,
        };
        assert!(
            key.latest.verify(&info, &scheme, None, signature).unwrap(),
            "{kind}"
        );
        let with = mount
            .write(&format!("keys/{kind}/csr"), json!({"csr": pem}))
            .await
            .data;
        assert!(with["csr"].as_str().unwrap().len() >= pem.len() - 8);
    }
    mount.key("aes", 1).await;
    mount
        .write("keys/d", json!({"type": "ed25519", "derived": true}))
        .await;
    for (key, body, text) in [
        (
            "aes",
            json!({}),
            "key type 'aes256-gcm96' does not support signing",
        ),
        ("d", json!({}), "derived"),
        ("none", json!({}), "not found"),
        ("ed25519", json!({"csr": "x"}), "could not decode PEM CSR"),
        ("ed25519", json!({"version": 9}), "version"),
    ] {
        let error = mount.refused(&format!("keys/{key}/csr"), body).await;
        assert!(error.contains(text), "{error}");
    }
}

#[tokio::test]
async fn certificates() {
    let mount = Mount::new().await;
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
    let pem = params.self_signed(&pair).unwrap().pem();
    let holder = wrapping(&mount).await;
    let blob = base64(&wrap(&holder, Digest::Sha2_256, &pair.serialize_der()).unwrap());
    let body = json!({"type": "ecdsa-p256", "ciphertext": blob, "allow_plaintext_backup": true,
        "exportable": true});
    mount.write("keys/k/import", body).await;
    mount
        .write("keys/k/set-certificate", json!({"certificate_chain": pem}))
        .await;
    let same = |text: &Value| {
        from_pem("CERTIFICATE", text.as_str().unwrap()) == from_pem("CERTIFICATE", &pem)
    };
    let chain = mount
        .ask(Op::Read, "export/certificate-chain/k", "")
        .await
        .unwrap()
        .data;
    assert!(same(&chain["keys"]["1"]));
    assert!(same(
        &mount.show("k").await["keys"]["1"]["certificate_chain"]
    ));
    let backup = mount.ask(Op::Read, "backup/k", "").await.unwrap().data;
    mount
        .write("restore/copy", json!({"backup": backup["backup"]}))
        .await;
    assert!(same(
        &mount.show("copy").await["keys"]["1"]["certificate_chain"]
    ));
    mount
        .write("keys/other", json!({"type": "ecdsa-p256"}))
        .await;
    for (key, chain, text) in [
        ("other", pem.as_str(), "of another key"),
        (
            "k",
            "nonsense",
            "could not decode a PEM block in the certificate chain",
        ),
        (
            "k",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "not a certificate",
        ),
    ] {
        let path = format!("keys/{key}/set-certificate");
        let error = mount
            .refused(&path, json!({"certificate_chain": chain}))
            .await;
        assert!(error.contains(text), "{error}");
    }
    let shelve = mount.ask(Op::Delete, "keys/k/soft-delete", "").await;
    shelve.unwrap();
    let error = mount
        .refused("keys/k/set-certificate", json!({"certificate_chain": pem}))
        .await;
    assert!(error.contains("soft-deleted"), "{error}");
    mount
        .write("keys/k/config", json!({"deletion_allowed": true}))
        .await;
    mount.ask(Op::Delete, "keys/k", "").await.unwrap();
}

#[tokio::test]
async fn many_data_keys() {
    let mount = Mount::new().await;
    mount.key("k", 2).await;
    let body = json!({"count": 2500, "bits": 128, "associated_data": "eA==", "key_version": 1});
    let keys = mount.write("datakeys/plaintext/k", body).await.data["keys"].clone();
    assert_eq!(keys.as_array().unwrap().len(), 2500);
    for key in [&keys[0], &keys[2499]] {
        let body = json!({"ciphertext": key["ciphertext"], "associated_data": "eA=="});
        assert_eq!(
            mount.write("decrypt/k", body).await.data["plaintext"],
            key["plaintext"]
        );
        assert_eq!(key["key_version"], 1);
    }
    let wrapped = mount.write("datakeys/wrapped/k", json!({})).await.data;
    assert_eq!(wrapped["keys"].as_array().unwrap().len(), 1);
    assert!(wrapped["keys"][0].get("plaintext").is_none());
    for count in [0, -1, 10_001] {
        let error = mount
            .refused("datakeys/wrapped/k", json!({"count": count}))
            .await;
        assert!(error.contains("count"), "{error}");
    }
}
