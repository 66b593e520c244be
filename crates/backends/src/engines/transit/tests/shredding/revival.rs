//! Destroyed keys that an older snapshot brings back.

use keyfold_core::ports::engine::DestroyedKey;

use super::*;

#[tokio::test]
async fn what_a_snapshot_brings_back_is_refused_until_somebody_says() {
    let mount = Mount::new().await;
    mount.key("t1", 1).await;
    let old = mount.encrypt("t1", json!({})).await;
    let (settings, _) = mount.transit.stored("t1").await.unwrap().unwrap();
    let key = DestroyedKey {
        name: "t1".to_owned(),
        id: settings.id.clone(),
        first: 1,
        last: 4,
        time: "2029-12-31T00:00:00Z".to_owned(),
        receipt: "r-1".to_owned(),
        folder: String::new(),
    };
    for _ in 0..2 {
        Engine::revived(&mount.transit, &key).await.unwrap();
    }
    let body = json!({"ciphertext": old});
    for (path, body) in [
        ("decrypt/t1", body.clone()),
        ("rewrap/t1", body.clone()),
        ("encrypt/t1", json!({"plaintext": HELLO})),
        ("keys/t1/rotate", json!({})),
        ("keys/t1/shred/approve", json!({})),
        ("keys/t1/shred", json!({"reason": "r"})),
    ] {
        let text = mount.no_step("ann", 0, path, body).await;
        assert!(text.contains("was destroyed"), "{path}: {text}");
    }
    let state = mount.state("t1").await;
    assert_eq!(
        (&state["state"], &state["destroyed"][0]["receipt"]),
        (&json!("revived"), &json!("r-1"))
    );
    let report = Engine::service_keys(&mount.transit, "", 10).await.unwrap();
    assert!(
        report.keys[0].remarks[0].contains("older snapshot"),
        "{:?}",
        report.keys[0].remarks
    );

    // It is wanted after all.
    let kept = mount
        .step("ann", 0, "keys/t1/shred/cancel", json!({}))
        .await
        .unwrap()
        .data;
    assert_eq!(kept["state"], "active");
    mount.write("decrypt/t1", body.clone()).await;
    assert!(
        Engine::destroyed(&mount.transit)
            .await
            .unwrap()
            .keys
            .is_empty()
    );

    // Or goes again, at once: two have agreed to that before.
    Engine::revived(&mount.transit, &key).await.unwrap();
    let gone = mount
        .step("ann", 0, "keys/t1/shred/destroy", json!({}))
        .await
        .unwrap()
        .data;
    assert_eq!(gone["receipt"]["revived_after"], "r-1");
    let told = Engine::destroyed(&mount.transit).await.unwrap().keys;
    // Also those of its versions are gone that the snapshot lacked.
    assert_eq!((told.len(), told[0].last), (1, 4));
    assert_eq!(told[0].folder, format!("keys/{}/", settings.id));
    // A key that never was here leaves its grave, so that its versions are nobody else's.
    let other = DestroyedKey {
        name: "t9".to_owned(),
        id: "i9".to_owned(),
        ..key
    };
    Engine::revived(&mount.transit, &other).await.unwrap();
    assert_eq!(
        mount.write("keys/t9", json!({})).await.data["latest_version"],
        5
    );
}
