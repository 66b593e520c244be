//! Keys that were restored: their versions begin anywhere, and marks of compromise outlive them.

use super::*;

impl Mount {
    /// A key that can be backed up, with so many versions.
    async fn open_key(&self, name: &str, versions: u32) {
        let open = json!({"exportable": true, "allow_plaintext_backup": true});
        self.write(&format!("keys/{name}"), open).await;
        for _ in 1..versions {
            self.write(&format!("keys/{name}/rotate"), json!({})).await;
        }
    }

    async fn backup(&self, name: &str) -> String {
        let path = format!("backup/{name}");
        let answer = self.ask(Op::Read, &path, "").await.unwrap();
        answer.data["backup"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_last_version_that_there_can_be() {
    let mount = Mount::new().await;
    mount.open_key("k", 1).await;
    let backup = keyfold_api::base64::decode(&mount.backup("k").await).unwrap();
    let mut backup: Value = serde_json::from_slice(&backup).unwrap();
    let only = backup["archived_keys"]["keys"][1].clone();
    backup["archived_keys"]["keys"] = json!([only]);
    backup["policy"]["keys"] = json!({ (u32::MAX.to_string()): only });
    for member in [
        "latest_version",
        "min_decryption_version",
        "min_available_version",
    ] {
        backup["policy"][member] = u32::MAX.into();
    }
    let backup = keyfold_api::base64::encode(backup.to_string().as_bytes());
    mount.write("restore/last", json!({"backup": backup})).await;
    let sealed = mount.encrypt("last", json!({})).await;
    assert!(sealed.starts_with("vault:v4294967295:"), "{sealed}");
    let body = json!({"ciphertext": sealed});
    assert_eq!(
        mount.write("decrypt/last", body).await.data["plaintext"],
        HELLO
    );
    let error = mount.refused("keys/last/rotate", json!({})).await;
    assert!(error.contains("no version is left"), "{error}");
    Engine::settle(&mount.transit).await.unwrap();
    // Over itself, and away: what is stored goes, however many numbers there are below it.
    let again = json!({"backup": backup, "force": true});
    mount.write("restore/last", again).await;
    for name in ["last", "k"] {
        let allowed = json!({"deletion_allowed": true});
        mount.write(&format!("keys/{name}/config"), allowed).await;
        let path = format!("keys/{name}");
        mount.ask(Op::Delete, &path, "").await.unwrap();
    }
    let left = mount.transit.view.list("", "", 0).await.unwrap().names;
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_mark_is_of_the_key_that_had_it() {
    let mount = Mount::new().await;
    mount.open_key("k", 2).await;
    let old = mount.encrypt("k", json!({"key_version": 1})).await;
    let backup = mount.backup("k").await;
    mount.write("keys/k/rotate", json!({})).await;
    for version in [1, 3] {
        let mark = json!({"version": version});
        mount.write("keys/k/compromised", mark).await;
    }
    let restore = json!({"backup": backup, "force": true});
    mount.write("restore/k", restore.clone()).await;
    let error = mount.refused("decrypt/k", json!({"ciphertext": old})).await;
    assert!(
        error.contains("version 1 of the key is compromised"),
        "{error}"
    );
    // Another key than the third of before.
    let rotated = mount.write("keys/k/rotate", json!({})).await.data;
    assert_eq!(rotated["latest_version"], 3);
    assert_eq!(rotated["compromised"].as_object().unwrap().len(), 1);
    assert!(mount.encrypt("k", json!({})).await.starts_with("vault:v3:"));
    // So, too, where the mark is what rotates.
    mount
        .write("keys/k/compromised", json!({"version": 3}))
        .await;
    mount.write("restore/k", restore).await;
    mount
        .write("keys/k/compromised", json!({"version": 2}))
        .await;
    assert!(mount.encrypt("k", json!({})).await.starts_with("vault:v3:"));
}
