//! The process dies, or others do the same: it is done once, or not at all.

use keyfold_core::testing::Moment;

use super::*;

/// Killed at any operation, the key is there as it was, or gone with its receipt.
#[tokio::test]
async fn it_is_gone_in_one_commit() {
    let mut outcomes = [0, 0];
    for moment in [Moment::Before, Moment::After] {
        for at in 0.. {
            assert!(at < 100, "it does not end");
            let mount = Mount::new().await;
            mount.key("t1", 2).await;
            let old = mount.encrypt("t1", json!({"key_version": 1})).await;
            mount
                .step("ann", 0, "keys/t1/shred", json!({"reason": "r"}))
                .await
                .unwrap();
            mount
                .step("ben", 0, "keys/t1/shred/approve", json!({}))
                .await
                .unwrap();
            let start = mount.store.operations();
            mount.store.crash_at(start + at, moment);
            let done = mount
                .step("ann", WEEK, "keys/t1/shred/destroy", json!({}))
                .await;
            let reached = mount.store.operations() > start + at;
            mount.store.mend();
            let after = mount.restarted();
            let id = after.transit.stored("t1").await.unwrap().map(|(s, _)| s.id);
            let receipts = after
                .transit
                .view
                .list("receipts/", "", 0)
                .await
                .unwrap()
                .names;
            let body = json!({"ciphertext": old});
            if id.is_some() {
                assert!(done.is_err() && receipts.is_empty(), "{moment:?} {at}");
                assert_eq!(
                    after.state("t1").await["state"],
                    "approved",
                    "{moment:?} {at}"
                );
                after.write("decrypt/t1", body).await;
                outcomes[0] += 1;
            } else {
                assert_eq!(receipts.len(), 1, "{moment:?} {at}");
                let versions = after.transit.view.list("keys/", "", 0).await.unwrap();
                assert!(versions.names.is_empty(), "{moment:?} {at}");
                for mount in [&mount, &after] {
                    let text = mount.refused("decrypt/t1", body.clone()).await;
                    assert!(text.contains("was destroyed"), "{moment:?} {at}: {text}");
                }
                outcomes[1] += 1;
            }
            if !reached {
                assert!(done.is_ok(), "it failed without a crash");
                break;
            }
        }
    }
    assert!(outcomes[0] > 5 && outcomes[1] > 1, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_destroy_one_does() {
    let mount = Arc::new(Mount::new().await);
    mount.key("t1", 2).await;
    mount
        .step("ann", 0, "keys/t1/shred", json!({"reason": "r"}))
        .await
        .unwrap();
    mount
        .step("ben", 0, "keys/t1/shred/approve", json!({}))
        .await
        .unwrap();
    let ends = ["ann", "ben", "cy", "dee"].map(|who| {
        let mount = mount.clone();
        tokio::spawn(async move {
            let done = mount
                .step(who, WEEK, "keys/t1/shred/destroy", json!({}))
                .await;
            done.is_ok()
        })
    });
    let mut done = 0;
    for end in ends {
        done += usize::from(end.await.unwrap());
    }
    let receipts = mount.transit.view.list("receipts/", "", 0).await.unwrap();
    assert_eq!((done, receipts.names.len()), (1, 1));
}

/// The census is stored by a turn of its own, and the destruction waits for none of its turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_goes_while_the_census_is_stored() {
    let mount = Arc::new(Mount::new().await);
    for round in 0..20 {
        let key = format!("k{round}");
        mount.key(&key, 1).await;
        let path = format!("keys/{key}/shred");
        mount.encrypt(&key, json!({})).await;
        mount
            .step("ann", 0, &path, json!({"reason": "r"}))
            .await
            .unwrap();
        let approve = format!("{path}/approve");
        mount.step("ben", 0, &approve, json!({})).await.unwrap();
        let stored = {
            let mount = mount.clone();
            tokio::spawn(async move { Engine::settle(&mount.transit).await.unwrap() })
        };
        let destroy = format!("{path}/destroy");
        mount.step("ann", WEEK, &destroy, json!({})).await.unwrap();
        stored.await.unwrap();
    }
    assert!(
        mount
            .transit
            .view
            .list("census/", "", 0)
            .await
            .unwrap()
            .names
            .is_empty()
    );
}
